# SPDX-License-Identifier: Apache-2.0
"""Messages of one node: what is posted, what is expected, and the rendezvous between them.

    SEND  post ------------------ GRANT arrives -> DATA DATA DATA
    RECV  expect -> GRANT ------------------------ DATA arrives ... complete

The rules of ``communicator.cc`` of split_core.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import simpy

from tflsplit.errors import InternalError
from tflsplit.sim.frames import Frame, Kind
from tflsplit.sim.trace import Channel, Delivery, Trace
from tflsplit.wire.frames import max_payload_bytes
from tflsplit.wire.topology import FIRST_LANE


@dataclass
class Send:
    """A posted SEND; the fields are those of ``SendSlot``."""

    channel: Channel
    total_bytes: int
    remaining: int
    lane: int | None = None
    behind: int = 0
    granted: int = 0
    batch: int = 0
    offset: int = 0
    first_grant_us: float = 0.0


def goes_first(lane: int | None) -> bool:
    """Whether messages of a lane end at a gateway of the host, and go before the others."""
    return lane is not None and lane <= FIRST_LANE


@dataclass
class Recv:
    """A message that is expected."""

    total_bytes: int
    received_bytes: int = 0
    grant_sent: bool = False


@dataclass
class Inbox:
    """What a node has got: GRANTs that no SEND waits for yet, datagrams by source."""

    grants: dict[Channel, int] = field(default_factory=dict)
    datagrams: list[tuple[int, Channel]] = field(default_factory=list)


class Router(Protocol):
    """What the communicator asks of its node."""

    def claim(self, destinations: int) -> bool:
        """Whether a frame of our own has room: a slot, and its share of every link's queue."""

    def inject(self, frame: Frame) -> None:
        """Send a frame of our own, after ``claim``."""

    def poll_soon(self) -> None:
        """Something has happened."""

    def call_at(self, when_us: float, function: Callable[[], None]) -> None:
        """Call later."""


