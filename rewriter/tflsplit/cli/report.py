# SPDX-License-Identifier: Apache-2.0
"""``tflsplit report DIR -o report.html``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from tflsplit.api import load
from tflsplit.bundle import Bundle
from tflsplit.bundle.plan_schema import MAX_WORLD_SIZE
from tflsplit.cli.console import STDOUT, Commands, print_json, progress
from tflsplit.cli.folder_cluster import cluster_of_folder
from tflsplit.errors import PlanError
from tflsplit.report.page import require_jinja, write_page

if TYPE_CHECKING:
    from tflsplit.report.content import Content

_BESIDE = "1,2,4,8"


def add_parser(commands: Commands) -> argparse.ArgumentParser:
    """The command's options."""
    command = commands.add_parser(
        "report",
        help="one page that shows a plan: RAM, time, traffic, every layer",
        description="Write one self-contained HTML page: what fits where, RAM over time, what each "
        "device does when, how each layer was split and why, and what it is compared with.",
    )
    command.add_argument("folder", type=Path, metavar="DIR", help="what `rewrite` wrote")
    command.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="the page (DIR/report.html)"
    )
    command.add_argument(
        "--cluster",
        type=Path,
        metavar="FILE",
        help="cluster.toml (what DIR was made for)",
    )
    command.add_argument(
        "--beside",
        default=_BESIDE,
        metavar="N,…",
        help=f"other numbers of devices to show beside, each of which is planned anew ({_BESIDE}); "
        "none: only the plan itself",
    )
    command.add_argument(
        "--model-explorer",
        type=Path,
        metavar="FILE",
        help="also figures of each layer for Model Explorer: FILE.json makes FILE.ranks.json, "
        "FILE.time_us.json and so on, each of which it shows over the unsplit model's graph",
    )
    return command


def main(arguments: argparse.Namespace) -> int:
    """Run the command."""
    require_jinja()
    sizes = _sizes(arguments.beside)
    path = arguments.output or arguments.folder / "report.html"
    with progress("reading") as stage:
        split = load(arguments.folder)
        cluster = cluster_of_folder(split.bundle, arguments.cluster)
        page = split.report(path, cluster, sizes, stage)
        more = _model_explorer(arguments.model_explorer, split.bundle, page.content)
    if arguments.json:
        print_json(
            {
                "report": str(path),
                "size_bytes": page.size_bytes,
                "fits": page.fits,
                "latency_us": page.content.simulation.latency_us,
                "model_explorer": list(map(str, more)),
            }
        )
        return 0
    for file in (page, *more):
        STDOUT.print(f"wrote {file}", soft_wrap=True)
    return 0


def _model_explorer(path: Path | None, bundle: Bundle, content: Content) -> list[Path]:
    """Write a file for each figure; their paths."""
    if path is None:
        return []
    from tflsplit.report.model_explorer import dumped, node_data

    written = []
    ram = [device.ram for device in content.devices]
    for figure, document in node_data(bundle, content.layers, ram).items():
        file = path.with_name(f"{path.stem}.{figure}{path.suffix or '.json'}")
        write_page(file, dumped(document))
        written.append(file)
    return written


def _sizes(text: str) -> list[int]:
    if text == "none":
        return []
    try:
        sizes = [int(part) for part in text.split(",")]
    except ValueError:
        sizes = [0]
    if not all(1 <= size <= MAX_WORLD_SIZE for size in sizes):
        raise PlanError(f"--beside {text!r} is not a list of numbers from 1 to {MAX_WORLD_SIZE}")
    return sizes
