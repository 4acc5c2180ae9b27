# SPDX-License-Identifier: Apache-2.0
"""The ends of selective repeat: what is sent and not acknowledged, and what is expected next."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from enum import Enum

from tflsplit.wire.frames import Frame
from tflsplit.wire.passes import Passes

MAX_CREDIT = 15
"""Frames that one side may ever have outstanding; below half of the sequence numbers."""


@dataclass
class _Sent:
    """A frame that is not acknowledged.

    number: of its last pass.
    held: whether the peer keeps it until those before it are there.  lost: to be sent again.
    """

    frame: Frame
    number: int = 0
    held: bool = False
    lost: bool = False


class SendWindow:
    """Frames on their way to the peer, oldest first, then those that wait for credit.

    ::

        acked                        acked + len(window)   credit_end
          |  sent; held, lost or neither  |   may be sent    |  must wait

    """

    def __init__(self) -> None:
        self._window: deque[_Sent] = deque()
        self._queue: deque[Frame] = deque()
        self._acked = 0
        self._credit_end = 0
        self.passes = Passes()
        self.is_open = False

    @property
    def empty(self) -> bool:
        """Whether everything is acknowledged."""
        return not self._window and not self._queue

    @property
    def outstanding(self) -> int:
        """Frames that were sent and are not acknowledged."""
        return len(self._window)

    @property
    def unsent(self) -> int:
        """Frames that were never sent."""
        return len(self._queue)

    def append(self, frame: Frame) -> None:
        """Queue a frame."""
        self._queue.append(frame)

    def open(self, credit: int) -> None:
        """Start at sequence 0 with the credit of a WELCOME; queued frames stay."""
        self._acked = 0
        self._credit_end = credit if credit <= MAX_CREDIT else 0
        self.is_open = True

    def clear(self) -> int:
        """Drop everything; how many frames that were."""
        count = len(self._window) + len(self._queue)
        self._window.clear()
        self._queue.clear()
        self.passes.forget()
        self.is_open = False
        return count

    def acknowledge(
        self, ack: int, credit: int, now_us: int, held: int | None = None
    ) -> bool | None:
        """Take the peer's word. Whether it brought progress; None if it makes no sense.

        held: bit i: it keeps ``ack + i``; None where a frame does not tell.
        """
        count = (ack - self._acked) & 0xFF
        if count > len(self._window) or credit > MAX_CREDIT:
            return None
        if held is not None and (held & 1 or held >> (len(self._window) - count)):
            return None
        credit_end = (ack + credit) & 0xFF
        more_credit = 0 < ((credit_end - self._credit_end) & 0xFF) < 128
        if more_credit:
            self._credit_end = credit_end
        for _ in range(count):
            self.passes.has_arrived(self._window.popleft().number, now_us)
        self._acked = ack
        if held is not None:
            for index, sent in enumerate(self._window):
                sent.held = bool(held >> index & 1)
        return count > 0 or more_credit

    def next_frame(self, now_us: int) -> tuple[Frame, bool] | None:
        """The frame to send now, numbered, and whether it was sent before; None if none may be."""
        for index, sent in enumerate(self._window):
            if sent.lost:
                return self._write(index, now_us), True
        if not self._queue or self._credit_end == (self._acked + len(self._window)) & 0xFF:
            return None
        self._window.append(_Sent(self._queue.popleft()))
        return self._write(len(self._window) - 1, now_us), False

    def _write(self, index: int, now_us: int) -> Frame:
        sent = self._window[index]
        sent.number, sent.lost = self.passes.write(now_us), False
        return replace(sent.frame, sequence=(self._acked + index) & 0xFF)

    def find_lost(self, now_us: int) -> bool:
        """Mark what is to be sent again; whether there is more than before."""
        for sent in self._window:
            if sent.held:
                self.passes.has_arrived(sent.number, now_us)
        found = False
        for sent in self._window:
            is_lost = not sent.held and self.passes.is_over(sent.number)
            found |= is_lost and not sent.lost
            sent.lost = is_lost
        return found


class Verdict(Enum):
    """Of a sequenced frame that arrived."""

    ACCEPT = "accept"
    DUPLICATE = "duplicate"
    GAP = "gap"


class ReceiveWindow:
    """What the peer has to send next. Everything is taken at once, so the credit is constant."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """The peer has opened a new session."""
        self.expected = 0
        self._told: tuple[int, int] | None = None
        self._held: dict[int, Frame] = {}  # by how far ahead of ``expected``

    def judge(self, frame: Frame) -> Verdict:
        """Whether the frame is the next one; one behind a gap is kept."""
        ahead = (frame.sequence - self.expected) & 0xFF
        if ahead == 0:
            return Verdict.ACCEPT
        if ahead >= 128 or ahead in self._held:
            self._told = None  # our ACK may have been lost
            return Verdict.DUPLICATE
        if ahead < MAX_CREDIT:
            self._held[ahead] = frame
        return Verdict.GAP

    def take(self, frame: Frame) -> list[Frame]:
        """Accept the next frame; it, and those that were kept behind it."""
        frames = [frame]
        while True:
            self.expected = (self.expected + 1) & 0xFF
            self._held = {ahead - 1: kept for ahead, kept in self._held.items()}
            following = self._held.pop(0, None)
            if following is None:
                return frames
            frames.append(following)

    @property
    def has_news(self) -> bool:
        """Whether the peer does not know yet what we have."""
        return self._told != (self.expected, MAX_CREDIT)

    def stamp(self, frame: Frame) -> Frame:
        """The frame with acknowledgement and credit, and with what is kept if it can tell."""
        self._told = (self.expected, MAX_CREDIT)
        if frame.type.tells_held:
            frame = replace(frame, offset=sum(1 << ahead for ahead in self._held))
        return replace(frame, ack=self.expected, credit=MAX_CREDIT)
