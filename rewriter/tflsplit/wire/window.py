# SPDX-License-Identifier: Apache-2.0
"""The two ends of go-back-N: what is sent and not acknowledged, and what is expected next."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from enum import Enum

from tflsplit.wire.frames import Frame

MAX_CREDIT = 15
"""Frames that one side may ever have outstanding; below half of the sequence numbers."""


class SendWindow:
    """Frames on their way to the peer, oldest first, then those that wait for credit.

    ::

        acked                resend            acked + len(window)   credit_end
          |  sent, on the wire  |  to be sent again  |   may be sent    |  must wait
    """

    def __init__(self) -> None:
        self._window: deque[Frame] = deque()
        self._queue: deque[Frame] = deque()
        self._acked = 0
        self._resend = 0
        self._credit_end = 0
        self._mark: int | None = None

    @property
    def empty(self) -> bool:
        """Whether everything is acknowledged."""
        return not self._window and not self._queue

    @property
    def unsent(self) -> int:
        """Frames that were never sent."""
        return len(self._queue)

    def append(self, frame: Frame) -> None:
        """Queue a frame."""
        self._queue.append(frame)

    def open(self, credit: int) -> None:
        """Start at sequence 0 with the credit of a WELCOME; queued frames stay."""
        self._acked = self._resend = 0
        self._credit_end = credit if credit <= MAX_CREDIT else 0

    def clear(self) -> int:
        """Drop everything; how many frames that were."""
        count = len(self._window) + len(self._queue)
        self._window.clear()
        self._queue.clear()
        self._resend = 0
        self._mark = None
        return count

    def acknowledge(self, ack: int, credit: int) -> bool | None:
        """Take the peer's word. Whether it brought progress; None if it makes no sense."""
        count = (ack - self._acked) & 0xFF
        if count > len(self._window) or credit > MAX_CREDIT:
            return None
        credit_end = (ack + credit) & 0xFF
        more_credit = 0 < ((credit_end - self._credit_end) & 0xFF) < 128
        if more_credit:
            self._credit_end = credit_end
        for _ in range(count):
            self._window.popleft()
        self._acked = ack
        self._resend = max(0, self._resend - count)
        if self._mark is not None:
            self._mark = max(0, self._mark - count)
        return count > 0 or more_credit

    def next_frame(self) -> tuple[Frame, bool] | None:
        """The frame to send now, numbered, and whether it was sent before; None if none may be."""
        again = self._resend < len(self._window)
        if not again:
            free = self._credit_end != (self._acked + len(self._window)) & 0xFF
            if not self._queue or not free:
                return None
            self._window.append(self._queue.popleft())
        sequence = (self._acked + self._resend) & 0xFF
        frame = replace(self._window[self._resend], sequence=sequence)
        self._resend += 1
        return frame, again

    def go_back(self) -> None:
        """Send everything that is not acknowledged again."""
        self._resend = 0
        self._mark = None

    def mark(self) -> None:
        """Remember what has been sent up to now (a POLL follows it on the wire)."""
        self._mark = len(self._window)

    def lost_before_mark(self) -> bool:
        """Whether something sent before the mark, and not again since, is still missing."""
        lost = bool(self._mark)
        self._mark = None
        return lost


class Verdict(Enum):
    """Of a sequenced frame that arrived."""

    ACCEPT = "accept"
    DUPLICATE = "duplicate"
    FIRST_GAP = "first gap"
    GAP = "gap"


class ReceiveWindow:
    """What the peer has to send next. Everything is taken at once, so the credit is constant."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """The peer has opened a new session."""
        self.expected = 0
        self._told: tuple[int, int] | None = None
        self._gap_seen = False

    def judge(self, sequence: int) -> Verdict:
        """Whether the frame is the next one; a gap is to be reported (NAK) only the first time."""
        ahead = (sequence - self.expected) & 0xFF
        if ahead == 0:
            self.expected = (self.expected + 1) & 0xFF
            self._gap_seen = False
            return Verdict.ACCEPT
        if ahead >= 128:
            self._told = None  # our ACK may have been lost
            return Verdict.DUPLICATE
        first = not self._gap_seen
        self._gap_seen = True
        return Verdict.FIRST_GAP if first else Verdict.GAP

    @property
    def has_news(self) -> bool:
        """Whether the peer does not know yet what we have."""
        return self._told != (self.expected, MAX_CREDIT)

    def stamp(self, frame: Frame) -> Frame:
        """The frame with acknowledgement and credit."""
        self._told = (self.expected, MAX_CREDIT)
        return replace(frame, ack=self.expected, credit=MAX_CREDIT)
