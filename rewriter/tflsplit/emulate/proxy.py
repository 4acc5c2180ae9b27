# SPDX-License-Identifier: Apache-2.0
"""A thread that passes bytes between pairs of connected sockets and harms them on the way."""

from __future__ import annotations

import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable

from tflsplit.emulate.background import Background
from tflsplit.emulate.faults import FaultCounts, FaultModel, FaultStream, Piece

_READ_BYTES = 4096
_HELD_BYTES = 8192  # A wire holds little: what is held beyond this stays with its sender.


Listener = Callable[[socket.socket, bytes], None]
"""Is told what came from which socket, as it was sent."""


class _Direction:
    """From one socket to another: what was read and may not leave yet."""

    def __init__(self, source: socket.socket, sink: socket.socket, stream: FaultStream) -> None:
        self.source = source
        self.sink = sink
        self.stream = stream
        self.closed = False
        self.cut = False
        self.alarm: tuple[int, Callable[[], None]] | None = None
        self.listener: Listener | None = None
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
        if self.listener is not None and data:
            self.listener(self.source, data)
        before = self.stream.counts.bytes
        pieces = self.stream.feed(data)
        if self.alarm is not None and self.stream.counts.bytes >= self.alarm[0]:
            (wanted, action), self.alarm = self.alarm, None
            pieces = [Piece(0, data[: max(0, wanted - before)])]
            action()
        if self.cut:
            return
        for piece in pieces:
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
        self._lock = threading.Lock()
        self._background = Background("fault-proxy", self._run)

    def join(self, a: socket.socket, b: socket.socket, model: FaultModel, seed: int) -> None:
        """Adds a wire between two connected sockets, which the proxy owns from now on.

        Call before the proxy is entered.  The directions draw from seeds of their own.
        """
        for end in (a, b):
            end.setblocking(False)
        forward = _Direction(a, b, FaultStream(model, 2 * seed))
        backward = _Direction(b, a, FaultStream(model, 2 * seed + 1))
        self._wires.append((forward, backward))

    def cut(self, index: int, is_cut: bool) -> None:
        """From now on nothing (or everything again) passes the wire, by its order of ``join``."""
        with self._lock:
            for direction in self._wires[index]:
                direction.cut = is_cut

    def exchange(self, a: socket.socket, b: socket.socket) -> None:
        """Put what is plugged in at ``a`` in at ``b``, and the other way round."""
        other = {a: b, b: a}
        with self._lock:
            for direction in (direction for wire in self._wires for direction in wire):
                direction.source = other.get(direction.source, direction.source)
                direction.sink = other.get(direction.sink, direction.sink)
        self._background.wake()

    def when_sent(self, source: socket.socket, more_bytes: int, action: Callable[[], None]) -> None:
        """Do something once so many more bytes came from a socket; what follows them is lost."""
        with self._lock:
            for direction in (direction for wire in self._wires for direction in wire):
                if direction.source is source:
                    direction.alarm = direction.stream.counts.bytes + more_bytes, action

    def forget_alarms(self) -> None:
        """Nothing happens any more that ``when_sent`` has asked for."""
        with self._lock:
            for direction in (direction for wire in self._wires for direction in wire):
                direction.alarm = None

    def listen(self, listener: Listener | None) -> None:
        """From now on everything that comes is told, from the proxy's thread; None: no more."""
        with self._lock:
            for direction in (direction for wire in self._wires for direction in wire):
                direction.listener = listener

    @property
    def counts(self) -> list[tuple[FaultCounts, FaultCounts]]:
        """Per wire, in the order of ``join``: faults from a to b and from b to a so far."""
        return [
            (forward.stream.counts, backward.stream.counts) for forward, backward in self._wires
        ]

    def __enter__(self) -> FaultProxy:
        self._background.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._background.stop()
        for forward, _ in self._wires:
            forward.source.close()
            forward.sink.close()

    def _run(self) -> None:
        directions = [direction for wire in self._wires for direction in wire]
        with selectors.DefaultSelector() as selector:
            selector.register(self._background.woken, selectors.EVENT_READ)
            watch = _Watch(selector)
            while not self._background.stopping:
                now = time.monotonic()
                with self._lock:
                    for direction in directions:
                        direction.write(now)
                    patience = watch.prepare(directions, now)
                readable = watch.wait(patience)
                if self._background.woken in readable:
                    self._background.heed()
                with self._lock:
                    for direction in directions:
                        if direction.source in readable:
                            direction.read(now)
                            direction.write(now)


class _Watch:
    """Which sockets are looked at for what; changes only what has changed."""

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self._selector = selector
        self._masks: dict[socket.socket, int] = {}

    def prepare(self, directions: list[_Direction], now: float) -> float | None:
        """Looks at what has something to do; until when at most, in seconds from now."""
        wanted: dict[socket.socket, int] = {}
        patience: float | None = None
        for direction in directions:
            if direction.takes_more:
                wanted[direction.source] = wanted.get(direction.source, 0) | selectors.EVENT_READ
            wait = direction.wait_seconds(now)
            if wait == 0.0:
                wanted[direction.sink] = wanted.get(direction.sink, 0) | selectors.EVENT_WRITE
            elif wait is not None:
                patience = wait if patience is None else min(patience, wait)
        self._watch(wanted)
        return patience

    def wait(self, patience: float | None) -> set[object]:
        """Sleeps until bytes arrive, room appears or a stall ends; returns what can be read."""
        found = self._selector.select(patience)
        return {key.fileobj for key, mask in found if mask & selectors.EVENT_READ}

    def _watch(self, wanted: dict[socket.socket, int]) -> None:
        if wanted == self._masks:
            return
        for end in self._masks.keys() - wanted.keys():
            self._selector.unregister(end)
        for end, mask in wanted.items():
            if end not in self._masks:
                self._selector.register(end, mask)
            elif self._masks[end] != mask:
                self._selector.modify(end, mask)
        self._masks = wanted
