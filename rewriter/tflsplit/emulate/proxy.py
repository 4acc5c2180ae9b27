# SPDX-License-Identifier: Apache-2.0
"""A thread that passes bytes between pairs of connected sockets and harms them on the way."""

from __future__ import annotations

import selectors
import socket
import threading
import time
from collections import deque

from tflsplit.emulate.faults import FaultCounts, FaultModel, FaultStream, Piece

_READ_BYTES = 4096
_HELD_BYTES = 8192  # A wire holds little: what is held beyond this stays with its sender.


class _Direction:
    """From one socket to another: what was read and may not leave yet."""

    def __init__(self, source: socket.socket, sink: socket.socket, stream: FaultStream) -> None:
        self.source = source
        self.sink = sink
        self.stream = stream
        self.closed = False
        self._held: deque[Piece] = deque()
        self._held_bytes = 0
        self._not_before = 0.0

    @property
    def takes_more(self) -> bool:
        return not self.closed and self._held_bytes < _HELD_BYTES

    def wait_seconds(self, now: float) -> float | None:
        """Returns how long until the first held piece may leave; ``None`` if nothing is held."""
        return max(0.0, self._not_before - now) if self._held else None

    def read(self, now: float) -> None:
        """Takes what has arrived; a closed or reset sender ends the direction."""
        try:
            data = self.source.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self.closed = not data
        for piece in self.stream.feed(data):
            if not self._held:
                self._not_before = now + piece.wait_us / 1e6
            self._held.append(piece)
            self._held_bytes += len(piece.data)

    def write(self, now: float) -> None:
        """Passes on whatever may leave now and finds room."""
        while self._held and self._not_before <= now:
            piece = self._held[0]
            try:
                sent = self.sink.send(piece.data) if piece.data else 0
            except BlockingIOError:
                return
            except OSError:
                self._drop_all()
                return
            self._held_bytes -= sent
            if sent < len(piece.data):
                self._held[0] = Piece(0, piece.data[sent:])
                return
            self._held.popleft()
            if self._held:
                self._not_before = now + self._held[0].wait_us / 1e6

    def _drop_all(self) -> None:
        self._held.clear()
        self._held_bytes = 0
        self.closed = True


class FaultProxy:
    """Joins sockets; every pair is a wire with a fault model of its own.

    Use as a context manager: leaving it stops the thread and closes the sockets.
    """

    def __init__(self) -> None:
        self._wires: list[tuple[_Direction, _Direction]] = []
        self._wake_receiver, self._wake_sender = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name="fault-proxy", daemon=True)
        self._stopping = False

    def join(self, a: socket.socket, b: socket.socket, model: FaultModel, seed: int) -> None:
        """Adds a wire between two connected sockets, which the proxy owns from now on.

        Call before the proxy is entered.  The directions draw from seeds of their own.
        """
        for end in (a, b):
            end.setblocking(False)
        forward = _Direction(a, b, FaultStream(model, 2 * seed))
        backward = _Direction(b, a, FaultStream(model, 2 * seed + 1))
        self._wires.append((forward, backward))

    @property
    def counts(self) -> list[tuple[FaultCounts, FaultCounts]]:
        """Per wire, in the order of ``join``: faults from a to b and from b to a so far."""
        return [
            (forward.stream.counts, backward.stream.counts) for forward, backward in self._wires
        ]

    def __enter__(self) -> FaultProxy:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stopping = True
        self._wake_sender.send(b"!")
        self._thread.join()
        for forward, _ in self._wires:
            forward.source.close()
            forward.sink.close()
        self._wake_receiver.close()
        self._wake_sender.close()

    def _run(self) -> None:
        while not self._stopping:
            directions = [direction for wire in self._wires for direction in wire]
            now = time.monotonic()
            for direction in directions:
                direction.write(now)
            for direction in self._ready(directions, now):
                direction.read(time.monotonic())

    def _ready(self, directions: list[_Direction], now: float) -> list[_Direction]:
        """Sleeps until bytes arrive, room appears or a stall ends; returns who can read."""
        waits = {direction: direction.wait_seconds(now) for direction in directions}
        stalled = [wait for wait in waits.values() if wait]
        events: dict[socket.socket, int] = {self._wake_receiver: selectors.EVENT_READ}
        for direction in directions:
            if direction.takes_more:
                events[direction.source] = events.get(direction.source, 0) | selectors.EVENT_READ
            if waits[direction] == 0.0:
                events[direction.sink] = events.get(direction.sink, 0) | selectors.EVENT_WRITE
        with selectors.DefaultSelector() as selector:
            for end, mask in events.items():
                selector.register(end, mask)
            ready = selector.select(min(stalled, default=None))
        readable = {key.fileobj for key, mask in ready if mask & selectors.EVENT_READ}
        return [direction for direction in directions if direction.source in readable]
