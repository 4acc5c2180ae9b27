# SPDX-License-Identifier: Apache-2.0
"""One end of a link, by the rules of ``link.cc`` of split_core, without bytes.

Simpler than there: numbers do not wrap, sessions are open from the start and stay so, and a frame
is handed to the port whole.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import simpy

from tflsplit.cluster.framing import HOP_FRAME_BYTES
from tflsplit.sim.channel import Channel
from tflsplit.sim.frames import Frame, Hop, Kind, Slot, narrowed
from tflsplit.wire.passes import Passes
from tflsplit.wire.timers import Action, PollTimer, Timing

_NEVER_US = 1 << 60


@dataclass
class Sent:
    """A frame that is not acknowledged; the fields are those of ``SendWindow``'s."""

    slot: Slot
    number: int = 0
    held: bool = False
    lost: bool = False


class Owner(Protocol):
    """What a link needs of the node that it belongs to."""

    env: simpy.Environment
    timing: Timing
    handled_us: float

    def poll_soon(self) -> None:
        """Something has happened."""

    def call_at(self, when_us: float, function: Callable[[], None]) -> None:
        """Call later."""

    def accept(self, came_by: Link, frame: Frame) -> None:
        """A frame that arrived in order."""

    def free(self, slot: Slot) -> None:
        """No link needs the slot any more."""


