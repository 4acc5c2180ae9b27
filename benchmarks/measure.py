# SPDX-License-Identifier: Apache-2.0
"""Commands measured from outside, as a user runs them: time and peak memory of a process.

Nothing large is imported here: a child's peak memory begins with its parent's (Linux copies the
high-water mark over ``exec``), so what measures must be smaller than what is measured.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

MODELS = Path("models", "build")


@dataclass(frozen=True)
class Measured:
    """One finished command.

    wall_s: from start to end; cpu_s: of the process and the children that it waited for, in user
        and kernel mode: what counts on a machine that does other things meanwhile.
    peak_bytes: largest resident memory, of the process or of its largest child.
    output: its standard output.
    """

    wall_s: float
    cpu_s: float
    peak_bytes: int
    output: str


class CommandError(Exception):
    """A command that failed, with what it said."""


def run(command: Sequence[str]) -> Measured:
    """Run ``python -m <command>`` to its end; CommandError unless it succeeds."""
    full = [sys.executable, "-m", *command]
    start = time.perf_counter()
    with subprocess.Popen(full, stdout=subprocess.PIPE, text=True, encoding="utf-8") as process:
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        # Popen did not see the process end; it must not wait for another one with its number.
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise CommandError(f"`{' '.join(command)}` failed with {process.returncode}")
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss
    return Measured(
        time.perf_counter() - start,
        usage.ru_utime + usage.ru_stime,
        usage.ru_maxrss * unit,
        output,
    )


def seeded_mobilenet(alpha: float, size: int) -> Path:
    """The file of a seeded MobileNetV2, built if it is not there; CommandError if that fails."""
    path = MODELS / f"seeded_mobilenet_v2_{alpha}_{size}.tflite"
    if not path.exists():
        part = path.with_suffix(".part")
        options = ["--alpha", str(alpha), "--size", str(size), "-o", str(part)]
        run(["models", "build", "mobilenet_v2", *options])
        part.replace(path)
    return path
