# SPDX-License-Identifier: Apache-2.0
"""What cutting small maps by rows and columns brings: the fastest ways with cells and without.

    python -m benchmarks.cells MODEL.tflite [-n 8 10 12 14 16]

A column for each kind of link, image direct: milliseconds simulated of the quickest way that the
search finds with rows, columns and channels only, and with cells as well; N devices take part.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.planner_tables import table
from benchmarks.wire_targets import WAYS, Way
from tflsplit.cluster import Cluster
from tflsplit.errors import UserError
from tflsplit.ir import Graph
from tflsplit.passes.prepare import prepare
from tflsplit.planner.cost.evaluate import Step
from tflsplit.planner.searching.choices import Choices
from tflsplit.planner.searching.finals import Finals
from tflsplit.planner.searching.free_ways import FreeWays
from tflsplit.sim import simulate
from tflsplit.split.lower import unpacked
from tflsplit.tflite import load


@dataclass(frozen=True)
class Found:
    """The quickest way: its time, and how many of its units are cut into cells."""

    ms: float
    cells: int

    def __str__(self) -> str:
        return f"{self.ms:.1f} ({self.cells})" if self.cells else f"{self.ms:.1f}"


def found(graph: Graph, cluster: Cluster, cells: bool) -> Found:
    """With all options, or all but cells."""
    choices = Choices(graph, cluster)
    if not cells:
        choices.all_quick = tuple(o for o in choices.all_quick if o.split != "grid")
        choices.quick = tuple(o for o in choices.quick if o.split != "grid")
    steps = FreeWays(choices).best("latency")
    assert steps is not None
    drafts = Finals(choices, cluster, "latency").versions(steps)
    times = (simulate(unpacked(graph, each.plan), cluster).latency_us for each in drafts)
    return Found(min(times) / 1000, sum(map(_is_cut, steps)))


def _is_cut(step: Step) -> bool:
    return step.option.split == "grid"


def row(graph: Graph, world_size: int, ways: Sequence[Way]) -> list[str]:
    """One number of devices: without cells, then with, for each way."""
    clusters = [way.cluster(world_size) for way in ways]
    times = [str(found(graph, c, cells)) for c in clusters for cells in (False, True)]
    return [str(world_size), *times]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table as Markdown; 2 for bad input."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cells", description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("-n", type=int, nargs="+", default=[8, 10, 12, 14, 16], metavar="DEVICES")
    chosen = parser.parse_args(arguments)
    ways = [way for way in WAYS if way.direct]
    titles = [f"{way.link}{text}" for way in ways for text in (", rows", ", cells as well")]
    try:
        graph = prepare(load(chosen.model))
        rows = [row(graph, world_size, ways) for world_size in chosen.n]
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(table("Cells", ["N", *titles], rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
