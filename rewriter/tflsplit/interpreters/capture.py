# SPDX-License-Identifier: Apache-2.0
"""What C++ code of this process prints."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_STDERR = 2


@contextmanager
def captured_stderr() -> Iterator[Callable[[], str]]:
    """Catch what is written to file descriptor 2; yields a function that returns it so far.

    TFLM tells the reason of a failure there and nowhere else.  Not for several threads at once.
    """
    sys.stderr.flush()
    saved = os.dup(_STDERR)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), _STDERR)

        def so_far() -> str:
            file.seek(0)
            return file.read().decode(errors="replace")

        try:
            yield so_far
        finally:
            os.dup2(saved, _STDERR)
            os.close(saved)
