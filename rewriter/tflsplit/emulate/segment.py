# SPDX-License-Identifier: Apache-2.0
"""A switch on this computer: the Ethernet that the devices of a cluster share (docs/ethernet.md).

A device that is a program of this computer has a socket of packets, one Ethernet frame in each; an
emulated board has a stream, each frame behind its length in four bytes, as QEMU's socket network
has it.
"""

from __future__ import annotations

import selectors
import socket
import struct
from collections import deque
from collections.abc import Sequence

from tflsplit.emulate.background import Background
from tflsplit.emulate.faults import FaultModel, FaultStream
from tflsplit.wire.ethernet import ADDRESS_BYTES, is_group

_LENGTH = struct.Struct(">I")
_MOST_BYTES = 1 << 16
_WAITING_FRAMES = 512
"""Of one port; a switch drops what comes beyond."""


class _Port:
    """One device's cable.

    end: ours, which does not block.  lost: frames that were damaged on their way in, as a receiver
    drops what its FCS does not fit.
    """

    def __init__(self, end: socket.socket, is_stream: bool, model: FaultModel, seed: int) -> None:
        self.end = end
        self.frames = self.lost = self.groups = 0
        self.waiting: deque[bytes] = deque()
        self._is_stream = is_stream
        self._came = bytearray()
        self._faults = FaultStream(model, seed)

    def read(self) -> list[bytes]:
        """The frames that have come whole and undamaged."""
        try:
            data = self.end.recv(_MOST_BYTES)
        except OSError:
            return []
        frames = self._cut(data) if self._is_stream else [data] if data else []
        self.frames += len(frames)
        self.groups += sum(map(is_group, frames))
        sound = [frame for frame in frames if self._passes(frame)]
        self.lost += len(frames) - len(sound)
        return sound

    def _cut(self, data: bytes) -> list[bytes]:
        self._came += data
        frames = []
        while len(self._came) >= _LENGTH.size:
            (size,) = _LENGTH.unpack_from(self._came)
            if len(self._came) < _LENGTH.size + size:
                break
            frames.append(bytes(self._came[_LENGTH.size : _LENGTH.size + size]))
            del self._came[: _LENGTH.size + size]
        return frames

    def _passes(self, frame: bytes) -> bool:
        return b"".join(piece.data for piece in self._faults.feed(frame)) == frame

    def offer(self, frame: bytes) -> None:
        """Send it as soon as there is room."""
        if len(self.waiting) < _WAITING_FRAMES:
            self.waiting.append(_LENGTH.pack(len(frame)) + frame if self._is_stream else frame)

    def write(self) -> None:
        """Send what there is room for; a device that is gone gets nothing."""
        while self.waiting:
            try:
                sent = self.end.send(self.waiting[0])
            except BlockingIOError:
                return
            except OSError:
                self.waiting.clear()
                return
            if self._is_stream and sent < len(self.waiting[0]):
                self.waiting[0] = self.waiting[0][sent:]
                return
            self.waiting.popleft()


class Segment:
    """The switch and its cables; a context manager that runs it.

    is_stream: by rank, whether the device is an emulated board.
    model: faults of every cable; seed: of the faults.
    theirs: by rank, the socket that the device gets.
    """

    def __init__(
        self, is_stream: Sequence[bool], model: FaultModel | None = None, seed: int = 0
    ) -> None:
        self.theirs: list[socket.socket] = []
        self._ports: list[_Port] = []
        self._at: dict[bytes, _Port] = {}
        for rank, streams in enumerate(is_stream):
            kind = socket.SOCK_STREAM if streams else socket.SOCK_SEQPACKET
            ours, theirs = socket.socketpair(socket.AF_UNIX, kind)
            ours.setblocking(False)
            self._ports.append(_Port(ours, streams, model or FaultModel(), 1000 * seed + rank))
            self.theirs.append(theirs)
        self._background = Background("ethernet", self._run)

    @property
    def frames(self) -> list[int]:
        """By rank, how many Ethernet frames it has sent."""
        return [port.frames for port in self._ports]

    @property
    def groups(self) -> list[int]:
        """By rank, how many of them were for a group."""
        return [port.groups for port in self._ports]

    @property
    def lost(self) -> list[int]:
        """By rank, how many of them a fault has eaten."""
        return [port.lost for port in self._ports]

    def __enter__(self) -> Segment:
        self._background.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._background.stop()
        for end in self.theirs:
            end.close()
        for port in self._ports:
            port.end.close()

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._background.woken, selectors.EVENT_READ)
            for port in self._ports:
                selector.register(port.end, selectors.EVENT_READ, port)
            while not self._background.stopping:
                for key, _ in selector.select():
                    if isinstance(key.data, _Port):
                        for frame in key.data.read():
                            self._pass_on(key.data, frame)
                for port in self._ports:
                    port.write()
                    wanted = selectors.EVENT_READ
                    wanted |= selectors.EVENT_WRITE if port.waiting else 0
                    if selector.get_key(port.end).events != wanted:
                        selector.modify(port.end, wanted, port)

    def _pass_on(self, came_by: _Port, frame: bytes) -> None:
        """To the port behind which the address was last seen; else to all others."""
        to, sender = frame[:ADDRESS_BYTES], frame[ADDRESS_BYTES : 2 * ADDRESS_BYTES]
        self._at[sender] = came_by
        known = None if is_group(to) else self._at.get(to)
        for port in self._ports if known is None else [known]:
            if port is not came_by:
                port.offer(frame)
