# SPDX-License-Identifier: Apache-2.0
"""The table at the head of README.md: one plan a column, each made by the command above it.

    python -m benchmarks.headline models/build/mobilenet_v2_1.0_224.tflite     writes it

The model is that of ``make demo``, and so is the second column.  Every figure is what a command of
the table printed; a column whose bits differ from the unsplit model's is an error.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.readme import write_section

ROOT = Path(__file__).resolve().parents[1]
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "one board": ("-n", "1"),
    "`make demo`": ("-n", "8"),
    "SPI": ("-n", "8", "--link", "spi"),
    "SPI, all on USB": ("-n", "8", "--link", "spi", "--direct"),
    "least RAM": ("-n", "8", "--objective", "ram"),
}
"""The options of ``tflsplit rewrite MODEL``."""
SCHEME = ("--link", "ethernet", "--baseline")
"""The options of ``tflsplit simulate`` that time the other scheme on the network of its paper."""

Run = Callable[[Sequence[str]], dict[str, Any]]


def tflsplit(words: Sequence[str]) -> dict[str, Any]:
    """What a command answers; CalledProcessError if it fails, or ``verify`` finds other bits."""
    command = [sys.executable, "-m", "tflsplit", *words, "--json"]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=ROOT)
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def measured(model: Path, folder: Path, run: Run = tflsplit) -> dict[str, Any]:
    """The figures of all columns, and of what they are compared with.

    folder: for the plans.
    """
    inspected = run(("inspect", str(model)))
    columns = {}
    for index, (name, options) in enumerate(COLUMNS.items()):
        out = str(folder / str(index))
        document = run(("rewrite", str(model), *options, "-o", out))
        verdict = run(("verify", out, "--runs", "3"))
        columns[name] = {**_column(document), "passed": verdict["passed"]}
    demo = str(folder / str([*COLUMNS].index("`make demo`")))
    scheme = run(("simulate", demo, *SCHEME))["seed"]
    return {"stock": inspected["one_board"], "columns": columns, "scheme": scheme}


def _column(document: Mapping[str, Any]) -> dict[str, Any]:
    devices = document["devices"]
    return {
        "boards": document["world_size"],
        "arena_bytes": max(device["arena_required_bytes"] for device in devices),
        "weights_bytes": max(device["weights_bytes"] for device in devices),
        "sent_bytes": sum(device["sent_bytes"] for device in devices),
        "latency_us": document["beside"][0]["latency_us"],
    }


def table(figures: Mapping[str, Any]) -> str:
    """The section: Markdown."""
    columns = figures["columns"]
    lines = [
        _line("", columns),
        "|---" * (len(columns) + 1) + "|",
        _line("`tflsplit rewrite MODEL` …", [f"`{' '.join(COLUMNS[name])}`" for name in columns]),
    ]
    rows: dict[str, Callable[[Mapping[str, Any]], str]] = {
        "boards that it uses": lambda c: str(c["boards"]),
        "arena of the fullest": lambda c: _kib(c["arena_bytes"]),
        "weights of the fullest": lambda c: _kib(c["weights_bytes"]),
        "moved between boards": lambda c: _kib(c["sent_bytes"]) if c["boards"] > 1 else "–",
        "an inference": lambda c: f"{c['latency_us'] / 1000:.0f} ms",
        "the unsplit model's bits": lambda c: "all" if c["passed"] else "NO",
    }
    lines += [_line(name, map(cell, columns.values())) for name, cell in rows.items()]
    stock, scheme = figures["stock"], figures["scheme"]
    lines += [
        "",
        f"TFLM alone would need an arena of {_kib(stock['tflm_arena_bytes'])} "
        "(`tflsplit inspect MODEL`). Flat splitting, the scheme of",
        "[*Split CNN Inference on Networked Microcontrollers*](https://arxiv.org/abs/2605.09357), "
        "would",
        f"move {scheme['payload_bytes'] / 1e6:.1f} MB and take "
        f"{scheme['latency_us'] / 1e6:.1f} s on the boards of `make demo` over 100 Mbit/s Ethernet",
        f"(`tflsplit simulate build/demo {' '.join(SCHEME)}`).",
    ]
    return "\n".join(lines)


def _line(name: str, cells: Any) -> str:
    return "| " + " | ".join([name, *cells]) + " |"


def _kib(size_bytes: int) -> str:
    return (
        f"{size_bytes / 1024:,.0f} KiB"
        if size_bytes < 1 << 20
        else f"{size_bytes / (1 << 20):.2f} MiB"
    )


def main() -> None:
    """Measure, and write the section."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measured(chosen.model.resolve(), Path(folder))
    if not all(column["passed"] for column in figures["columns"].values()):
        raise SystemExit("other bits than the unsplit model's; nothing is written")
    write_section("headline", table(figures), ROOT / "README.md")


if __name__ == "__main__":
    main()
