# SPDX-License-Identifier: Apache-2.0
"""What the seed system would need for a network (``tflsplit.baseline``), as tables.

RAM, traffic and work are computed from its rules; the time of an inference is simulated
(``tflsplit.sim.seed``) on Teensy 4.1, each wired to the PC: by a 6 Mbaud UART of its own, by a
switch of 100 Mbit/s, and by that switch with kernels that take twice as many cycles.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace

from benchmarks.readme import write_section
from models.mobilenet_v2 import mobilenet_v2
from tflsplit.baseline import seed_scheme
from tflsplit.cluster import Cluster, default_cluster
from tflsplit.errors import UserError
from tflsplit.ir import Graph
from tflsplit.sim import simulate_seed
from tflsplit.tflite import read_model

HEADINGS = ("peak_bytes", "with double buffer", "traffic_bytes", "largest macs",
            "ms, UART", "ms, Ethernet", "ms, Ethernet, slow kernels")  # fmt: skip


def figures(graph: Graph, world_size: int) -> list[float]:
    """One row: bytes, multiply-accumulates, milliseconds; errors of ``seed_scheme``."""
    cost = seed_scheme(graph, world_size)
    ethernet = default_cluster(world_size, "ethernet")
    clusters = (default_cluster(world_size), ethernet, slowed(ethernet, 2))
    return [
        cost.peak_bytes,
        cost.peak_double_buffer_bytes,
        cost.traffic_bytes,
        max(cost.macs),
        *(simulate_seed(graph, cluster).latency_us / 1000 for cluster in clusters),
    ]


def slowed(cluster: Cluster, factor: float) -> Cluster:
    """The same with kernels that take ``factor`` times as many cycles."""
    devices = (replace(device, cycles=device.cycles.times(factor)) for device in cluster.devices)
    return replace(cluster, devices=tuple(devices))


def markdown(rows: Sequence[tuple[int, Sequence[float]]]) -> str:
    """A table: one row per number of devices."""
    lines = [f"| devices | {' | '.join(HEADINGS)} |", "|" + "---:|" * (len(HEADINGS) + 1)]
    for world_size, row in rows:
        cells = [f"{cell:,}" if isinstance(cell, int) else f"{cell:,.0f}" for cell in row]
        lines.append(f"| {world_size} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a table: one row per number of devices."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.seed_scheme", description=main.__doc__
    )
    parser.add_argument("model", nargs="?", help="a .tflite file (default: MobileNetV2 1.0 224)")
    parser.add_argument("-n", type=int, nargs="+", default=[*range(1, 9), 10], metavar="DEVICES")
    parser.add_argument("--readme", action="store_true", help="write it into README.md, too")
    chosen = parser.parse_args(arguments)
    try:
        graph = read_model(chosen.model) if chosen.model else mobilenet_v2(images=1)
        table = markdown([(count, figures(graph, count)) for count in chosen.n])
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(table)
    if chosen.readme:
        write_section("seed_scheme", table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
