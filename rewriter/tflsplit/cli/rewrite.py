# SPDX-License-Identifier: Apache-2.0
"""``tflsplit rewrite MODEL -n N``."""

from __future__ import annotations

import argparse
from pathlib import Path

from tflsplit.bundle.plan_json import Json
from tflsplit.cli.console import STDOUT, Commands, kib, millions, print_json, progress, table
from tflsplit.cli.firmware import FirmwareOfRewrite, add_options, wired
from tflsplit.cli.planning import (
    DEFAULT_BOARD,
    add_cluster_options,
    add_objective,
    cluster_of,
    idle_note,
    planner_of,
)
from tflsplit.errors import PlanError
from tflsplit.plan.spec import Way, parse_shares
from tflsplit.plan.wishes import RUN_WAYS, Wishes
from tflsplit.rewrite import rewrite

_LAYER_WAYS = [way.value for way in Way if way is not Way.OTHER]


def add_parser(commands: Commands) -> argparse.ArgumentParser:
    """The command's options."""
    command = commands.add_parser(
        "rewrite",
        help="split a model: one graph per device, and plan.json",
        description="Split an int8 .tflite model inside its layers over N devices.",
    )
    command.add_argument("model", type=Path, help="an int8 .tflite file")
    command.add_argument(
        "-o", "--output", type=Path, metavar="DIR", help="output folder (build/<model name>)"
    )
    add_objective(command)
    command.add_argument(
        "--force",
        action="store_true",
        help="write into DIR beside other things, which stay, and over files of an earlier output "
        "that were changed since",
    )
    add_cluster_options(command)
    _add_manual_options(command)
    add_options(command)
    return command


def _add_manual_options(parser: argparse.ArgumentParser) -> None:
    command = parser.add_argument_group(
        "by hand", "any of these replaces the search for the best plan by a simple policy"
    )
    command.add_argument(
        "--split",
        choices=["auto", *RUN_WAYS],
        help="how weighted layers are split; a layer that cannot be split so takes the cheapest "
        "other way (auto: rows while maps are large, channels afterwards)",
    )
    command.add_argument(
        "--layer",
        action="append",
        default=[],
        metavar="NAME=WAY",
        help="force one layer's way (repeatable); NAME as `inspect` prints it, or its number: "
        + ", ".join(_LAYER_WAYS),
    )
    command.add_argument(
        "--shares", metavar="2,1,…", help="work of each device, in proportion (equal)"
    )
    command.add_argument(
        "--weights-limit",
        type=float,
        metavar="F",
        help="rows repeat weights on every device, up to this fraction of the model's weights "
        "(0.24, or 1.25 times the largest share)",
    )
    command.add_argument(
        "--stock-kernels",
        action="store_true",
        help="TFLSPLIT_SEND and TFLSPLIT_RECV are the only custom operators",
    )


def main(arguments: argparse.Namespace) -> int:
    """Run the command."""
    cluster = wired(cluster_of(arguments, arguments.board or DEFAULT_BOARD), arguments)
    wishes = _wishes(arguments, cluster.world_size)
    folder = arguments.output or Path("build") / arguments.model.stem
    firmware = FirmwareOfRewrite(folder, arguments, cluster if arguments.cluster else None)
    with progress("reading") as stage:
        document = rewrite(
            arguments.model,
            folder,
            wishes or planner_of(arguments, cluster),
            arguments.force,
            stage,
            firmware,
        )
    chosen = firmware.choose()
    if arguments.json:
        print_json(document)
    else:
        _print(document, folder)
        STDOUT.print(chosen, soft_wrap=True)
    return 0


def _wishes(arguments: argparse.Namespace, world_size: int) -> Wishes | None:
    """What is asked for by hand; None if nothing is, and the plan is to be searched."""
    manual = {
        "--split": arguments.split,
        "--layer": arguments.layer,
        "--shares": arguments.shares,
        "--weights-limit": arguments.weights_limit,
        "--stock-kernels": arguments.stock_kernels,
    }
    given = [name for name, value in manual.items() if value not in (None, [], False)]
    if not given:
        return None
    for name in ("objective", "plan", "max_arena", "max_weights"):
        if getattr(arguments, name) is not None:
            option = "--" + name.replace("_", "-")
            raise PlanError(f"{given[0]} divides the model by hand, {option} searches: give one")
    return Wishes(
        world_size=world_size,
        split=arguments.split or "auto",
        layers=dict(_layer(text) for text in arguments.layer),
        shares=parse_shares(arguments.shares, world_size) if arguments.shares else (),
        stock_kernels=arguments.stock_kernels,
        weights_limit=_fraction(arguments.weights_limit),
    )


def _layer(text: str) -> tuple[str, Way]:
    name, separator, way = text.rpartition("=")
    if not separator or way not in _LAYER_WAYS:
        ways = ", ".join(_LAYER_WAYS)
        raise PlanError(f"--layer {text!r} is not NAME=WAY with WAY one of {ways}")
    return name, Way(way)


def _fraction(number: float | None) -> float | None:
    if number is not None and not 0 <= number <= 1:
        raise PlanError(f"--weights-limit {number} is not between 0 and 1")
    return number


def _print(document: Json, folder: Path) -> None:
    columns = ["rank", "<file", "arena", "= head", "+ tail", "weights", "sent", "received", "MACs"]
    rows = [
        [
            str(device["rank"]),
            device["file"],
            kib(device["arena_bytes"]) + ("" if device["arena_exact"] else " ~"),
            kib(device["arena_head_bytes"]),
            kib(device["arena_tail_bytes"]),
            kib(device["weights_bytes"]),
            kib(device["sent_bytes"]),
            kib(device["received_bytes"]),
            millions(device["macs"]),
        ]
        for device in document["devices"]
    ]
    table(f"{document['model_name']} on {document['world_size']} devices", columns, rows)
    moved = sum(device["sent_bytes"] for device in document["devices"])
    STDOUT.print(
        f"{kib(moved)} move between the devices per inference. "
        "Arena: TFLM's, on a 32-bit microcontroller with reference kernels."
    )
    if note := idle_note(document["devices"]):
        STDOUT.print(note, soft_wrap=True)
    STDOUT.print(f"wrote {folder}; next: tflsplit verify {folder}", soft_wrap=True)
