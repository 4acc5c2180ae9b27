# SPDX-License-Identifier: Apache-2.0
"""``tflsplit emulate --native --blank 8``: boards to try ``discover`` and ``deploy`` on."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from tflsplit.cli.console import STDOUT, progress
from tflsplit.emulate.blank import Port, blank_boards, blank_cluster, blank_wires
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
        "--listen",
        type=int,
        default=0,
        metavar="PORT",
        help="of --blank: its number, and those after it where there are several (any free)",
    )
    command.add_argument(
        "--teams",
        type=int,
        default=1,
        metavar="T",
        help="of --blank: so many clusters, which nothing joins, each with a port of its own (1)",
    )


def emulate_blank(arguments: argparse.Namespace) -> int:
    """Boards without a plan, until the user has had enough.

    Raises UserError for a number of boards that cannot be, LinkError when a board ends.
    """
    count, topology, teams = arguments.blank, arguments.topology or "ring", arguments.teams
    if not arguments.native or arguments.folder is not None:
        raise UserError("--blank goes with --native, and without a folder")
    if count < 1 or teams < 1 or count * teams > _MOST_BOARDS:
        raise UserError(f"--blank takes 1 to {_MOST_BOARDS} boards, in all of --teams")
    if not 0 <= arguments.listen < 1 << 16:
        raise UserError("--listen takes the number of a port, 1 to 65535")
    wires = blank_wires(count, topology, teams, bool(arguments.direct))
    with progress("building the generic firmware"):
        program = build_generic()
    with (
        tempfile.TemporaryDirectory(prefix="tflsplit-blank-") as folder,
        blank_cluster(
            blank_boards(program, count * teams, Path(folder)), topology, wires
        ) as cluster,
        ExitStack() as stack,
    ):
        urls = []
        for number, end in enumerate(cluster.host_sockets):
            listen = arguments.listen + number if arguments.listen else 0
            urls.append(stack.enter_context(Port(end, listen)).url)
        _say(count, topology, teams, urls)
        _wait(cluster, count * teams)
    return 0


def _say(count: int, topology: str, teams: int, urls: Sequence[str]) -> None:
    shape = f", wired as a {topology}" if count > 1 else ""
    times = f"{teams} times " if teams > 1 else ""
    are = "port is" if len(urls) == 1 else "ports are"
    boards = f"{times}{counted(count, 'blank board')}{shape}; their {are} {' '.join(urls)}"
    STDOUT.print(boards, soft_wrap=True)
    ports = " ".join(f"--port {url}" for url in urls)
    STDOUT.print(f"try: tflsplit discover {ports}", soft_wrap=True)
    STDOUT.print(f"     tflsplit deploy MODEL {ports}", soft_wrap=True)
    STDOUT.print("Ctrl-C ends them")
    STDOUT.file.flush()


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
