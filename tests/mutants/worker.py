# SPDX-License-Identifier: Apache-2.0
"""A process that sends mutants through whole commands, one after the other.

It is given numbers on standard input and answers with a line of JSON each, so that whoever started
it can end it when it hangs, and knows which mutant it was when it dies.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
from pathlib import Path

from tests.mutants.through import outcome_of

MEMORY_BYTES = 6 << 30
"""Address space of a process and of each of its children: numpy alone reserves a good part."""


def main() -> None:
    """Answer numbers with outcomes until standard input ends."""
    seed, names = int(sys.argv[1]), sys.argv[2:]
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    with tempfile.TemporaryDirectory(prefix="tflsplit-mutants-") as folder:
        for line in sys.stdin:
            outcome = outcome_of(int(line), seed, names, Path(folder))
            print(json.dumps(outcome), file=answers, flush=True)


if __name__ == "__main__":
    main()
