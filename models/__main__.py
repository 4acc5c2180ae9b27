# SPDX-License-Identifier: Apache-2.0
"""``python -m models``: list the seeded networks, or write one to a file."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from models.mobilenet_v2 import mobilenet_v2
from models.pytorch_style import pytorch_style
from models.tiny import NETWORKS
from tflsplit.ir import Graph
from tflsplit.tflite import write_model

FULL = "mobilenet_v2"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    chosen = _parser().parse_args(arguments)
    if chosen.command == "list":
        _list()
        return 0
    graph = _build(chosen)
    path = chosen.output or Path("models", "build", f"{graph.name}.tflite")
    path.parent.mkdir(parents=True, exist_ok=True)
    model = write_model(graph)
    path.write_bytes(model)
    print(f"{path}: {len(graph.nodes)} operators, {len(model):,} bytes")
    return 0


def _build(chosen: argparse.Namespace) -> Graph:
    if chosen.name != FULL:
        graph = NETWORKS[chosen.name]()
    else:
        graph = mobilenet_v2(chosen.alpha, chosen.size, chosen.classes)
    return pytorch_style(graph) if chosen.pytorch else graph


def _list() -> None:
    table = Table("name", "input", "operators", "what it has")
    for name, network in NETWORKS.items():
        graph = network()
        shapes = ", ".join("x".join(map(str, value.shape[1:])) for value in graph.inputs)
        summary = (network.__doc__ or "").splitlines()[0]
        table.add_row(name, shapes, str(len(graph.nodes)), summary)
    summary = (mobilenet_v2.__doc__ or "").splitlines()[0]
    table.add_row(FULL, "any", "65", f"{summary} --alpha, --size, --classes")
    Console().print(table)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m models", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="what can be built")
    build = commands.add_parser("build", help="write one network")
    build.add_argument("name", choices=[*NETWORKS, FULL])
    build.add_argument("-o", "--output", type=Path, help="default: models/build/NAME.tflite")
    build.add_argument("--alpha", type=float, default=1.0, help=f"width of {FULL} (default 1.0)")
    build.add_argument("--size", type=_size, default=224, help=f"rows of {FULL} (default 224)")
    build.add_argument("--classes", type=_positive, default=1000, help="default 1000")
    build.add_argument(
        "--pytorch",
        action="store_true",
        help="as exports from PyTorch have it: a PAD before each padded convolution, NCHW input",
    )
    return parser


def _size(text: str) -> int:
    size = _positive(text)
    if size < 32:
        raise argparse.ArgumentTypeError(f"five layers of stride 2 need at least 32, not {size}")
    return size


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"a positive whole number is wanted, not {text!r}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
