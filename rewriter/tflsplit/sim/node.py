# SPDX-License-Identifier: Apache-2.0
"""A node: its links and the router between them; ``communicator`` moves the messages.

Nothing happens but in ``poll``.  A device polls inside of SEND and RECV, between two inferences,
and, if it has a timer for it, while a kernel runs: the rules of ``node.cc``, ``router.cc`` and the
ports' timers.  A poll takes no time here; what it costs is part of the link's
``frame_overhead_us`` and ``step_overhead_us``, or of the kernel that it interrupts (``polling``).
"""

from __future__ import annotations

from collections.abc import Callable, Generator

import simpy

from tflsplit.errors import InternalError
from tflsplit.sim.communicator import Communicator
from tflsplit.sim.frames import Frame, Slot
from tflsplit.sim.link import Link
from tflsplit.wire.timers import MULTICAST_HOLD_US, Timing

POLL_US = 5.0
"""From the moment that something happens to the poll that sees it: an estimate of the time between
two polls of a waiting device.  What happens within it is seen together, as in the firmware."""


class Node:
    """One rank on the network.

    messages: posted and expected here.
    hold_us: how long a multicast waits for all; tx_slots: frames of its own under way.
    background_us: how often it polls while it computes; 0: never.
    link_frames: frames of its own that wait for one link; None: its share of ``tx_slots``.
    handled_us: what the bytes on all wires have taken of its processor so far.
    """

    def __init__(
        self,
        env: simpy.Environment,
        rank: int,
        mtu_bytes: int,
        tx_slots: int,
        hold_us: float = MULTICAST_HOLD_US,
        background_us: float = 0.0,
        link_frames: int | None = None,
    ) -> None:
        self.env = env
        self.rank = rank
        self.timing = Timing()
        self.links: list[Link] = []
        self.is_polling = False
        self.handled_us = 0.0
        self.messages = Communicator(env, rank, self, mtu_bytes, hold_us)
        self._tx_slots = self._own_free = tx_slots
        self._link_frames = link_frames
        self._background_us = background_us
        self._condition: Callable[[], bool] | None = None
        self._wakeup: simpy.Event | None = None
        self._next_poll_at = float("inf")

    # ---- For devices and hosts ----

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

    @property
    def polls_in_kernels(self) -> bool:
        """Whether it has a timer for that."""
        return bool(self._background_us)

    def poll_after_post(self) -> None:
        """At once; with a timer at its next tick, or behind the GRANTs of a RECV that follows."""
        if self._background_us:
            self.poll_soon()
        else:
            self.poll()

    @property
    def may_compute(self) -> bool:
        """Whether a kernel may begin: without a timer, what is still here would wait for its end.

        Frames of our own, or on their way through us (``Exchange::wait`` of split_device).
        """
        return bool(self._background_us) or all(link.all_acknowledged for link in self.links)

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
        self.messages.pump()
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
            self.messages.take(frame)

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

    def claim(self, destinations: int) -> bool:
        """Whether a frame of our own has room: a slot, and its share of every link's queue."""
        share = self._link_frames or max(1, self._tx_slots - len(self.links) + 1)
        return self._own_free > 0 and all(
            link.own_frames < share for link in self.links if link.destinations & destinations
        )

    def inject(self, frame: Frame) -> None:
        """Send a frame of our own, after ``claim``."""
        self._own_free -= 1
        slot = Slot(frame, None)
        for link in self.links:
            if link.destinations & frame.destinations:
                link.enqueue(slot)