class Link:
    """The link of ``node`` to one neighbour.

    destinations: ranks reached through it, as bits.
    ring_next: the link into which ring traffic that arrives here continues; None off a ring.
    feeds_ring: whether it is such a continuation, so that entering needs two credits.
    rx_free: transit slots that are free: the credit of the neighbour.
    channel: where its frames go; set when the neighbour exists.
    sent_byte_us, received_byte_us: what a byte on the wire takes of its node's processor.
    """

    def __init__(self, node: Owner, peer_rank: int, destinations: int, rx_slots: int) -> None:
        self.node = node
        self.peer_rank = peer_rank
        self.destinations = destinations
        self.ring_next: Link | None = None
        self.feeds_ring = False
        self.channel: Channel
        self.sent_byte_us = self.received_byte_us = 0.0
        self.queue: deque[Slot] = deque()
        self.window: deque[Sent] = deque()
        self.held: dict[int, Hop] = {}
        self.inbox: deque[Hop] = deque()
        self.own_frames = 0
        self.acked = self.next = 0
        self.passes = Passes()
        self.credit_end = rx_slots
        self.rx_free = rx_slots
        self.expected = self.told_ack = 0
        self.told_credit_end = rx_slots
        self.ack_due = self.nak_due = self.poll_due = False
        self.status_due: int | None = None
        self.polls = PollTimer(
            replace(node.timing, peer_timeout_us=_NEVER_US), self.passes.round_trip
        )
        self._wake_at = -1.0
        self._armed_us = _NEVER_US

    @property
    def _now_us(self) -> int:
        return round(self.node.env.now)

    @property
    def all_acknowledged(self) -> bool:
        """Whether the neighbour has everything."""
        return not self.window and not self.queue

    # ---- Receiving ----

    def arrive(self, hop: Hop) -> None:
        """A frame has come; it waits in the port's ring until the node polls."""
        self.inbox.append(hop)
        self.node.poll_soon()

    def receive(self) -> None:
        """Act on all that waits."""
        while self.inbox:
            hop = self.inbox.popleft()
            self.node.handled_us += hop.wire_bytes * self.received_byte_us
            if hop.is_damaged:
                self._handle_damage()
                continue
            self.polls.heard()
            self._handle_ack(hop)
            if hop.slot is not None:
                self._handle_sequenced(hop)
            elif hop.kind is Kind.NAK and not hop.held:
                self._ask_at_once()
            elif hop.kind is Kind.POLL:
                self.status_due = hop.sequence
            elif hop.kind is Kind.STATUS and hop.sequence == self.polls.number:
                self.passes.mark_has_arrived(self._now_us)
                self._find_lost()

    def _handle_ack(self, hop: Hop) -> None:
        credit_end = hop.ack + hop.credit
        more_credit = credit_end > self.credit_end
        self.credit_end = max(self.credit_end, credit_end)
        count = hop.ack - self.acked
        for _ in range(count):
            sent = self.window.popleft()
            self.passes.has_arrived(sent.number, self._now_us)
            self._release(sent.slot)
        self.acked = hop.ack
        if hop.slot is None:
            for index, sent in enumerate(self.window):
                sent.held = self.acked + index in hop.held
        self._find_lost()
        if count or more_credit:
            self.polls.progress(self._now_us)

    def _find_lost(self) -> None:
        for sent in self.window:
            if sent.held:
                self.passes.has_arrived(sent.number, self._now_us)
        for sent in self.window:
            is_lost = not sent.held and self.passes.is_over(sent.number)
            if is_lost and not sent.lost:
                self.polls.loss()
            sent.lost = is_lost

    def _handle_sequenced(self, hop: Hop) -> None:
        if hop.sequence < self.expected or hop.sequence in self.held:
            self.ack_due = True
        elif hop.sequence > self.expected:
            self.nak_due = True
            self.held[hop.sequence] = hop
        else:
            following: Hop | None = hop
            while following is not None and following.slot is not None:
                frame = narrowed(following.slot.frame, following.destinations)
                self.node.accept(self, frame)
                self.expected += 1
                following = self.held.pop(self.expected, None)

    def _handle_damage(self) -> None:
        self.nak_due = True
        self._ask_at_once()

    def _ask_at_once(self) -> None:
        if not self.all_acknowledged and self.polls.may_ask_at_once:
            self.polls.ask(self._now_us)
            self.poll_due = True

    def _release(self, slot: Slot) -> None:
        if slot.origin is None:
            self.own_frames -= 1
        slot.references -= 1
        if slot.references == 0:
            self.node.free(slot)

    # ---- Sending ----

    def enqueue(self, slot: Slot) -> None:
        """Send a frame when its turn comes."""
        slot.references += 1
        if slot.origin is None:
            self.own_frames += 1
        self.queue.append(slot)

    def transmit(self) -> None:
        """Hand to the port what may leave now."""
        self._update_timer()
        while (hop := self._next_hop()) is not None:
            self.node.handled_us += hop.wire_bytes * self.sent_byte_us
            self.channel.send(hop)

    def _has_room(self, wire_bytes: int) -> bool:
        room_at = self.channel.room_at(wire_bytes)
        if room_at <= self.node.env.now:
            return True
        if self._wake_at != room_at:
            self._wake_at = room_at
            self.node.call_at(room_at, self.node.poll_soon)
        return False

    def _next_hop(self) -> Hop | None:
        if self.status_due is not None or self.nak_due or self.poll_due:
            return self._control() if self._has_room(HOP_FRAME_BYTES) else None
        hop = self._sequenced()
        if hop is not None:
            return hop
        news = self.ack_due or self.told_ack != self.expected
        if not news and self.told_credit_end == self.expected + self.rx_free:
            return None
        return self._stamped(Kind.ACK) if self._has_room(HOP_FRAME_BYTES) else None

    def _control(self) -> Hop:
        if self.status_due is not None:
            number, self.status_due = self.status_due, None
            return self._stamped(Kind.STATUS, number)
        if self.nak_due:
            self.nak_due = False
            return self._stamped(Kind.NAK)
        self.poll_due = False
        self.passes.mark()
        return self._stamped(Kind.POLL, self.polls.number)

    def _sequenced(self) -> Hop | None:
        for index, sent in enumerate(self.window):
            if sent.lost:
                if not self._has_room(sent.slot.wire_bytes):
                    return None
                return self._numbered(sent, self.acked + index, again=True)
        for index, slot in enumerate(self.queue):
            if self.credit_end - self.next < (2 if self._needs_two(slot) else 1):
                continue
            if not self._has_room(slot.wire_bytes):
                return None
            del self.queue[index]
            self.window.append(Sent(slot))
            self.next += 1
            return self._numbered(self.window[-1], self.next - 1, again=False)
        return None

    def _needs_two(self, slot: Slot) -> bool:
        on_ring = slot.origin is not None and slot.origin.ring_next is self
        return self.feeds_ring and not on_ring

    def _numbered(self, sent: Sent, sequence: int, again: bool) -> Hop:
        sent.number, sent.lost = self.passes.write(self._now_us), False
        self.polls.touch(self._now_us)
        return self._stamped(sent.slot.frame.kind, sequence, sent.slot, again)

    def _stamped(
        self, kind: Kind, sequence: int = 0, slot: Slot | None = None, again: bool = False
    ) -> Hop:
        self.told_ack, self.told_credit_end = self.expected, self.expected + self.rx_free
        self.ack_due = False
        return Hop(
            kind, sequence, self.expected, self.rx_free, slot, again, self.destinations,
            frozenset(self.held),
        )  # fmt: skip

    # ---- Time-outs ----

    def _update_timer(self) -> None:
        if self.all_acknowledged:
            return
        waits_for_credit = not self.window
        if self.polls.decide(self._now_us, waits_for_credit) is Action.POLL:
            self.poll_due = True
        self._arm(waits_for_credit)

    def _arm(self, waits_for_credit: bool) -> None:
        when_us = self.polls.next_us(self._now_us, waits_for_credit)
        if when_us < self._armed_us:
            self._armed_us = when_us
            self.node.call_at(when_us, self._on_timer)

    def _on_timer(self) -> None:
        if self._now_us < self._armed_us:
            return  # an older one
        self._armed_us = _NEVER_US
        if self.all_acknowledged:
            return
        waits_for_credit = not self.window
        if self._now_us >= self.polls.next_us(self._now_us, waits_for_credit):
            self.node.poll_soon()
        else:
            self._arm(waits_for_credit)
