# SPDX-License-Identifier: Apache-2.0
"""How the time and memory of ``rewrite`` and ``verify`` grow with devices and with the model.

Every figure is of a whole command, Python's start included, run one after the other as a user
would; ratios are to the first row of the same run.  Wall time counts only on a quiet machine, CPU
time nearly always.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measure import CommandError, Measured, run, seeded_mobilenet
from benchmarks.readme import write_section

DEVICES = (1, 2, 4, 8, 16, 32, 64)
SIZES = ((0.35, 96), (0.35, 224), (0.5, 160), (1.0, 160), (1.0, 224), (1.4, 224))
MODES: dict[str, list[str]] = {"search": [], "policy": ["--manual", "split=auto"]}
HEADINGS = ("wall s", "CPU s", "CPU ratio", "peak MB", "peak ratio")


@dataclass(frozen=True)
class Case:
    """One model rewritten for some devices, then verified."""

    label: str
    extent: str
    rewrite: Measured
    verify: Measured


def measure(model: Path, label: str, world_size: int, mode: Sequence[str]) -> Case:
    """Rewrite and verify (one smooth input and the edge cases); CommandError if either fails."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = str(Path(scratch) / "out")
        options = ["-n", str(world_size), "-o", folder, "--json", *mode]
        rewritten = run(["tflsplit", "rewrite", str(model), *options])
        verified = run(["tflsplit", "verify", folder, "--runs", "1", "--json"])
    return Case(label, extent(json.loads(rewritten.output)), rewritten, verified)


def extent(document: dict[str, Any]) -> str:
    """What a device graph of a plan is made of, over all devices."""
    nodes = sum(device["nodes"] for device in document["devices"])
    files = sum(device["file_bytes"] for device in document["devices"])
    return f"{nodes:,} ops, {files / 1e6:.1f} MB"


def by_devices(counts: Sequence[int], mode: Sequence[str]) -> list[Case]:
    """MobileNetV2 1.0 224 on more and more devices."""
    model = seeded_mobilenet(1.0, 224)
    return [measure(model, f"N = {count}", count, mode) for count in counts]


def by_size(world_size: int, mode: Sequence[str]) -> list[Case]:
    """Larger and larger MobileNetV2s on as many devices."""
    cases = []
    for alpha, size in SIZES:
        model = seeded_mobilenet(alpha, size)
        label = f"{alpha} {size}, {model.stat().st_size / 1e6:.1f} MB"
        cases.append(measure(model, label, world_size, mode))
    return cases


def markdown(title: str, cases: Sequence[Case]) -> str:
    """A table, one row per case; ratios to the first."""
    columns = [f"{command} {name}" for command in ("rewrite", "verify") for name in HEADINGS]
    lines = [f"**{title}**", "", _row(["", "device graphs", *columns]), _row(["---"] * 12)]
    first = cases[0]
    for case in cases:
        cells = [
            *_cells(case.rewrite, first.rewrite),
            *_cells(case.verify, first.verify),
        ]
        lines.append(_row([case.label, case.extent, *cells]))
    return "\n".join(lines) + "\n"


def _cells(measured: Measured, first: Measured) -> list[str]:
    return [
        f"{measured.wall_s:.1f}",
        f"{measured.cpu_s:.1f}",
        f"{measured.cpu_s / first.cpu_s:.1f}",
        f"{measured.peak_bytes / 1e6:.0f}",
        f"{measured.peak_bytes / first.peak_bytes:.1f}",
    ]


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables as Markdown."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("-n", type=int, nargs="+", default=list(DEVICES), metavar="DEVICES")
    parser.add_argument("--readme", action="store_true", help="write them into README.md, too")
    parser.add_argument("--modes", nargs="+", choices=list(MODES), default=list(MODES))
    parser.add_argument(
        "--what", nargs="+", choices=("devices", "size"), default=["devices", "size"]
    )
    chosen = parser.parse_args(arguments)
    try:
        start = run(["tflsplit", "--version"])
        texts = [f"Start of Python and the package alone: {start.cpu_s:.1f} s of CPU.\n"]
        for mode in chosen.modes:
            if "devices" in chosen.what:
                title = f"MobileNetV2 1.0 224, plan by {mode}"
                texts.append(markdown(title, by_devices(chosen.n, MODES[mode])))
            if "size" in chosen.what:
                title = f"seeded MobileNetV2 by width and size on 8 devices, plan by {mode}"
                texts.append(markdown(title, by_size(8, MODES[mode])))
            print(f"{mode}: done", file=sys.stderr, flush=True)
        print("\n".join(texts))
        if chosen.readme:
            write_section("scaling", "\n".join(texts))
    except CommandError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
