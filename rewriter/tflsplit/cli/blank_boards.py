# SPDX-License-Identifier: Apache-2.0
"""``tflsplit emulate --native --blank 8``: boards to try ``discover`` and ``deploy`` on."""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from tflsplit.cli.console import STDOUT, progress
from tflsplit.emulate.blank import Port, blank_boards, blank_cluster
from tflsplit.emulate.cluster import Cluster
from tflsplit.emulate.native_build import build_generic
from tflsplit.errors import LinkError, UserError, counted

_MOST_BOARDS = 63
_LOOK_SECONDS = 0.5


def add_blank(command: argparse.ArgumentParser) -> None:
    """The options."""
    command.add_argument(
        "--blank",
        type=int,
        metavar="N",
        help="with --native, without DIR: N boards that hold no plan, and a port for discover and "
        "deploy; until Ctrl-C",
    )
    command.add_argument(
        "--listen", type=int, default=0, metavar="PORT", help="of --blank: its number (any free)"
    )


def emulate_blank(arguments: argparse.Namespace) -> int:
    """Boards without a plan, until the user has had enough.

    Raises UserError for a number of boards that cannot be, LinkError when a board ends.
    """
    count, topology = arguments.blank, arguments.topology or "ring"
    if not arguments.native or arguments.folder is not None:
        raise UserError("--blank goes with --native, and without a folder")
    if not 1 <= count <= _MOST_BOARDS:
        raise UserError(f"--blank takes 1 to {_MOST_BOARDS} boards")
    if not 0 <= arguments.listen < 1 << 16:
        raise UserError("--listen takes the number of a port, 1 to 65535")
    with progress("building the generic firmware"):
        program = build_generic()
    with (
        tempfile.TemporaryDirectory(prefix="tflsplit-blank-") as folder,
        blank_cluster(blank_boards(program, count, Path(folder)), topology) as cluster,
        Port(cluster.host_sockets[0], arguments.listen) as port,
    ):
        shape = f", wired as a {topology}" if count > 1 else ""
        STDOUT.print(f"{counted(count, 'blank board')}{shape}; their port is {port.url}")
        STDOUT.print(f"try: tflsplit discover --port {port.url}", soft_wrap=True)
        STDOUT.print(f"     tflsplit deploy MODEL --port {port.url}", soft_wrap=True)
        STDOUT.print("Ctrl-C ends them")
        STDOUT.file.flush()
        _wait(cluster, count)
    return 0


def _wait(cluster: Cluster, count: int) -> None:
    """Until Ctrl-C or SIGTERM; LinkError if a board ends by itself."""
    try:
        while True:
            time.sleep(_LOOK_SECONDS)
            for board in range(count):
                status = cluster.exit_status(board)
                if status is not None:
                    raise LinkError(f"board {board} has ended with status {status}")
    except KeyboardInterrupt:
        return
