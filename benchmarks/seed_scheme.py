# SPDX-License-Identifier: Apache-2.0
"""What the seed system would need for a network (``tflsplit.baseline``), as a table."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from models.mobilenet_v2 import mobilenet_v2
from tflsplit.baseline import SeedCost, seed_scheme
from tflsplit.errors import UserError
from tflsplit.tflite import read_model


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a table: one row per number of devices."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.seed_scheme", description=main.__doc__
    )
    parser.add_argument("model", nargs="?", help="a .tflite file (default: MobileNetV2 1.0 224)")
    parser.add_argument("-n", type=int, nargs="+", default=[1, 2, 3, 4, 8], metavar="DEVICES")
    chosen = parser.parse_args(arguments)
    table = Table("devices", "peak_bytes", "with double buffer", "traffic_bytes", "largest macs")
    try:
        graph = read_model(chosen.model) if chosen.model else mobilenet_v2(images=1)
        for world_size in chosen.n:
            table.add_row(str(world_size), *_figures(seed_scheme(graph, world_size)))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    Console().print(table)
    return 0


def _figures(cost: SeedCost) -> list[str]:
    peaks = (cost.peak_bytes, cost.peak_double_buffer_bytes)
    return [f"{figure:,}" for figure in (*peaks, cost.traffic_bytes, max(cost.macs))]


if __name__ == "__main__":
    sys.exit(main())
