# SPDX-License-Identifier: Apache-2.0
"""The host as a rank: messages, grants, datagrams and faults over its links, without I/O.

::

    post_send(channel, {r}, data)      ->  waits for r's GRANT, then DATA ... DATA
    begin_recv(channel, source, size)  ->  GRANT to source, then its DATA fill the message

The same rendezvous as ``communicator.h`` in split_core: no byte leaves before its receiver asks.
A host has one link, or several: each leads to a gateway and serves the ranks behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from tflsplit.errors import InternalError
from tflsplit.wire.early_grants import EarlyGrants, is_before
from tflsplit.wire.frames import Frame, FrameType, max_payload_bytes
from tflsplit.wire.handshake import ErrorCode, Identity, PeerError
from tflsplit.wire.host_recvs import HostRecvs
from tflsplit.wire.host_sends import HostSend, next_to_serve
from tflsplit.wire.link import Link
from tflsplit.wire.link_state import LinkState
from tflsplit.wire.timers import Timing
from tflsplit.wire.topology import LinkTable

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


class Endpoint:
    """Owns its ``links``; drive each with ``receive`` and ``poll`` (see there).

    gateways: the host's link table (``tflsplit.wire.topology.link_tables``), or the rank of the
        only gateway.
    ``on_datagram(source, channel, payload)`` is called from within ``receive``.
    """

    def __init__(
        self,
        identity: Identity,
        gateways: int | Sequence[LinkTable],
        boot_nonce: int,
        on_datagram: Callable[[int, int, bytes], None] | None = None,
        timing: Timing | None = None,
    ) -> None:
        self._identity = identity
        if isinstance(gateways, int):
            gateways = (LinkTable(gateways, (1 << identity.world_size) - 1),)
        self._behind = tuple(table.destinations for table in gateways)
        self.links = tuple(
            Link(identity, table.peer_rank, boot_nonce, self._on_frame, self._on_link_error, timing)
            for table in gateways
        )
        self._on_datagram = on_datagram
        self._epoch: int | None = None
        self._first = 0  # the oldest inference that is under way: this one, or the one before
        self.sends: list[HostSend] = []  # that have not left whole
        self._lanes = [0] * len(self.links)
        self._recvs = HostRecvs()
        self._early = EarlyGrants()
        self.error: PeerError | None = None
        self.heard = 0
        """Ranks, as bits, that have taken part in the inference: asked for something or sent it."""

    # ---- For the owner ----

    def begin_epoch(self, epoch: int, ahead: bool = False) -> None:
        """Start inference ``epoch`` (0 to 65535): forget the one before, and its error.

        ahead: the one before, ``epoch`` - 1, goes on, and an error is of both.
        """
        if ahead:
            self._check()
        self._first = self._epoch if ahead and self._epoch is not None else epoch
        self._epoch = epoch
        self.error = None
        self.heard = 0
        self.sends = [send for send in self.sends if ahead and send.epoch == self._first]
        if not ahead:
            self._recvs = HostRecvs()
        self._recvs.forget_before(self._first)
        self._early.forget_before(self._first)

    def post_send(
        self, channel: int, destinations: Iterable[int], data: bytes, lane: int = 0
    ) -> None:
        """Offer ``data`` to the ranks; each gets it when it asks. Raises ``error`` if there is.

        lane: messages of one lane leave one after the other, those of several lanes a frame of each
            in turn; FIRST_LANE's, and those below it, before all others.
        """
        epoch = self._check()
        if not data:
            return
        ranks, data = rank_set(destinations), bytes(data)
        for index, behind in enumerate(self._behind):
            if ranks & behind:
                send = HostSend(epoch, channel, data, ranks & behind, index, lane)
                for rank, total in self._early.take(epoch, channel, send.remaining):
                    self._grant(send, rank, total)
                self.sends.append(send)

    def begin_recv(self, channel: int, source: int, size_bytes: int) -> None:
        """Ask ``source`` for a message of ``size_bytes``; ``take`` returns it once it is whole."""
        epoch = self._check()
        key = (epoch, channel, source)
        if key in self._recvs:
            raise InternalError(f"channel {channel} already receives from rank {source}")
        if self._recvs.begin(key, size_bytes):
            self._send(FrameType.GRANT, 1 << source, channel, epoch, offset=size_bytes)

    def take(self, channel: int, source: int, epoch: int | None = None) -> bytes | None:
        """The message if it is whole, once; else None. Raises ``error`` if there is one.

        epoch: of which inference; None: of the last that was begun.
        """
        newest = self._check()
        return self._recvs.take((newest if epoch is None else epoch, channel, source))

    def send_datagram(self, destinations: Iterable[int], channel: int, payload: bytes) -> None:
        """One unsolicited message; raises ``InternalError`` if it does not fit into a frame."""
        if len(payload) > max_payload_bytes(self._identity.mtu_bytes):
            raise InternalError(f"a datagram of {len(payload)} bytes does not fit into a frame")
        epoch = self._epoch or 0
        self._send(FrameType.DATAGRAM, rank_set(destinations), channel, epoch, payload=payload)

    @property
    def link(self) -> Link:
        """To the first gateway."""
        return self.links[0]

    @property
    def idle(self) -> bool:
        """Whether everything that was posted has left, and the gateways have it."""
        return not self.sends and all(link.all_acknowledged for link in self.links)

    @property
    def is_up(self) -> bool:
        """Whether all gateways are there."""
        return all(link.is_up for link in self.links)

    def fail_with_timeout(self) -> None:
        """End the inference everywhere, naming what was waited for first."""
        for _, channel, source in self._recvs:
            return self._fail(ErrorCode.TIMEOUT, source, channel)
        for send in self.sends:
            lowest = (send.remaining & -send.remaining).bit_length() - 1
            return self._fail(ErrorCode.TIMEOUT, lowest, send.channel)
        return None

    def receive(self, data: bytes, now_us: int, link: int = 0) -> None:
        """Act on bytes from a gateway; ``link``: its place in ``links``."""
        self.links[link].receive(data, now_us)

    def poll(self, now_us: int, link: int = 0) -> bytes:
        """What is to be sent to a gateway now."""
        out = bytearray()
        while True:
            self._pump(link)
            piece = self.links[link].poll(now_us)
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
        self._hear(frame)
        if self._epoch is not None and is_before(frame.epoch, self._first):
            return
        for send in self.sends:
            waits = send.remaining & ~send.granted
            if (send.channel, send.epoch) == (frame.channel, frame.epoch) and (
                waits >> frame.source & 1
            ):
                self._grant(send, frame.source, frame.offset)
                return
        self._early.keep((frame.epoch, frame.channel, frame.source), frame.offset)

    def _hear(self, frame: Frame) -> None:
        if frame.epoch == self._epoch:
            self.heard |= 1 << frame.source

    def _on_data(self, frame: Frame) -> None:
        self._hear(frame)
        if self._epoch is None or self.error is not None or is_before(frame.epoch, self._first):
            return
        wrong = self._recvs.put(frame)
        if wrong is not None:
            self._fail(wrong, frame.source, frame.channel)

    def _on_fault(self, frame: Frame) -> None:
        if len(frame.payload) != _FAULT_BYTES or self._epoch is None:
            return
        if is_before(frame.epoch, self._first):
            return
        code, rank, reporter, _ = frame.payload
        if is_before(frame.epoch, self._epoch) and self.error is None:
            # Those that have begun the next one take no notice of a FAULT of this one.
            self._tell(code, rank, frame.channel, reporter)
        self._abort(
            PeerError(
                code,
                None if rank == _NO_RANK else rank,
                None if frame.channel == _NO_CHANNEL else frame.channel,
                None if reporter == _NO_RANK else reporter,
            )
        )

    def _on_link_error(self, code: ErrorCode, rank: int) -> None:
        refused = any(link.state is LinkState.REFUSED for link in self.links)
        if self._epoch is None and not refused:
            return
        if self.error is None and self._epoch is not None and len(self.links) > 1:
            self._tell(code, rank, _NO_CHANNEL)  # those behind the other gateways cannot know
        self._abort(PeerError(code, rank, reporter=self._identity.rank))

    # ---- Sending ----

    def _grant(self, send: HostSend, rank: int, total_bytes: int) -> None:
        if total_bytes != len(send.data):
            self._fail(ErrorCode.SIZE_MISMATCH, rank, send.channel)
            return
        send.granted |= 1 << rank

    def _pump(self, link: int) -> None:
        """Keep few frames waiting for credit, so that no message blocks those of other lanes."""
        while self.links[link].unsent < _WAITING_FRAMES and self.error is None:
            send = next_to_serve(self.sends, link, self._lanes[link])
            if send is None:
                return
            most = max_payload_bytes(self._identity.mtu_bytes)
            piece = send.data[send.offset : send.offset + most]
            way = send.remaining, send.channel, send.epoch, send.offset
            self._send(FrameType.DATA, *way, piece)
            self._lanes[link] = send.lane
            send.offset += len(piece)
            if send.offset == len(send.data):
                self.sends.remove(send)

    def _send(
        self, kind: FrameType, destinations: int, channel: int, epoch: int, offset: int = 0,
        payload: bytes = b"",
    ) -> None:  # fmt: skip
        for link, behind in zip(self.links, self._behind, strict=True):
            if destinations & behind:
                link.send(
                    Frame(kind, source=self._identity.rank, channel=channel,
                          destinations=destinations & behind, offset=offset,
                          epoch=epoch, payload=payload)
                )  # fmt: skip

    def _fail(self, code: ErrorCode, rank: int, channel: int) -> None:
        self._tell(code, rank, channel)
        self._abort(PeerError(code, rank, channel, self._identity.rank))

    def _tell(self, code: int, rank: int, channel: int, reporter: int | None = None) -> None:
        """FAULT to all devices, of the last inference and so of all that are under way."""
        said = self._identity.rank if reporter is None else reporter
        everyone = (1 << self._identity.world_size) - 1
        payload = bytes([code, rank, said, 0])
        self._send(FrameType.FAULT, everyone, channel, self._epoch or 0, payload=payload)

    def _abort(self, error: PeerError) -> None:
        self.error = self.error or error
        self.sends.clear()
        self._recvs.clear()

    def _check(self) -> int:
        """The inference that messages are of."""
        if self.error is not None:
            raise self.error
        if self._epoch is None:
            raise InternalError("begin_epoch() comes before any message")
        return self._epoch
