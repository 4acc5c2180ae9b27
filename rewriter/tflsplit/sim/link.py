# SPDX-License-Identifier: Apache-2.0
"""One end of a link, by the rules of ``link.cc`` of split_core, without bytes.

Simpler than there: numbers do not wrap, sessions are open from the start and stay so, and a frame
is handed to the port whole.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import simpy

from tflsplit.cluster.framing import HOP_FRAME_BYTES
from tflsplit.sim.channel import Channel
from tflsplit.sim.frames import Frame, Hop, Kind, Slot, narrowed
from tflsplit.wire.timers import Timing


@dataclass
class PollState:
    """Time-outs: when to ask, and what the last POLL asked.

    number: of the last POLL; open: not answered; exact: nothing was sent again since.
    sent_before: sequenced frames that had been sent when it left.
    """

    interval_us: float
    quiet_since_us: float = 0.0
    due: bool = False
    number: int = 0
    open: bool = False
    exact: bool = False
    sent_before: int = 0


class Owner(Protocol):
    """What a link needs of the node that it belongs to."""

    env: simpy.Environment
    timing: Timing
    sent_bytes: int
    received_bytes: int

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
    """

    def __init__(self, node: Owner, peer_rank: int, destinations: int, rx_slots: int) -> None:
        self.node = node
        self.peer_rank = peer_rank
        self.destinations = destinations
        self.ring_next: Link | None = None
        self.feeds_ring = False
        self.channel: Channel
        self.queue: deque[Slot] = deque()
        self.window: deque[Slot] = deque()
        self.inbox: deque[Hop] = deque()
        self.own_frames = 0
        self.acked = self.next = self.resend = 0
        self.credit_end = rx_slots
        self.rx_free = rx_slots
        self.expected = self.told_ack = 0
        self.told_credit_end = rx_slots
        self.ack_due = self.nak_due = self.nak_sent = False
        self.status_due: int | None = None
        self.polls = PollState(node.timing.poll_interval_us)
        self._wake_at = -1.0
        self._timer_armed = False

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
            self.node.received_bytes += hop.wire_bytes
            self._handle_ack(hop)
            if hop.slot is not None:
                self._handle_sequenced(hop, hop.slot)
            elif hop.kind is Kind.NAK:
                self._go_back()
            elif hop.kind is Kind.POLL:
                self.status_due = hop.sequence
            elif hop.kind is Kind.STATUS:
                self._handle_status(hop)

    def _handle_ack(self, hop: Hop) -> None:
        credit_end = hop.ack + hop.credit
        more_credit = credit_end > self.credit_end
        self.credit_end = max(self.credit_end, credit_end)
        progress = hop.ack > self.acked or more_credit
        while self.acked < hop.ack:
            self._release(self.window.popleft())
            self.acked += 1
        self.resend = max(self.resend, self.acked)
        if progress:
            self.polls.quiet_since_us = self.node.env.now
            self.polls.interval_us = self.node.timing.poll_interval_us

    def _handle_sequenced(self, hop: Hop, slot: Slot) -> None:
        if hop.sequence < self.expected:
            self.ack_due = True
        elif hop.sequence > self.expected:
            self.nak_due = self.nak_due or not self.nak_sent
            self.nak_sent = True
        else:
            self.node.accept(self, narrowed(slot.frame, hop.destinations))
            self.expected += 1
            self.nak_due = self.nak_sent = False

    def _handle_status(self, hop: Hop) -> None:
        polls = self.polls
        if polls.open and hop.sequence == polls.number:
            polls.open = False
            if polls.exact and polls.sent_before > self.acked:
                self._go_back()

    def _go_back(self) -> None:
        self.resend = self.acked
        self.polls.exact = False

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
            self.node.sent_bytes += hop.wire_bytes
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
        if self.status_due is not None or self.nak_due or self.polls.due:
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
        self.polls.due = False
        return self._stamped(Kind.POLL, self.polls.number)

    def _sequenced(self) -> Hop | None:
        if self.resend < self.next:
            slot = self.window[self.resend - self.acked]
            if not self._has_room(slot.wire_bytes):
                return None
            self.resend += 1
            return self._numbered(slot, self.resend - 1, again=True)
        for index, slot in enumerate(self.queue):
            if self.credit_end - self.next < (2 if self._needs_two(slot) else 1):
                continue
            if not self._has_room(slot.wire_bytes):
                return None
            del self.queue[index]
            self.window.append(slot)
            self.next += 1
            self.resend = self.next
            return self._numbered(slot, self.next - 1, again=False)
        return None

    def _needs_two(self, slot: Slot) -> bool:
        on_ring = slot.origin is not None and slot.origin.ring_next is self
        return self.feeds_ring and not on_ring

    def _numbered(self, slot: Slot, sequence: int, again: bool) -> Hop:
        self.polls.quiet_since_us = self.node.env.now
        return self._stamped(slot.frame.kind, sequence, slot, again)

    def _stamped(
        self, kind: Kind, sequence: int = 0, slot: Slot | None = None, again: bool = False
    ) -> Hop:
        self.told_ack, self.told_credit_end = self.expected, self.expected + self.rx_free
        self.ack_due = False
        return Hop(kind, sequence, self.expected, self.rx_free, slot, again, self.destinations)

    # ---- Time-outs ----

    def _update_timer(self) -> None:
        if self.all_acknowledged:
            return
        now, polls, timing = self.node.env.now, self.polls, self.node.timing
        if now >= polls.quiet_since_us + polls.interval_us:
            polls.number += 1
            polls.due = polls.open = polls.exact = True
            polls.sent_before = self.next
            polls.quiet_since_us = now
            polls.interval_us = min(2 * polls.interval_us, timing.poll_interval_max_us)
        if not self._timer_armed:
            self._timer_armed = True
            self.node.call_at(polls.quiet_since_us + polls.interval_us, self._on_timer)

    def _on_timer(self) -> None:
        self._timer_armed = False
        self.node.poll_soon()
