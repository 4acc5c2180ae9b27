# SPDX-License-Identifier: Apache-2.0
"""Which boards ``tflsplit emulate`` starts."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Protocol

from tflsplit.bundle import Bundle
from tflsplit.cli.console import note
from tflsplit.cluster import Cluster
from tflsplit.emulate.machines import EMULATED_BOARDS
from tflsplit.errors import ClusterError
from tflsplit.host import read_firmware_setup

DEFAULT_BOARD = "mps2_an500"


class Options(Protocol):
    """A parser, or a group of one."""

    def add_argument(self, *names: str, **how: Any) -> argparse.Action:
        """Another option."""


def add_boards(options: Options) -> None:
    """``--board`` and ``--cluster``."""
    options.add_argument(
        "--board",
        type=boards_of_text,
        metavar="NAMES",
        help="one board for all, or one for each, with commas (those that DIR was made for, or "
        f"where one of them cannot be emulated, {DEFAULT_BOARD}, a Cortex-M7)",
    )
    options.add_argument(
        "--cluster", type=Path, metavar="FILE", help="the boards and wires of a cluster.toml"
    )


def boards_of_text(text: str) -> tuple[str, ...]:
    """``--board``: one for all devices, or one for each, with commas; for argparse."""
    names = tuple(text.split(","))
    for name in names:
        if name not in EMULATED_BOARDS:
            raise argparse.ArgumentTypeError(f"{name!r} cannot be emulated; boards: {_known()}")
    return names


def boards_of_folder(bundle: Bundle) -> tuple[str, ...]:
    """Without ``--board``: what the folder's firmware is for, if all of that can be emulated.

    Says on standard error which board stands for others.  PlanError for a damaged firmware.json.
    """
    setup = read_firmware_setup(bundle.folder, bundle.document)
    boards = tuple(str(device["board"]) for device in setup.devices)
    others = sorted({board for board in boards if board not in EMULATED_BOARDS})
    if boards and not others:
        return boards
    if others:
        note(
            f"{' and '.join(others)} cannot be emulated: {DEFAULT_BOARD}, a Cortex-M7, instead of "
            "what it was made for (--board names others)"
        )
    return (DEFAULT_BOARD,)


def boards_of_cluster(cluster: Cluster, file: Path) -> tuple[str, ...]:
    """``--cluster``: its boards, by rank; ClusterError if one cannot be emulated."""
    boards = [device.board for device in cluster.devices]
    for rank, board in enumerate(boards):
        if board not in EMULATED_BOARDS:
            what = f"board {board!r}, which" if board else "no known board: that"
            raise ClusterError(
                f"{file}: device {rank} has {what} cannot be emulated; boards: {_known()}"
            )
    return tuple(boards)


def _known() -> str:
    return ", ".join(sorted(EMULATED_BOARDS))
