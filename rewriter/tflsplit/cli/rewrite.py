# SPDX-License-Identifier: Apache-2.0
"""``tflsplit rewrite MODEL -n N``."""

from __future__ import annotations

import argparse
from pathlib import Path

from tflsplit.api.clusters import DEFAULT_BOARD
from tflsplit.bundle.plan_json import Json
from tflsplit.cli.beside import beside, print_beside, print_verdict, weights_note
from tflsplit.cli.choosing import Choosing
from tflsplit.cli.console import (
    STDOUT,
    Commands,
    counted,
    dropped_note,
    kib,
    millions,
    print_json,
    progress,
    table,
)
from tflsplit.cli.firmware import (
    add_board_options,
    add_options,
    refuse_boards_without_firmware,
    wired,
)
from tflsplit.cli.firmware_of_rewrite import FirmwareOfRewrite
from tflsplit.cli.manual import add_manual, manual_wishes
from tflsplit.cli.planning import add_cluster_options, add_objective, cluster_of
from tflsplit.passes.prepare import dropped
from tflsplit.rewriting.rewrite import Split, rewrite


def add_parser(commands: Commands) -> argparse.ArgumentParser:
    """The command's options."""
    command = commands.add_parser(
        "rewrite",
        usage="tflsplit rewrite MODEL -n N [options]",
        help="split a model: one graph per device, and plan.json",
        description="Split an int8 .tflite model inside its layers over up to N devices.",
        epilog="More of the firmware (baud rate, arena margin, …): `tflsplit firmware --help`.",
    )
    command.add_argument("model", type=Path, metavar="MODEL", help="an int8 .tflite file")
    command.add_argument(
        "-o", "--output", type=Path, metavar="DIR", help="output folder (build/<model name>)"
    )
    command.add_argument(
        "--force",
        action="store_true",
        help="write into DIR whatever it holds; other files stay",
    )
    add_objective(command)
    add_manual(command)
    add_cluster_options(command)
    add_board_options(command)
    add_options(command, shown=False)
    return command


def main(arguments: argparse.Namespace) -> int:
    """Run the command."""
    refuse_boards_without_firmware(arguments.board)
    cluster = wired(cluster_of(arguments, arguments.board or DEFAULT_BOARD), arguments)
    wishes = manual_wishes(arguments, cluster.world_size)
    folder = arguments.output or Path("build") / arguments.model.stem
    firmware = FirmwareOfRewrite(folder, arguments, cluster if arguments.cluster else None)
    choosing = Choosing(arguments, cluster, wishes, firmware.leave_out)
    splits: list[Split] = []
    with progress("reading") as stage:
        document = rewrite(
            arguments.model,
            folder,
            choosing,
            arguments.force,
            stage,
            firmware,
            splits.append,
            choosing.remembered,
        )
        stage("comparing with one device")
        rows = beside(choosing)
    chosen = firmware.choose()
    if arguments.json:
        print_json({**document, "left_out": list(choosing.left_out), "beside": rows})
    else:
        print_verdict(choosing, rows)
        _print(document, folder)
        if note := _dropped_note(splits[0]):
            STDOUT.print(note, soft_wrap=True)
        print_beside(rows)
        if note := weights_note(choosing, measured=False):
            STDOUT.print(note, soft_wrap=True)
        STDOUT.print(f"wrote {folder}; next: tflsplit verify {folder}", soft_wrap=True)
        STDOUT.print(chosen, soft_wrap=True)
    return 0


def _dropped_note(split: Split) -> str:
    assert split.model is not None
    without = dropped(split.model, split.whole)
    return dropped_note(without.channels, without.macs, without.of_macs - without.macs)


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
    size = document["world_size"]
    table(f"{document['model_name']} on {counted(size, 'device')}", columns, rows)
    moved = sum(device["sent_bytes"] for device in document["devices"])
    STDOUT.print(
        f"{kib(moved)} move between the devices per inference. "
        "Arena: TFLM's, on a 32-bit microcontroller with reference kernels."
    )
