# SPDX-License-Identifier: Apache-2.0
"""Lines that come from standard input, or from clients of a socket, one queue for all of them."""

from __future__ import annotations

import os
import queue
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from tflsplit.errors import ClusterError, UserError

MOST_LINE_BYTES = 16 << 20
_MOST_CLIENTS = 16
_WRITE_SECONDS = 5.0
_READ_BYTES = 1 << 16
_LOOK_SECONDS = 0.2

Write = Callable[[str], None]


@dataclass(frozen=True)
class Line:
    """One line, and what writes to whoever sent it.  data: None if it was too long."""

    data: bytes | None
    write: Write


class Lines:
    """What has come and was not taken; ended: whether no more will come."""

    def __init__(self) -> None:
        self._waiting: queue.Queue[Line | None] = queue.Queue(16)
        self.ended = False

    def take(self, timeout_seconds: float) -> Line | None:
        """The next one; None if none came in time, or ``ended``."""
        try:
            line = self._waiting.get(timeout=timeout_seconds)
        except queue.Empty:
            return None
        self.ended = self.ended or line is None
        return line

    def put(self, line: Line | None) -> None:
        """None: there will be no more.  Waits while too many wait."""
        self._waiting.put(line)


def split_lines(read: Callable[[], bytes], write: Write, lines: Lines) -> None:
    """Puts every line that is read until the end; one that is too long ends the reading."""
    left = bytearray()
    while data := read():
        left += data
        *whole, rest = left.split(b"\n")
        for line in whole:
            if line.strip():
                lines.put(Line(bytes(line), write))
        left = rest
        if len(left) > MOST_LINE_BYTES:
            lines.put(Line(None, write))
            return
    if left.strip():
        lines.put(Line(bytes(left), write))


def lines_of_descriptor(descriptor: int, write: Write) -> Lines:
    """Of standard input, until its end.

    Read by its descriptor: a thread inside a file object's lock would hold up the end of Python.
    """
    lines = Lines()

    def read_all() -> None:
        with suppress(OSError):
            split_lines(lambda: os.read(descriptor, _READ_BYTES), write, lines)
        lines.put(None)

    threading.Thread(target=read_all, daemon=True).start()
    return lines


class Listener:
    """A TCP port whose clients send lines; a context manager.

    Raises ClusterError if it cannot be had.
    """

    def __init__(self, address: str, port: int) -> None:
        try:
            self._server = socket.create_server((address, port))
        except (OSError, OverflowError) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise ClusterError(f"port {port} of {address} cannot be had: {why}") from None
        self.lines = Lines()
        self._clients: list[socket.socket] = []
        self._lock = threading.Lock()

    @property
    def port(self) -> int:
        """Its number."""
        return int(self._server.getsockname()[1])

    def __enter__(self) -> Listener:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        with self._lock:
            for end in (self._server, *self._clients):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()

    def write_all(self, text: str) -> None:
        """To every client."""
        with self._lock:
            clients = list(self._clients)
        for client in clients:
            _send(client, text)

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                client, _ = self._server.accept()
                with self._lock:
                    is_full = len(self._clients) == _MOST_CLIENTS
                    if not is_full:
                        self._clients.append(client)
                if is_full:
                    client.close()
                    continue
                threading.Thread(target=self._read, args=(client,), daemon=True).start()

    def _read(self, client: socket.socket) -> None:
        with suppress(OSError):
            split_lines(
                lambda: client.recv(_READ_BYTES), lambda text: _send(client, text), self.lines
            )
        # Not closed before its last request is answered: it may only have said that it is done.
        self.lines.put(Line(b"", lambda text: self._leave(client)))

    def _leave(self, client: socket.socket) -> None:
        with self._lock, suppress(ValueError):
            self._clients.remove(client)
        client.close()


def _send(client: socket.socket, text: str) -> None:
    """All of it; a client that takes none of it for seconds is let go."""
    try:
        client.settimeout(_WRITE_SECONDS)
        client.sendall(text.encode())
    except OSError:
        with suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)
    finally:
        with suppress(OSError):
            client.settimeout(None)


def address_of(text: str) -> tuple[str, int]:
    """``5000`` or ``0.0.0.0:5000``; UserError for anything else."""
    address, _, port = text.rpartition(":")
    if not port.isdecimal() or int(port) >= 1 << 16:
        raise UserError(f"--listen takes PORT or ADDRESS:PORT, not {text!r}")
    return address or "127.0.0.1", int(port)
