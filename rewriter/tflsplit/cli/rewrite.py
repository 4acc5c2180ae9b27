# SPDX-License-Identifier: Apache-2.0
"""``tflsplit rewrite MODEL -n N``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from tflsplit.api import SplitModel
from tflsplit.api.clusters import DEFAULT_BOARD
from tflsplit.api.project import Project
from tflsplit.api.rewriting import divided
from tflsplit.bundle.folder import refuse_folder
from tflsplit.bundle.plan_json import Json
from tflsplit.cli.beside import beside, print_beside, print_verdict, weights_note
from tflsplit.cli.console import (
    STDOUT,
    Commands,
    dropped_note,
    print_json,
    progress,
    table,
    warn,
)
from tflsplit.cli.firmware import how_to_build
from tflsplit.cli.firmware_options import (
    add_board_options,
    add_options,
    project_of,
    registry_notes,
    wired,
)
from tflsplit.cli.manual import add_manual, manual_wishes
from tflsplit.cli.parsing import add_two_helps
from tflsplit.cli.planning import add_cluster_options, add_objective, cluster_of
from tflsplit.errors import counted
from tflsplit.firmware import Wanted, choose_nodes
from tflsplit.firmware.serial_load import rate_warnings
from tflsplit.passes.prepare import dropped
from tflsplit.planner.collecting import collecting_rarely
from tflsplit.report.figures import kib, millions
from tflsplit.rewriting.chooser import Chooser

_RARE = (
    "model", "force", "plan", "manual", "json", "quiet", "verbose", "direct", "stream", "max_ram",
    "max_weights", "topology", "gateway", "ahead",
)  # fmt: skip
"""What ``--help`` leaves to ``--help-all``, so that it fits a terminal of 24 lines."""


def add_parser(commands: Commands) -> argparse.ArgumentParser:
    """The command's options."""
    command = commands.add_parser(
        "rewrite",
        usage="tflsplit rewrite MODEL -n N [options]",
        help="split a model: one graph per device, and plan.json",
        description="Split an int8 .tflite model inside its layers over up to N devices.",
        epilog="More of the firmware (baud rate, arena margin, …): `tflsplit firmware --help`.",
        add_help=False,
    )
    add_two_helps(command, *_RARE)
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
    project = project_of(arguments)
    cluster = wired(cluster_of(arguments, arguments.board or DEFAULT_BOARD), arguments)
    project.refuse_boards_without_firmware(cluster)
    by = manual_wishes(arguments, cluster.world_size) or arguments.plan
    folder = arguments.output or Path("build") / arguments.model.stem
    chooser = Chooser(cluster, arguments.objective or "latency", by)
    refuse_folder(folder, arguments.force)
    with collecting_rarely(), progress("reading") as stage:
        split = divided(arguments.model, chooser, project, stage)
        warn(chooser.warnings)
        used = chooser.planned.cluster
        named = [device.board for device in used.devices if used.world_size > 1]
        warn(rate_warnings(named, used.link.kind.value, used.link.bit_rate))
        warn(registry_notes(arguments, chooser.planned))
        split.save(folder, arguments.force)
        stage("comparing with one device")
        rows = beside(chooser)
    chosen = _chosen(folder, project, project.wanted or arguments.cluster is not None)
    if arguments.json:
        print_json({**split.plan, "left_out": list(chooser.left_out), "beside": rows})
        return 0
    print_verdict(chooser, rows)
    _print(split.plan, rows[0]["arena_bytes"])
    _print_note(_dropped_note(split))
    print_beside(rows)
    _print_note(weights_note(chooser, measured=False))
    STDOUT.print(f"wrote {folder}; next: tflsplit verify {folder}", soft_wrap=True)
    STDOUT.print(chosen, soft_wrap=True)
    return 0


def _chosen(folder: Path, project: Project, named: bool) -> str:
    """Let `pio run` build this folder; what to tell the user.

    named: the firmware was asked for, not only written beside the graphs.
    """
    if project.problem:
        return f"no firmware: {project.problem}"
    wanted = Wanted.NAMED if named else Wanted.WRITTEN
    return f"firmware: {how_to_build(folder, choose_nodes(folder, wanted))}"


def _print_note(text: str) -> None:
    if text:
        STDOUT.print(text)


def _dropped_note(split: SplitModel) -> str:
    without = dropped(split.bundle.model, split.whole)
    return dropped_note(without.channels, without.macs, without.of_macs - without.macs)


def _print(document: Json, arena_bytes: int) -> None:
    """arena_bytes: of the fullest device, with the kernels of its board."""
    columns = ["rank", "arena", "= head", "+ tail", "weights", "sent", "received", "MACs"]
    rows = [
        [
            str(device["rank"]),
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
    size, teams = document["world_size"], (document.get("cluster") or {}).get("teams", 1)
    where = f", the same in each of {teams} teams" if teams > 1 else ""
    table(f"{document['model_name']} on {counted(size, 'device')}{where}", columns, rows)
    moved = sum(device["sent_bytes"] for device in document["devices"])
    moves = f"{kib(moved)} move between the devices per inference. " if size > 1 else ""
    STDOUT.print(f"{moves}{arena_words(document['devices'], arena_bytes)}")


def arena_words(devices: Sequence[Json], arena_bytes: int) -> str:
    """What the arenas of the table are.

    devices: as in plan.json; arena_bytes: of the fullest, with the kernels of its board.
    """
    reference_bytes = max(device["arena_required_bytes"] for device in devices)
    others = f"; with the kernels of its board the fullest takes {kib(arena_bytes)}"
    is_more = arena_bytes > reference_bytes and kib(arena_bytes) != kib(reference_bytes)
    exact = all(device["arena_exact"] for device in devices)
    unsure = " ~: some operator's part of it is not known to the byte (docs/arena.md)."
    return (
        "Arena: TFLM's, on a 32-bit microcontroller with reference kernels"
        f"{others if is_more else ''}.{'' if exact else unsure}"
    )