class Communicator:
    """The messages of rank ``rank``; fields as in ``Node``.

    trace: where is noted what happens; one for all ranks of a simulation.
    """

    def __init__(
        self, env: simpy.Environment, rank: int, router: Router, mtu_bytes: int, hold_us: float
    ) -> None:
        self.env = env
        self.rank = rank
        self.inbox = Inbox()
        self.trace = Trace()
        self.on_datagram: Callable[[], None] = lambda: None
        self._router = router
        self._most_bytes = max_payload_bytes(mtu_bytes)
        self._hold_us = hold_us
        self._sends: list[Send] = []
        self._turn = 0
        self._recvs: dict[tuple[Channel, int], Recv] = {}
        self._ahead: set[tuple[Channel, int]] = set()
        self._datagrams: deque[Frame] = deque()

    # ---- For devices and hosts ----

    def post(
        self,
        channel: Channel,
        destinations: int,
        size_bytes: int,
        lane: int | None = None,
        behind: int = 0,
    ) -> None:
        """Offer a message to ranks; each gets it when it asks.

        lane: messages of one lane leave one after the other, as a host's do, FIRST_LANE's (and
            those below it) before all others; None: a lane of its own.
        behind: of a host's, the ranks behind the wire by which they leave: all of one inference go
            before those of the next.
        """
        if size_bytes == 0 or destinations == 0:
            return
        self.trace.posted[self.rank, channel] = self.env.now
        send = Send(channel, size_bytes, destinations, lane, behind)
        early = self.inbox.grants.get(channel, 0) & destinations
        if early:
            self._grant(send, early)
            self.inbox.grants[channel] &= ~early
        self._sends.append(send)

    def expect(self, channel: Channel, source: int, size_bytes: int, ahead: bool = False) -> None:
        """Ask for a message.

        ahead: nobody waits for it until it is expected once more.
        """
        if not ahead and (channel, source) in self._ahead:
            self._ahead.remove((channel, source))
        elif size_bytes:
            self._recvs[channel, source] = Recv(size_bytes)
            self._delivery(source, channel, self.rank).asked_us = self.env.now
            if ahead:
                self._ahead.add((channel, source))

    def send_datagram(self, destinations: int, channel: Channel, size_bytes: int) -> None:
        """One frame that nobody asked for."""
        self._datagrams.append(Frame(Kind.DATAGRAM, self.rank, destinations, channel, size_bytes))

    def is_released(self, channels: frozenset[Channel]) -> bool:
        """Whether all SENDs on these channels have left their tensors."""
        return not any(send.channel in channels for send in self._sends)

    @property
    def all_released(self) -> bool:
        """Whether every SEND has left its tensor."""
        return not self._sends

    @property
    def all_received(self) -> bool:
        """Whether everything that was expected is here, but for what was asked for ahead."""
        return self._recvs.keys() <= self._ahead

    def received_bytes(self, channel: Channel, source: int) -> int | None:
        """Of a message that is under way; None if all of it is here."""
        recv = self._recvs.get((channel, source))
        return None if recv is None else recv.received_bytes

    def is_expecting(self, epoch: int) -> bool:
        """Whether a message of an inference is still missing."""
        return any(channel[0] == epoch for channel, _ in self._recvs)

    def waits_for(self) -> str:
        """For people: what a node that does not go on is waiting for."""
        wanted = [f"channel {c[1]} from rank {s}" for c, s in self._recvs]
        unsent = [f"channel {send.channel[1]} to be taken" for send in self._sends]
        return ", ".join([*wanted, *unsent][:3]) or "nothing"

    # ---- For the node ----

    def take(self, frame: Frame) -> None:
        """A frame that is for this rank."""
        if frame.kind is Kind.DATAGRAM:
            self.inbox.datagrams.append((frame.source, frame.channel))
            self.on_datagram()
        elif frame.kind is Kind.GRANT:
            self._on_grant(frame)
        else:
            self._on_data(frame)

    def _on_grant(self, frame: Frame) -> None:
        bit = 1 << frame.source
        self._delivery(self.rank, frame.channel, frame.source).granted_us = self.env.now
        for send in self._sends:
            if send.channel == frame.channel and send.remaining & ~send.granted & bit:
                if send.total_bytes != frame.size:
                    raise InternalError(f"sizes on channel {frame.channel[1]} do not agree")
                self._grant(send, bit)
                return
        grants = self.inbox.grants
        grants[frame.channel] = grants.get(frame.channel, 0) | bit

    def _grant(self, send: Send, ranks: int) -> None:
        if not send.granted:
            send.first_grant_us = self.env.now
            if ranks != send.remaining and self._hold_us != float("inf"):
                self._router.call_at(self.env.now + self._hold_us, self._router.poll_soon)
        send.granted |= ranks

    def _on_data(self, frame: Frame) -> None:
        key = frame.channel, frame.source
        recv = self._recvs.get(key)
        if recv is None:
            raise InternalError(f"rank {self.rank} did not ask for channel {frame.channel[1]}")
        recv.received_bytes += frame.size
        if recv.received_bytes >= recv.total_bytes:
            del self._recvs[key]
            self._delivery(frame.source, frame.channel, self.rank).arrived_us = self.env.now

    def _delivery(self, source: int, channel: Channel, receiver: int) -> Delivery:
        return self.trace.deliveries[source, channel, receiver]

    def pump(self) -> None:
        """Fill free frame slots from what is posted."""
        while self._datagrams and self._router.claim(self._datagrams[0].destinations):
            self._router.inject(self._datagrams.popleft())
        for (channel, source), recv in self._recvs.items():
            if not recv.grant_sent:
                if not self._router.claim(1 << source):
                    return
                self._router.inject(
                    Frame(Kind.GRANT, self.rank, 1 << source, channel, recv.total_bytes)
                )
                recv.grant_sent = True
        while any(self._pump_send(send) for send in self._sends if goes_first(send.lane)):
            self._sends = [send for send in self._sends if send.remaining]
        # One frame from each SEND in turn, so that a long message does not hold up short ones.
        idle = 0
        while idle < len(self._sends):
            self._turn %= len(self._sends)
            send = self._sends[self._turn]
            idle = 0 if self._pump_send(send) else idle + 1
            if send.remaining:
                self._turn += 1
            else:
                self._sends.remove(send)

    def _pump_send(self, send: Send) -> bool:
        if not send.batch and not self._start_batch(send):
            return False
        if not self._router.claim(send.batch):
            return False
        count = min(send.total_bytes - send.offset, self._most_bytes)
        self._router.inject(Frame(Kind.DATA, self.rank, send.batch, send.channel, count))
        send.offset += count
        if send.offset == send.total_bytes:
            self.trace.release(self.rank, send.channel, send.batch, self.env.now)
            send.remaining &= ~send.batch
            send.granted &= ~send.batch
            send.batch = 0
            send.first_grant_us = self.env.now
        return True

    def _start_batch(self, send: Send) -> bool:
        ready = send.remaining & send.granted
        if not ready or (send.lane is not None and self._must_wait(send)):
            return False
        # A hair less than the hold, so that its own timer never comes a rounding error too early.
        waited = self.env.now - send.first_grant_us >= self._hold_us * (1 - 1e-9)
        if ready != send.remaining and not waited:
            return False
        send.batch, send.offset = ready, 0
        self.trace.begin(self.rank, send.channel, ready, self.env.now)
        return True

    def _must_wait(self, send: Send) -> bool:
        """Whether others go first: of its lane, begun or ready before; of earlier inferences."""
        number, _ = send.channel
        if any(o.behind == send.behind and o.channel[0] < number for o in self._sends):
            return True
        earlier = True
        for other in self._sends:
            if other is send:
                earlier = False
            elif other.lane == send.lane and (
                other.batch or (earlier and other.granted == other.remaining)
            ):
                return True
        return False
