# SPDX-License-Identifier: Apache-2.0
"""``tflsplit emulate --blank 8``: boards to try ``discover`` and ``deploy`` on."""

from __future__ import annotations

import argparse
import os
import select
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from tflsplit.cli.console import STDOUT, note, progress
from tflsplit.emulate.blank import (
    Port,
    await_boards,
    blank_boards_of,
    blank_cluster,
    blank_wires,
)
from tflsplit.emulate.cluster import Cluster
from tflsplit.emulate.generic_build import build_generic_boards
from tflsplit.emulate.interventions import WORDS, read_event
from tflsplit.emulate.machines import HOST_BOARD
from tflsplit.emulate.native_build import build_generic
from tflsplit.errors import ClusterError, LinkError, UserError, counted

_MOST_BOARDS = 63
_LOOK_SECONDS = 0.5
_READ_BYTES = 4096


def add_blank(command: argparse.ArgumentParser) -> None:
    """The options."""
    command.add_argument(
        "--blank",
        type=int,
        metavar="N",
        help="with --native or --board, without DIR: N boards that hold no plan, and a port for "
        "discover and deploy; until Ctrl-C",
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

    Raises UserError for boards that cannot be, LinkError when a board ends by itself.
    """
    count, topology, teams = arguments.blank, arguments.topology or "ring", arguments.teams
    if bool(arguments.native) == bool(arguments.board) or arguments.folder is not None:
        raise UserError("--blank goes with --native or --board, and without a folder")
    if count < 1 or teams < 1 or count * teams > _MOST_BOARDS:
        raise UserError(f"--blank takes 1 to {_MOST_BOARDS} boards, in all of --teams")
    if not 0 <= arguments.listen < 1 << 16:
        raise UserError("--listen takes the number of a port, 1 to 65535")
    kinds = _kinds(arguments, count) * teams
    wires = blank_wires(count, topology, teams, bool(arguments.direct))
    with progress("building the generic firmware"):
        names = list(dict.fromkeys(kinds))
        programs = (
            {HOST_BOARD: build_generic()} if arguments.native else build_generic_boards(names)
        )
    with (
        tempfile.TemporaryDirectory(prefix="tflsplit-blank-") as folder,
        blank_cluster(
            blank_boards_of([(kind, programs[kind]) for kind in kinds], Path(folder)),
            topology, wires, pluggable=True,
        ) as cluster,
        ExitStack() as stack,
    ):  # fmt: skip
        with progress("starting the boards"):
            if not await_boards(cluster, count * teams):
                note("not all of them answer yet: `discover` says which do")
        urls = []
        for number, end in enumerate(cluster.host_sockets):
            listen = arguments.listen + number if arguments.listen else 0
            urls.append(stack.enter_context(Port(end, listen)).url)
        _say(count, topology, teams, urls)
        _wait(cluster, count * teams)
    return 0


def _kinds(arguments: argparse.Namespace, count: int) -> list[str]:
    """The kind of each board of one cluster."""
    kinds = [HOST_BOARD] if arguments.native else list(arguments.board)
    if len(kinds) not in (1, count):
        raise UserError(f"--board names {len(kinds)} boards for {count}: name one, or one for each")
    return kinds * count if len(kinds) == 1 else kinds


def _say(count: int, topology: str, teams: int, urls: Sequence[str]) -> None:
    shape = f", wired as a {topology}" if count > 1 else ""
    times = f"{teams} times " if teams > 1 else ""
    are = "port is" if len(urls) == 1 else "ports are"
    boards = f"{times}{counted(count, 'blank board')}{shape}; their {are} {' '.join(urls)}"
    STDOUT.print(boards, soft_wrap=True)
    ports = " ".join(f"--port {url}" for url in urls)
    STDOUT.print(f"try: tflsplit discover {ports}", soft_wrap=True)
    STDOUT.print(f"     tflsplit deploy MODEL {ports}", soft_wrap=True)
    STDOUT.print("here: kill 1, start 1, cut 0-1, join 0-1, swap 1, …; Ctrl-C ends them")
    STDOUT.file.flush()


def _wait(cluster: Cluster, count: int) -> None:
    """Until Ctrl-C or SIGTERM; does what is typed.  LinkError if a board ends by itself."""
    off: set[int] = set()
    try:
        for line in _typed():
            if line:
                _do(cluster, count, line, off)
            for board in range(count):
                status = cluster.exit_status(board)
                if status is not None and board not in off:
                    raise LinkError(f"board {board} has ended with status {status}")
    except KeyboardInterrupt:
        return


def _do(cluster: Cluster, count: int, line: str, off: set[int]) -> None:
    """``kill 2`` and what else an event may be; ``off`` has the boards without power."""
    try:
        event = read_event(f"0 {line}", count)
        event.check(cluster)
        event.happen(cluster)
    except ClusterError as error:
        note(str(error).replace("event '0 ", "'"))
        note(f"write one of {', '.join(WORDS)}, and which board: kill 1, cut 0-1")
        return
    if event.word == "kill":
        off.update(event.ranks)
    elif event.word in ("start", "reset"):
        off.difference_update(event.ranks)


def _typed() -> Iterator[str]:
    """Lines of standard input, and "" at least twice a second, for ever."""
    descriptor, waiting = _input_descriptor(), b""
    while True:
        if descriptor is None:
            time.sleep(_LOOK_SECONDS)
        elif select.select([descriptor], [], [], _LOOK_SECONDS)[0]:
            data = os.read(descriptor, _READ_BYTES)
            descriptor = descriptor if data else None  # its end: nobody types any more
            *lines, waiting = (waiting + data).split(b"\n")
            yield from (line.decode("utf-8", "replace").strip() for line in lines)
        yield ""


def _input_descriptor() -> int | None:
    """Of a terminal, or of a program that writes for one; None if there is no standard input."""
    try:
        return sys.stdin.fileno()
    except (AttributeError, OSError, ValueError):
        return None
