# SPDX-License-Identifier: Apache-2.0
"""How many seconds of CPU a whole ``tflsplit rewrite`` takes, for each of some networks.

    python -m benchmarks.rewrite_seconds MODEL.tflite … [-n 8] [--objectives latency ram]

One row a model and number of devices: CPU of the command and its children, from the start of
Python to the last file, the least of the repetitions.  On a machine that does other things
meanwhile that is longer than on one that does not: the time of a fixed loop, before and behind,
says by how much.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import CommandError, run

OBJECTIVES = ("latency", "ram")
_ADDITIONS = 3_000_000


@dataclass(frozen=True)
class Row:
    """Of one model and number of devices; cpu_s: by objective."""

    model: str
    world_size: int
    cpu_s: tuple[float, ...]

    def cells(self) -> list[str]:
        """Of the table, in order."""
        return [self.model, str(self.world_size), *(f"{each:.1f}" for each in self.cpu_s)]


def measured(model: Path, world_size: int, objectives: Sequence[str], runs: int) -> Row:
    """One row; CommandError if a command fails."""
    return Row(
        model.stem,
        world_size,
        tuple(
            min(_rewrite_s(model, world_size, objective) for _ in range(runs))
            for objective in objectives
        ),
    )


def _rewrite_s(model: Path, world_size: int, objective: str) -> float:
    with tempfile.TemporaryDirectory() as folder:
        options = ["-n", str(world_size), "--objective", objective, "-o", str(Path(folder, "out"))]
        return run(["tflsplit", "rewrite", str(model), *options]).cpu_s


def loop_s() -> float:
    """CPU of a fixed loop: the machine's speed at this moment."""
    start, total = time.process_time(), 0
    for number in range(_ADDITIONS):
        total += number
    return time.process_time() - start


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table as Markdown, row by row; 2 where a model cannot be rewritten."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.rewrite_seconds", description=__doc__.split("\n")[0]
    )
    parser.add_argument("models", nargs="+", type=Path, metavar="MODEL", help="a .tflite file")
    parser.add_argument("-n", type=int, nargs="+", default=[8], metavar="DEVICES")
    parser.add_argument("--objectives", nargs="+", default=OBJECTIVES)
    parser.add_argument("--runs", type=int, default=1, help="of each command (1)")
    chosen = parser.parse_args(arguments)
    loops = [loop_s()]
    columns = ["model", "N", *(f"{objective}, CPU s" for objective in chosen.objectives)]
    print(f"| {' | '.join(columns)} |\n|---|{'--:|' * (len(columns) - 1)}")
    for world_size in chosen.n:
        for model in chosen.models:
            try:
                row = measured(model, world_size, chosen.objectives, chosen.runs)
            except CommandError as error:
                print(f"error: {error}", file=sys.stderr)
                return 2
            print(f"| {' | '.join(row.cells())} |", flush=True)
            loops.append(loop_s())
    print(f"\nA fixed loop took {min(loops):.2f} to {max(loops):.2f} s meanwhile.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
