# SPDX-License-Identifier: Apache-2.0
"""``tflsplit upload DIR``."""

from __future__ import annotations

import argparse
from pathlib import Path

from tflsplit.bundle import read_bundle
from tflsplit.bundle.remembered import remembered_teams
from tflsplit.cli.console import STDOUT, Commands, print_json, table
from tflsplit.errors import ClusterError
from tflsplit.firmware.upload import Target, flash, named_targets, refuse_emulated, targets
from tflsplit.host import read_firmware_setup
from tflsplit.host.known_boards import read_boards, write_boards
from tflsplit.host.usb import usb_ports


def add_parser(commands: Commands) -> argparse.ArgumentParser:
    """The command's options."""
    command = commands.add_parser(
        "upload",
        help="flash the boards, one after the other",
        description="Build and flash the firmware of an output folder with PlatformIO. Boards are "
        "told apart by their serial numbers; which one is which rank is remembered in DIR.",
    )
    command.add_argument("folder", type=Path, metavar="DIR", help="what `rewrite` wrote")
    which = command.add_mutually_exclusive_group()
    which.add_argument("--rank", type=int, metavar="R", help="only this one")
    which.add_argument("--all", action="store_true", help="every rank (so it is without --rank)")
    command.add_argument(
        "--ports",
        metavar="PORT[,PORT…]",
        help="of the boards, in the order of their ranks, one team after another",
    )
    command.add_argument(
        "--dry-run", action="store_true", help="say which board would become which rank"
    )
    return command


def main(arguments: argparse.Namespace) -> int:
    """Run the command."""
    chosen = _targets(arguments)
    if not arguments.json:
        rows = [[str(t.rank), t.board, t.port, t.serial_number or "–"] for t in chosen]
        table("boards", ["rank", "<board", "<port", "<serial number"], rows)
    if not arguments.dry_run:
        for target in chosen:
            if not arguments.json:
                STDOUT.print(f"flashing rank {target.rank} at {target.port}", soft_wrap=True)
            flash(arguments.folder, target, quiet=arguments.json)
            if [each.rank for each in chosen].count(target.rank) == 1:
                _remember(arguments.folder, target)
    if arguments.json:
        print_json({"dry_run": arguments.dry_run, "boards": [vars(target) for target in chosen]})
    elif not arguments.dry_run:
        flashed = f"{len(chosen)} board{'s' * (len(chosen) > 1)}"
        STDOUT.print(
            f"flashed {flashed}; next: tflsplit cluster {arguments.folder} --input FILE",
            soft_wrap=True,
        )
    return 0


def _targets(arguments: argparse.Namespace) -> list[Target]:
    folder: Path = arguments.folder
    bundle = read_bundle(folder)
    setup = read_firmware_setup(folder, bundle.document)
    boards = [str(device["board"]) for device in setup.devices]
    names = arguments.ports.split(",") if arguments.ports else []
    if not boards:
        raise ClusterError(f"{folder} has no firmware; run `tflsplit firmware {folder}`")
    ranks = list(range(len(boards)))
    if arguments.rank is not None:
        if arguments.rank not in ranks:
            raise ClusterError(
                f"there is no rank {arguments.rank}: they are 0 to {len(boards) - 1}"
            )
        ranks = [arguments.rank]
    refuse_emulated(folder, boards, ranks)
    teams = remembered_teams(bundle.document, bundle.folder)
    if teams > 1 and names and len(names) % len(ranks) == 0:
        teams = len(names) // len(ranks)  # as many boards as are there
    ranks *= teams
    if names:
        return named_targets(boards, ranks, names, usb_ports())
    return targets(boards, ranks, usb_ports(), read_boards(folder))


def _remember(folder: Path, target: Target) -> None:
    """Which board this rank is; no other rank is it any longer."""
    if target.serial_number:
        others = read_boards(folder).items()
        known = {rank: number for rank, number in others if number != target.serial_number}
        write_boards(folder, {**known, target.rank: target.serial_number})
