# SPDX-License-Identifier: Apache-2.0
"""The host as a rank: messages, grants, datagrams and faults over one link, without I/O.

::

    post_send(channel, {r}, data)      ->  waits for r's GRANT, then DATA ... DATA
    begin_recv(channel, source, size)  ->  GRANT to source, then its DATA fill the message

The same rendezvous as ``communicator.h`` in split_core: no byte leaves before its receiver asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from tflsplit.errors import InternalError
from tflsplit.wire.early_grants import EarlyGrants, is_before
from tflsplit.wire.frames import Frame, FrameType, max_payload_bytes
from tflsplit.wire.handshake import ErrorCode, Identity, PeerError
from tflsplit.wire.link import Link
from tflsplit.wire.link_state import LinkState
from tflsplit.wire.timers import Timing
from tflsplit.wire.topology import FIRST_LANE

_FAULT_BYTES = 4
_WAITING_FRAMES = 2
_NO_CHANNEL = 0xFFFF
_NO_RANK = 0xFF


def rank_set(ranks: Iterable[int]) -> int:
    """Ranks as the bits of a destination set."""
    bits = 0
    for rank in ranks:
        bits |= 1 << rank
    return bits


@dataclass
class _Send:
    channel: int
    data: bytes
    remaining: int
    lane: int = 0
    granted: int = 0
    offset: int = 0


@dataclass
class _Recv:
    total_bytes: int
    data: bytearray = field(default_factory=bytearray)


class Endpoint:
    """Owns a ``Link``; drive it with ``receive`` and ``poll`` (see there).

    ``on_datagram(source, channel, payload)`` is called from within ``receive``.
    """

    def __init__(
        self,
        identity: Identity,
        gateway_rank: int,
        boot_nonce: int,
        on_datagram: Callable[[int, int, bytes], None] | None = None,
        timing: Timing | None = None,
    ) -> None:
        self._identity = identity
        self.link = Link(
            identity, gateway_rank, boot_nonce, self._on_frame, self._on_link_error, timing
        )
        self._on_datagram = on_datagram
        self._epoch: int | None = None
        self._sends: list[_Send] = []
        self._lane = 0
        self._recvs: dict[tuple[int, int], _Recv] = {}
        self._done: dict[tuple[int, int], bytes] = {}
        self._early = EarlyGrants()
        self.error: PeerError | None = None

    # ---- For the owner ----

    def begin_epoch(self, epoch: int) -> None:
        """Start inference ``epoch`` (0 to 65535): forget the one before, and its error."""
        self._epoch = epoch
        self.error = None
        self._sends.clear()
        self._recvs.clear()
        self._done.clear()
        self._early.forget_before(epoch)

    def post_send(
        self, channel: int, destinations: Iterable[int], data: bytes, lane: int = 0
    ) -> None:
        """Offer ``data`` to the ranks; each gets it when it asks. Raises ``error`` if there is.

        lane: messages of one lane leave one after the other, those of several lanes a frame of each
            in turn; FIRST_LANE's before all others.
        """
        self._check()
        send = _Send(channel, bytes(data), rank_set(destinations), lane)
        if not send.data:
            return
        for rank, total in self._early.take(self._epoch, channel, send.remaining):
            self._grant(send, rank, total)
        self._sends.append(send)

    def begin_recv(self, channel: int, source: int, size_bytes: int) -> None:
        """Ask ``source`` for a message of ``size_bytes``; ``take`` returns it once it is whole."""
        self._check()
        key = (channel, source)
        if key in self._recvs:
            raise InternalError(f"channel {channel} already receives from rank {source}")
        if size_bytes == 0:
            self._done[key] = b""
            return
        self._recvs[key] = _Recv(size_bytes)
        self._send(FrameType.GRANT, 1 << source, channel, offset=size_bytes)

    def take(self, channel: int, source: int) -> bytes | None:
        """The message if it is whole, once; else None. Raises ``error`` if there is one."""
        self._check()
        return self._done.pop((channel, source), None)

    def send_datagram(self, destinations: Iterable[int], channel: int, payload: bytes) -> None:
        """One unsolicited message; raises ``InternalError`` if it does not fit into a frame."""
        if len(payload) > max_payload_bytes(self._identity.mtu_bytes):
            raise InternalError(f"a datagram of {len(payload)} bytes does not fit into a frame")
        self._send(FrameType.DATAGRAM, rank_set(destinations), channel, payload=payload)

    @property
    def idle(self) -> bool:
        """Whether everything that was posted has left, and the gateway has it."""
        return not self._sends and self.link.all_acknowledged

    def fail_with_timeout(self) -> None:
        """End the inference everywhere, naming what was waited for first."""
        for channel, source in self._recvs:
            return self._fail(ErrorCode.TIMEOUT, source, channel)
        for send in self._sends:
            lowest = (send.remaining & -send.remaining).bit_length() - 1
            return self._fail(ErrorCode.TIMEOUT, lowest, send.channel)
        return None

    def receive(self, data: bytes, now_us: int) -> None:
        """Act on bytes from the gateway."""
        self.link.receive(data, now_us)

    def poll(self, now_us: int) -> bytes:
        """What is to be sent to the gateway now."""
        out = bytearray()
        while True:
            self._pump()
            piece = self.link.poll(now_us)
            if not piece:
                return bytes(out)
            out += piece

    # ---- Arrivals ----

    def _on_frame(self, frame: Frame) -> None:
        if not frame.destinations >> self._identity.rank & 1:
            return
        if frame.type is FrameType.DATAGRAM:
            if self._on_datagram is not None:
                self._on_datagram(frame.source, frame.channel, frame.payload)
        elif frame.type is FrameType.GRANT:
            self._on_grant(frame)
        elif frame.type is FrameType.DATA:
            self._on_data(frame)
        elif frame.type is FrameType.FAULT:
            self._on_fault(frame)

    def _on_grant(self, frame: Frame) -> None:
        if self._epoch is not None and is_before(frame.epoch, self._epoch):
            return
        for send in self._sends:
            waits = send.remaining & ~send.granted
            if (send.channel, self._epoch) == (frame.channel, frame.epoch) and (
                waits >> frame.source & 1
            ):
                self._grant(send, frame.source, frame.offset)
                return
        self._early.keep((frame.epoch, frame.channel, frame.source), frame.offset)

    def _on_data(self, frame: Frame) -> None:
        if self._epoch is None or self.error is not None or is_before(frame.epoch, self._epoch):
            return
        key = (frame.channel, frame.source)
        recv = self._recvs.get(key)
        if recv is None or frame.epoch != self._epoch:
            self._fail(ErrorCode.UNEXPECTED_DATA, frame.source, frame.channel)
            return
        left = recv.total_bytes - len(recv.data)
        if frame.offset != len(recv.data) or not 0 < len(frame.payload) <= left:
            self._fail(ErrorCode.BAD_OFFSET, frame.source, frame.channel)
            return
        recv.data += frame.payload
        if len(recv.data) == recv.total_bytes:
            self._done[key] = bytes(self._recvs.pop(key).data)

    def _on_fault(self, frame: Frame) -> None:
        if len(frame.payload) != _FAULT_BYTES or self._epoch is None:
            return
        if is_before(frame.epoch, self._epoch):
            return
        code, rank, reporter, _ = frame.payload
        self._abort(
            PeerError(
                code,
                None if rank == _NO_RANK else rank,
                None if frame.channel == _NO_CHANNEL else frame.channel,
                None if reporter == _NO_RANK else reporter,
            )
        )

    def _on_link_error(self, code: ErrorCode, rank: int) -> None:
        if self._epoch is not None or self.link.state is LinkState.REFUSED:
            self._abort(PeerError(code, rank, reporter=self._identity.rank))

    # ---- Sending ----

    def _grant(self, send: _Send, rank: int, total_bytes: int) -> None:
        if total_bytes != len(send.data):
            self._fail(ErrorCode.SIZE_MISMATCH, rank, send.channel)
            return
        send.granted |= 1 << rank

    def _pump(self) -> None:
        """Keep few frames waiting for credit, so that no message blocks those of other lanes."""
        while self.link.unsent < _WAITING_FRAMES and self.error is None:
            send = self._next_to_serve()
            if send is None:
                return
            most = max_payload_bytes(self._identity.mtu_bytes)
            piece = send.data[send.offset : send.offset + most]
            self._send(FrameType.DATA, send.remaining, send.channel, send.offset, piece)
            self._lane = send.lane
            send.offset += len(piece)
            if send.offset == len(send.data):
                self._sends.remove(send)

    def _next_to_serve(self) -> _Send | None:
        """Of each lane the message that has begun, or the first that can; of these the next lane's.

        FIRST_LANE's turn comes before any other's.

        A message is sent to all once all are ready: a host's crosses its wire only once.  A host's
        receivers never wait for each other's copy of its own message (they are the input's shards),
        so waiting for all cannot lock up.
        """
        heads: dict[int, _Send] = {}
        for send in self._sends:
            if send.granted == send.remaining and (send.offset or send.lane not in heads):
                heads[send.lane] = send
        if not heads:
            return None
        turns = {lane: (lane != FIRST_LANE, lane <= self._lane, lane) for lane in heads}
        return heads[min(heads, key=turns.__getitem__)]

    def _send(
        self, kind: FrameType, destinations: int, channel: int, offset: int = 0,
        payload: bytes = b"",
    ) -> None:  # fmt: skip
        self.link.send(
            Frame(kind, source=self._identity.rank, channel=channel, destinations=destinations,
                  offset=offset, epoch=self._epoch or 0, payload=payload)
        )  # fmt: skip

    def _fail(self, code: ErrorCode, rank: int, channel: int) -> None:
        own = self._identity.rank
        everyone = ((1 << self._identity.node_count) - 1) & ~(1 << own)
        self._send(FrameType.FAULT, everyone, channel, payload=bytes([code, rank, own, 0]))
        self._abort(PeerError(code, rank, channel, own))

    def _abort(self, error: PeerError) -> None:
        self.error = self.error or error
        self._sends.clear()
        self._recvs.clear()

    def _check(self) -> None:
        if self.error is not None:
            raise self.error
        if self._epoch is None:
            raise InternalError("begin_epoch() comes before any message")
