# SPDX-License-Identifier: Apache-2.0
"""``python -m tests.mutants``: damaged models through the whole of ``rewrite`` and ``verify``.

Every mutant of a sound model is inspected, rewritten, and verified if it was accepted, in processes
that are ended when they hang, under a limit of memory.  Whatever is wrong with it must come out as
one message and exit code 2.  Findings, by what must never happen:

    traceback   an exception that is no UserError, or more than one line
    hang        no answer in time
    killed      the command itself died
    differs     accepted, and the devices compute other bits than the model

Shown, too, because a check may be missing: "died", accepted, and the interpreter's process died of
it.  The command survives that; where indices are computed, nothing else can be done.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence

from tests.mutants.run import FINDINGS, SHOWN, Outcome, run

_ABOUT = "Damaged models through the whole of rewrite and verify."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns 1 if anything was found."""
    chosen = _parser().parse_args(arguments)
    numbers = range(chosen.first, chosen.first + chosen.count)
    if chosen.only is not None:
        numbers = range(chosen.only, chosen.only + 1)
    outcomes: list[Outcome] = []
    for outcome in run(numbers, chosen.seed, chosen.model, chosen.jobs, chosen.seconds):
        outcomes.append(outcome)
        if chosen.only is not None or outcome["fate"] in SHOWN:
            print(json.dumps(outcome), flush=True)
        elif len(outcomes) % 100 == 0:
            print(f"{len(outcomes)} mutants", file=sys.stderr, flush=True)
    return report(outcomes)


def report(outcomes: Sequence[Outcome]) -> int:
    """Print how many of each kind came to what; 1 if one of them is a finding."""
    fates = sorted({outcome["fate"] for outcome in outcomes})
    kinds = Counter(outcome["kind"] for outcome in outcomes)
    cells = Counter((outcome["kind"], outcome["fate"]) for outcome in outcomes)
    width = max(map(len, fates), default=0) + 2
    print(f"{'':18}" + "".join(f"{fate:>{width}}" for fate in fates))
    for kind, _ in kinds.most_common():
        print(f"{kind:18}" + "".join(f"{cells[kind, fate]:>{width}}" for fate in fates))
    total = Counter(outcome["fate"] for outcome in outcomes)
    sums = "".join(f"{total[fate]:>{width}}" for fate in fates)
    print(f"{f'{len(outcomes)} mutants':18}{sums}")
    return int(any(total[fate] for fate in FINDINGS))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=_ABOUT)
    parser.add_argument("--count", type=int, default=1000, help="mutants (1000)")
    parser.add_argument("--first", type=int, default=0, help="number of the first one (0)")
    parser.add_argument(
        "--only", type=int, metavar="NUMBER", help="this one alone, and what it was"
    )
    parser.add_argument("--seed", type=int, default=1, help="(1)")
    parser.add_argument("--jobs", type=int, default=1, help="processes (1)")
    parser.add_argument("--seconds", type=float, default=180.0, help="that a mutant may take (180)")
    parser.add_argument("--model", action="append", default=[], help="only mutants of this one")
    return parser


if __name__ == "__main__":
    sys.exit(main())
