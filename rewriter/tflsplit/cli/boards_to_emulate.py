# SPDX-License-Identifier: Apache-2.0
"""Which boards ``tflsplit emulate`` starts."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Protocol

from tflsplit.cluster import Cluster
from tflsplit.emulate.machines import EMULATED_BOARDS
from tflsplit.errors import ClusterError

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
        default=(DEFAULT_BOARD,),
        help=f"one board for all, or one for each, with commas ({DEFAULT_BOARD}, a Cortex-M7)",
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
