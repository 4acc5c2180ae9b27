# SPDX-License-Identifier: Apache-2.0
"""A node: its links, the router between them, and the communicator that moves messages.

Nothing happens but in ``poll``, and a device polls only inside of SEND and RECV and between two
inferences: the rules of ``node.cc``, ``router.cc`` and ``communicator.cc`` of split_core.  A poll
takes no time; what it costs is part of the link's ``frame_overhead_us`` and ``step_overhead_us``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass, field

import simpy

from tflsplit.errors import InternalError
from tflsplit.sim.frames import Frame, Kind, Slot
from tflsplit.sim.link import Link
from tflsplit.wire.frames import max_payload_bytes
from tflsplit.wire.timers import Timing

POLL_US = 5.0
"""From the moment that something happens to the poll that sees it: an estimate of the time between
two polls of a waiting device.  What happens within it is seen together, as in the firmware."""

MULTICAST_HOLD_US = 10_000.0
"""How long a multicast waits for all of its receivers (``config.h``)."""

Channel = tuple[int, int]
"""(epoch, channel)."""


@dataclass
class Send:
    """A posted SEND; the fields are those of ``SendSlot``."""

    channel: Channel
    total_bytes: int
    remaining: int
    granted: int = 0
    batch: int = 0
    offset: int = 0
    first_grant_us: float = 0.0


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


class Node:
    """One rank on the network.

    hold_us: how long a multicast waits for all; tx_slots: frames of its own under way.
    background_us: how often it polls while it computes; 0: never.
    """

    def __init__(
        self,
        env: simpy.Environment,
        rank: int,
        mtu_bytes: int,
        tx_slots: int,
        hold_us: float = MULTICAST_HOLD_US,
        background_us: float = 0.0,
    ) -> None:
        self.env = env
        self.rank = rank
        self.timing = Timing()
        self.links: list[Link] = []
        self.is_polling = False
        self.inbox = Inbox()
        self._most_bytes = max_payload_bytes(mtu_bytes)
        self._tx_slots = self._own_free = tx_slots
        self._hold_us = hold_us
        self._background_us = background_us
        self._sends: list[Send] = []
        self._turn = 0
        self._recvs: dict[tuple[Channel, int], Recv] = {}
        self._datagrams: deque[Frame] = deque()
        self._condition: Callable[[], bool] | None = None
        self._wakeup: simpy.Event | None = None
        self._next_poll_at = float("inf")

    # ---- For devices and hosts ----

    def post(self, channel: Channel, destinations: int, size_bytes: int) -> None:
        """Offer a message to ranks; each gets it when it asks."""
        if size_bytes == 0 or destinations == 0:
            return
        send = Send(channel, size_bytes, destinations)
        early = self.inbox.grants.get(channel, 0) & destinations
        if early:
            self._grant(send, early)
            self.inbox.grants[channel] &= ~early
        self._sends.append(send)

    def expect(self, channel: Channel, source: int, size_bytes: int) -> None:
        """Ask for a message."""
        if size_bytes:
            self._recvs[channel, source] = Recv(size_bytes)

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
        """Whether everything that was expected is here."""
        return not self._recvs

    def is_expecting(self, epoch: int) -> bool:
        """Whether a message of an inference is still missing."""
        return any(channel[0] == epoch for channel, _ in self._recvs)

    def wait(self, condition: Callable[[], bool]) -> Generator[simpy.Event, object, None]:
        """Poll until ``condition``; for a SimPy process."""
        self.is_polling = True
        self.poll()
        while not condition():
            self._condition = condition
            self._wakeup = self.env.event()
            yield self._wakeup
        self._condition = None
        self.is_polling = False

    def idle(self) -> None:
        """Poll from now on, whatever comes."""
        self.is_polling = True
        self.poll()

    def waits_for(self) -> str:
        """For people: what a node that does not go on is waiting for."""
        wanted = [f"channel {c[1]} from rank {s}" for c, s in self._recvs]
        unsent = [f"channel {send.channel[1]} to be taken" for send in self._sends]
        return ", ".join([*wanted, *unsent][:3]) or "nothing"

    # ---- The turn of the wheel ----

    def poll_soon(self) -> None:
        """Something has happened: poll, if the device is one that polls now."""
        delay = POLL_US if self.is_polling else self._until_background_poll()
        if delay and self.env.now + delay < self._next_poll_at:
            self._next_poll_at = self.env.now + delay
            self.call_at(self._next_poll_at, self._on_poll_due)

    def _on_poll_due(self) -> None:
        if self.env.now >= self._next_poll_at:
            self._next_poll_at = float("inf")
            if self.is_polling or self._background_us:
                self.poll()

    def _until_background_poll(self) -> float:
        """Until the next tick of the timer; 0 if there is none."""
        period = self._background_us
        return period - self.env.now % period if period else 0.0

    def poll(self) -> None:
        """Receive, forward, send."""
        for link in self.links:
            link.receive()
        self._pump()
        for link in self.links:
            link.transmit()
        if self._condition is not None and self._condition():
            self._condition = None
            assert self._wakeup is not None
            self._wakeup.succeed()

    def call_at(self, when_us: float, function: Callable[[], None]) -> None:
        """Call later."""
        event = self.env.timeout(max(0.0, when_us - self.env.now))
        event.callbacks.append(lambda _: function())

    # ---- Router ----

    def accept(self, came_by: Link, frame: Frame) -> None:
        """A frame that arrived in order: forward it, and take it if it is for us."""
        onward = frame.destinations & ~(1 << self.rank)
        slot: Slot | None = None
        for link in self.links:
            behind = link.destinations & onward
            if not behind or link is came_by:
                continue
            if slot is None:
                slot = self._adopt(came_by, frame)
            link.enqueue(slot)
        if frame.destinations >> self.rank & 1:
            self._take(frame)

    def free(self, slot: Slot) -> None:
        """No link needs the slot any more."""
        if slot.origin is None:
            self._own_free += 1
        else:
            slot.origin.rx_free += 1

    def _adopt(self, came_by: Link, frame: Frame) -> Slot:
        came_by.rx_free -= 1
        if came_by.rx_free < 0:
            raise InternalError(f"rank {self.rank} got more frames than it gave credit for")
        return Slot(frame, came_by)

    def _claim(self, destinations: int) -> bool:
        """Whether a frame of our own has room: a slot, and its share of every link's queue."""
        share = max(1, self._tx_slots - len(self.links) + 1)
        return self._own_free > 0 and all(
            link.own_frames < share for link in self.links if link.destinations & destinations
        )

    def _inject(self, frame: Frame) -> None:
        self._own_free -= 1
        slot = Slot(frame, None)
        for link in self.links:
            if link.destinations & frame.destinations:
                link.enqueue(slot)

    # ---- Communicator ----

    def _take(self, frame: Frame) -> None:
        if frame.kind is Kind.DATAGRAM:
            self.inbox.datagrams.append((frame.source, frame.channel))
        elif frame.kind is Kind.GRANT:
            self._on_grant(frame)
        else:
            self._on_data(frame)

    def _on_grant(self, frame: Frame) -> None:
        bit = 1 << frame.source
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
                self.call_at(self.env.now + self._hold_us, self.poll_soon)
        send.granted |= ranks

    def _on_data(self, frame: Frame) -> None:
        key = frame.channel, frame.source
        recv = self._recvs.get(key)
        if recv is None:
            raise InternalError(f"rank {self.rank} did not ask for channel {frame.channel[1]}")
        recv.received_bytes += frame.size
        if recv.received_bytes >= recv.total_bytes:
            del self._recvs[key]

    def _pump(self) -> None:
        while self._datagrams and self._claim(self._datagrams[0].destinations):
            self._inject(self._datagrams.popleft())
        for (channel, source), recv in self._recvs.items():
            if not recv.grant_sent:
                if not self._claim(1 << source):
                    return
                self._inject(Frame(Kind.GRANT, self.rank, 1 << source, channel, recv.total_bytes))
                recv.grant_sent = True
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
        if not self._claim(send.batch):
            return False
        count = min(send.total_bytes - send.offset, self._most_bytes)
        self._inject(Frame(Kind.DATA, self.rank, send.batch, send.channel, count))
        send.offset += count
        if send.offset == send.total_bytes:
            send.remaining &= ~send.batch
            send.granted &= ~send.batch
            send.batch = 0
            send.first_grant_us = self.env.now
        return True

    def _start_batch(self, send: Send) -> bool:
        ready = send.remaining & send.granted
        if not ready:
            return False
        # A hair less than the hold, so that its own timer never comes a rounding error too early.
        waited = self.env.now - send.first_grant_us >= self._hold_us * (1 - 1e-9)
        if ready != send.remaining and not waited:
            return False
        send.batch, send.offset = ready, 0
        return True
