# SPDX-License-Identifier: Apache-2.0
"""tflsplit beside the seed system's scheme: RAM, traffic and balance, both computed in one run.

Our figures are those of plan.json as ``tflsplit rewrite`` writes it, the scheme's come from
``benchmarks.seed_scheme``, from the same file.  So that like is compared with like,

* peak_bytes are live activations of the fullest device (ours: the largest sum of tensors and
  scratch that are alive at once; the arena, TFLM's own structures included, stands beside it);
* moved_bytes are payload without frames: every byte once for each device that receives it, the
  image to the devices and the result to the host included.  The scheme's bytes go up to a hub and
  down again, ours from device to device, so the scheme's are counted on both legs;
* balance is the mean of the devices' multiply-accumulates over the largest: 1 is perfect;
* uart_ms and ethernet_ms are one inference, simulated: ours on Teensy 4.1 in a ring of 6 Mbaud
  UARTs and on a switch of 100 Mbit/s (the same plan), the scheme's on the same devices, each wired
  to a PC by such a UART or by such a switch.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.measure import CommandError, run, seeded_mobilenet
from benchmarks.readme import write_section
from tflsplit.baseline import seed_scheme
from tflsplit.cluster import default_cluster, parse_cluster
from tflsplit.errors import UserError
from tflsplit.ir import DType, Graph
from tflsplit.ops import Box
from tflsplit.sim import simulate_seed
from tflsplit.tflite import read_model

WAYS: dict[str, list[str]] = {
    "default": [],
    "objective ram": ["--objective", "ram"],
    "rows only": ["--manual", "split=rows", "weights-limit=1"],
    "channels only": ["--manual", "split=channels"],
    "stock kernels": ["--manual", "stock-kernels"],
}
HEADINGS = ("peak_bytes", "arena_bytes", "weights_bytes", "moved_bytes", "balance", "uart_ms",
            "ethernet_ms")  # fmt: skip
_SWITCH = """\
topology = "bus"
[link]
kind = "ethernet"
[[device]]
board = "teensy41"
count = {}
"""


@dataclass(frozen=True)
class Figures:
    """One way to split, of the fullest or busiest device; None: the scheme knows none."""

    peak_bytes: int
    arena_bytes: int | None
    weights_bytes: int | None
    moved_bytes: int
    balance: float
    uart_ms: float | None = None
    ethernet_ms: float | None = None


def of_seed(graph: Graph, world_size: int) -> Figures:
    """The scheme's; errors of ``seed_scheme``."""
    cost = seed_scheme(graph, world_size)
    uart, ethernet = (
        simulate_seed(graph, cluster).latency_us / 1000
        for cluster in (default_cluster(world_size), parse_cluster(_SWITCH.format(world_size)))
    )
    balanced = balance(cost.macs)
    return Figures(cost.peak_bytes, None, None, cost.traffic_bytes, balanced, uart, ethernet)


def of_rewrite(model: Path, world_size: int, options: Sequence[str]) -> Figures:
    """Ours, as the command writes it; CommandError if it fails."""
    with tempfile.TemporaryDirectory() as scratch:
        folder, switch = Path(scratch) / "out", Path(scratch) / "switch.toml"
        switch.write_text(_SWITCH.format(world_size), encoding="utf-8")
        where = ["-n", str(world_size), "-o", str(folder)]
        result = run(["tflsplit", "rewrite", str(model), *where, "--json", *options])
        uart, ethernet = (latency_ms(folder, words) for words in ((), ("--cluster", str(switch))))
    return replace(of_plan(json.loads(result.output)), uart_ms=uart, ethernet_ms=ethernet)


def latency_ms(folder: Path, options: Sequence[str]) -> float:
    """Of an output folder, by ``tflsplit simulate``; CommandError if it fails."""
    result = run(["tflsplit", "simulate", str(folder), "--json", *options])
    return float(json.loads(result.output)["latencies_us"][0]) / 1000


def of_plan(document: dict[str, Any]) -> Figures:
    """The figures of a plan.json."""
    devices = document["devices"]
    dtypes = {
        entry["tensor"]: DType(entry["dtype"].upper())
        for entry in document["inputs"] + document["outputs"]
    }
    moved = sum(device["received_bytes"] for device in devices)
    for device in devices:
        for shard in device["inputs"] + device["outputs"]:
            moved += Box.from_flat(shard["box"]).size * dtypes[shard["tensor"]].itemsize
    return Figures(
        max(device["peak_live_bytes"] for device in devices),
        max(device["arena_bytes"] for device in devices),
        max(device["weights_bytes"] for device in devices),
        moved,
        balance([device["macs"] for device in devices]),
    )


def balance(macs: Sequence[int]) -> float:
    """Mean over largest; 1 for devices that all do nothing."""
    return sum(macs) / len(macs) / max(macs) if any(macs) else 1.0


def markdown(ways: Mapping[str, Sequence[Figures]], counts: Sequence[int]) -> str:
    """One table per figure: a row for each number of devices, a column for each way."""
    return "\n".join(_table(heading, ways, counts) for heading in HEADINGS)


def _table(heading: str, ways: Mapping[str, Sequence[Figures]], counts: Sequence[int]) -> str:
    head = ["devices", *ways]
    lines = [f"**{heading}**", "", "| " + " | ".join(head) + " |", "|" + "---:|" * len(head)]
    for index, count in enumerate(counts):
        cells = [_cell(getattr(figures[index], heading)) for figures in ways.values()]
        lines.append("| " + " | ".join([str(count), *cells]) + " |")
    return "\n".join(lines) + "\n"


def _cell(figure: float | None) -> str:
    if figure is None:
        return "–"
    if isinstance(figure, int):
        return f"{figure:,}"
    return f"{figure:.3f}" if figure < 10 else f"{figure:,.0f}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables as Markdown."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.versus_seed", description=__doc__)
    parser.add_argument("model", nargs="?", type=Path, help="a .tflite file (MobileNetV2 1.0 224)")
    parser.add_argument("-n", type=int, nargs="+", default=list(range(1, 9)), metavar="DEVICES")
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--readme", action="store_true", help="write them into README.md, too")
    chosen = parser.parse_args(arguments)
    try:
        model = chosen.model or seeded_mobilenet(1.0, 224)
        graph = read_model(model)
        ways = {"the seed's scheme": [of_seed(graph, count) for count in chosen.n]}
        for way in chosen.ways:
            ways[way] = [of_rewrite(model, count, WAYS[way]) for count in chosen.n]
            print(f"{way}: done", file=sys.stderr, flush=True)
        tables = markdown(ways, chosen.n)
        print(tables)
        if chosen.readme:
            write_section("versus_seed", tables)
    except (UserError, CommandError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
