# SPDX-License-Identifier: Apache-2.0
"""Inferences a second with the next one's input taken meanwhile, and without: simulated.

    python -m benchmarks.in_flight MODEL.tflite [-n 2 4 8] [--one-team]

Of each kind of link and way of the image (``wire_targets.WAYS``) the fastest plan for each number
of devices: one inference at a time, two in flight, and two in flight where devices have memory for
the next input (``--ahead``); and how many bytes that is on the device that has most of it.
``--one-team``: of UARTs through rank 0, that plan beside the one that ``--objective throughput``
takes for one team: milliseconds, inferences a second, bytes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.planner_tables import table
from benchmarks.wire_targets import WAYS, Way
from tflsplit.errors import UserError
from tflsplit.ir import Graph
from tflsplit.passes.prepare import prepare
from tflsplit.planner import Planner
from tflsplit.planner.next_input import with_next_input
from tflsplit.sim import simulate
from tflsplit.tflite import load

INFERENCES = 10
_COLUMNS = ("devices", "used", "one at a time", "two in flight", "input ahead", "gain", "bytes")


def row(graph: Graph, way: Way, world_size: int) -> list[str]:
    """Of one number of devices."""
    planned = Planner(graph, way.cluster(world_size)).best("latency")
    cluster, drafts = planned.cluster, planned.quickest
    ahead = replace(cluster, ahead=True)
    one, two, next_too = (
        simulate(drafts, where, INFERENCES, in_flight=in_flight).throughput_per_s
        for where, in_flight in ((cluster, 1), (cluster, 2), (ahead, 2))
    )
    most = max(planned.next_input_bytes(ahead, rank) for rank in range(cluster.world_size))
    rates = (f"{rate:.2f}" for rate in (one, two, next_too))
    used = str(cluster.world_size)
    return [str(world_size), used, *rates, f"{100 * next_too / one - 100:+.0f} %", f"{most:,}"]


def one_team(graph: Graph, world_size: int) -> str:
    """The plan of the least latency, and that of the most inferences a second."""
    planner = Planner(graph, WAYS[0].cluster(world_size))
    latency = planner.best("latency")
    ahead = with_next_input(planner, latency) or latency
    rows = []
    for name, planned in (("latency", latency), ("one team", ahead)):
        cluster = planned.cluster
        most = max(planned.next_input_bytes(cluster, rank) for rank in range(cluster.world_size))
        times = f"{planned.latency_us / 1000:.1f}", f"{planned.throughput_per_s:.2f}"
        rows.append([name, str(cluster.world_size), *times, f"{most:,}"])
    return table(WAYS[0].title, ("plan", "used", "ms", "a second", "bytes"), rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables as Markdown; 2 for bad input."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.in_flight", description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("-n", type=int, nargs="+", default=[2, 4, 8], metavar="DEVICES")
    parser.add_argument("--one-team", action="store_true", help="the plans for one team")
    chosen = parser.parse_args(arguments)
    try:
        graph = prepare(load(chosen.model))
        if chosen.one_team:
            print(*(one_team(graph, world_size) for world_size in chosen.n), sep="\n")
            return 0
        for way in WAYS:
            rows = [row(graph, way, world_size) for world_size in chosen.n]
            print(table(way.title, _COLUMNS, rows), flush=True)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
