# SPDX-License-Identifier: Apache-2.0
"""Boards without a plan, as programs of this computer, and a port that leads to one of them."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tflsplit.deploy.explore import explore
from tflsplit.emulate.cluster import Cluster, Device
from tflsplit.emulate.machines import HOST_BOARD
from tflsplit.emulate.wiring import HOST, HOST_LINK, Wire, line, ring, star
from tflsplit.emulate.wiring import Port as End
from tflsplit.errors import ClusterError, LinkError
from tflsplit.host.ports import SocketStream

_READ_BYTES = 65_536
_LOOK_SECONDS = 0.2
START_SECONDS = 60.0
WIRES = {"ring": ring, "line": line, "star": star}


def blank_boards(program: Path, count: int, folder: Path, store_bytes: int | None = None,
                  work_bytes: int | None = None) -> list[Device]:  # fmt: skip
    """So many programs of this computer, the generic firmware, perhaps with less memory."""
    limits = {"store_bytes": store_bytes, "work_bytes": work_bytes}
    given = {name: str(size) for name, size in limits.items() if size is not None}
    return [
        Device(one.program, one.board, {**one.arguments, **given})
        for one in blank_boards_of([(HOST_BOARD, program)] * count, folder)
    ]


def blank_boards_of(boards: Sequence[tuple[str, Path]], folder: Path) -> list[Device]:
    """A device for each kind of board and program (generic firmware).

    Programs of this computer keep their stores in files of ``folder``; emulated boards in memory.
    """
    return [
        Device(
            program,
            board,
            {"id": f"native{number}", "store": str(folder / f"board{number}.store")}
            if board == HOST_BOARD
            else {"id": f"chip{number}"},
        )
        for number, (board, program) in enumerate(boards)
    ]


def blank_wires(
    count: int, topology: str, teams: int = 1, direct: bool = False
) -> tuple[Wire, ...]:
    """Of ``teams`` clusters that nothing joins, each of ``count`` boards.

    The host has a port to the first board of each, or (direct) to every board.
    """
    laid = (line if count == 1 else WIRES[topology])(count)
    wires = []
    for first in range(0, teams * count, count):
        wires += [
            Wire(End(first + one.a.rank, one.a.link), End(first + one.b.rank, one.b.link))
            for one in laid
        ]
        ported = range(first, first + count) if direct else [first]
        wires += [Wire(End(board, HOST_LINK), HOST) for board in ported]
    return tuple(wires)


@contextmanager
def blank_cluster(
    devices: Sequence[Device], topology: str, wires: Sequence[Wire] | None = None,
    pluggable: bool = False,
) -> Iterator[Cluster]:  # fmt: skip
    """They run, wired; ``host_sockets`` has the ends that lead to the host, by board."""
    laid = blank_wires(len(devices), topology) if wires is None else tuple(wires)
    with Cluster(devices, laid, pluggable=pluggable) as cluster:
        yield cluster


def await_boards(cluster: Cluster, count: int, seconds: float = START_SECONDS) -> bool:
    """Look until so many boards answer; whether they did in time, and none has ended.

    On a busy computer an emulated board takes seconds to begin.
    """
    deadline = time.monotonic() + seconds
    streams = [SocketStream(end.dup()) for end in cluster.host_sockets]
    try:
        while not any(cluster.exit_status(board) is not None for board in range(count)):
            with suppress(LinkError):
                if len(explore(streams)[1].boards) == count:
                    return True
            if time.monotonic() > deadline:
                break
        return False
    finally:
        for stream, end in zip(streams, cluster.host_sockets, strict=True):
            stream.close()
            end.setblocking(True)  # a property of both


class Port:
    """A TCP port of this computer that leads to a socket; one program at a time.

    number: of the port, 0 for any that is free.
    Raises ClusterError if it is taken.
    """

    def __init__(self, inner: socket.socket, number: int = 0) -> None:
        self._inner = inner
        try:
            self._listener = socket.create_server(("127.0.0.1", number))
        except OSError as error:
            raise ClusterError(f"port {number} cannot be had: {error.strerror}") from None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def url(self) -> str:
        """``socket://localhost:5000``."""
        return f"socket://localhost:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Port:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._ended.set()
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        """Passes bytes on; what the board says while nobody is connected is lost, as on a wire."""
        client: socket.socket | None = None
        while not self._ended.is_set():
            waited = [self._inner, client or self._listener]
            readable, _, _ = select.select(waited, [], [], _LOOK_SECONDS)
            if self._listener in readable:
                client, _ = self._listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            elif client in readable and not _passed(client, self._inner):
                client = None
            if self._inner in readable and not _passed(self._inner, client):
                client = None
                if _is_at_end(self._inner):
                    return


def _passed(source: socket.socket | None, to: socket.socket | None) -> bool:
    """Whether bytes came and, where there is somebody, left."""
    try:
        data = source.recv(_READ_BYTES) if source else b""
        if data and to is not None:
            to.sendall(data)
    except OSError:
        return False
    return bool(data)


def _is_at_end(inner: socket.socket) -> bool:
    with suppress(OSError):
        inner.settimeout(0)
        try:
            return inner.recv(1, socket.MSG_PEEK) == b""
        except BlockingIOError:
            return False
        finally:
            inner.settimeout(None)
    return True
