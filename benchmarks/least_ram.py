# SPDX-License-Identifier: Apache-2.0
"""What plans for the least RAM take, and how long, beside the quickest plans.

    python -m benchmarks.least_ram MODEL.tflite … -n 1 2 4 8

One row a model and number of devices: the arena of the fullest device under ``--objective ram``
(of one device with ``--stream``, too), the multiply-accumulates of the busiest, and the simulated
time, host to host, beside that of ``--objective latency`` for as many devices.  ``--arenas`` leaves
times out, which take longest to find.  Plans are for Teensy 4.1 in a ring of UARTs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tflsplit.cluster import default_cluster
from tflsplit.errors import TflsplitError
from tflsplit.ir import Graph
from tflsplit.passes.prepare import prepare
from tflsplit.planner import Planned
from tflsplit.planner.best import best_plan
from tflsplit.tflite import load

BOUND = 1.3
"""A plan for RAM should not take more than so many times as long."""


@dataclass(frozen=True)
class Row:
    """Of one model and number of devices; quickest: the plan for latency, if it was asked for."""

    model: str
    world_size: int
    streams: bool
    ram: Planned
    quickest: Planned | None

    def cells(self) -> list[str]:
        """Of the table, in order."""
        busiest = max(device.macs for device in self.ram.drafts)
        found = [
            self.model,
            f"{self.world_size}, streamed" if self.streams else str(self.world_size),
            f"{self.ram.arena_bytes:,}",
            f"{busiest / 1e6:.1f} M",
        ]
        if self.quickest is None:
            return found
        mine, its = (plan.latency_us / 1000 for plan in (self.ram, self.quickest))
        ratio = mine / its
        return [
            *found,
            f"{mine:.0f}",
            f"{its:.0f}",
            f"{ratio:.2f}" + (" **" if ratio > BOUND else ""),
        ]


def rows(graph: Graph, name: str, counts: Sequence[int], with_times: bool) -> Iterator[Row]:
    """Of every number of devices; one device resident, and streamed."""
    for count in counts:
        cluster = default_cluster(count)
        quickest = best_plan(graph, cluster, "latency")[1] if with_times else None
        for stream in (None, True) if count == 1 else (None,):
            ram = best_plan(graph, replace(cluster, stream=stream), "ram")[1]
            yield Row(name, count, bool(stream), ram, quickest)


def main() -> int:
    """The table, row by row."""
    parser = argparse.ArgumentParser(description="arenas and times of plans for the least RAM")
    parser.add_argument("models", nargs="+", type=Path, metavar="MODEL")
    parser.add_argument("-n", nargs="+", type=int, default=[1, 2, 4, 8], metavar="N")
    parser.add_argument("--arenas", action="store_true", help="arenas and work alone")
    chosen = parser.parse_args()
    times = [] if chosen.arenas else ["ms", "ms, `latency`", "times"]
    names = ["model", "N", "arena", "busiest device", *times]
    print("| " + " | ".join(names) + " |\n|---|" + "--:|" * (len(names) - 1), flush=True)
    for model in chosen.models:
        try:
            graph = prepare(load(model))
            for row in rows(graph, model.stem, chosen.n, not chosen.arenas):
                print("| " + " | ".join(row.cells()) + " |", flush=True)
        except TflsplitError as error:
            print(f"{model.stem}: {error}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
