# SPDX-License-Identifier: Apache-2.0
"""Inferences a second with the next one's input taken meanwhile, and without: simulated.

    python -m benchmarks.in_flight MODEL.tflite [-n 2 4 8]

Of each kind of link and way of the image (``wire_targets.WAYS``) the fastest plan for each number
of devices: one inference at a time, two in flight, and two in flight where devices have memory for
the next input (``--ahead``); and how many bytes that is on the device that has most of it.
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables as Markdown; 2 for bad input."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.in_flight", description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("-n", type=int, nargs="+", default=[2, 4, 8], metavar="DEVICES")
    chosen = parser.parse_args(arguments)
    try:
        graph = prepare(load(chosen.model))
        for way in WAYS:
            rows = [row(graph, way, world_size) for world_size in chosen.n]
            print(table(way.title, _COLUMNS, rows), flush=True)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
