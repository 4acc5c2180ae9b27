# SPDX-License-Identifier: Apache-2.0
"""In which order sequenced frames were written, which of them have arrived, and how long it took.

Every write of a frame, first or again, is a pass and has a number. The stream keeps order: once
something of pass n is known to have arrived, what was written before and is not there is lost.
"""

from __future__ import annotations

_LEAST_POLL_US = 500


class RoundTrip:
    """How long an acknowledgement takes: mean and mean deviation (Jacobson 1988; RFC 6298)."""

    def __init__(self) -> None:
        self._mean_us = 0
        self._deviation_us = 0

    def take(self, sample_us: int) -> None:
        """One more."""
        if self._mean_us == 0:
            self._mean_us, self._deviation_us = sample_us + 1, sample_us // 2
            return
        apart = abs(sample_us - self._mean_us)
        self._deviation_us = (3 * self._deviation_us + apart) // 4
        self._mean_us = (7 * self._mean_us + sample_us) // 8 + 1

    def poll_us(self, most_us: int) -> int:
        """When to ask for one that does not come; ``most_us`` while nothing is measured."""
        if self._mean_us == 0:
            return most_us
        return min(most_us, max(_LEAST_POLL_US, self._mean_us + 4 * self._deviation_us))


class Passes:
    """Numbers passes; times one of them at a time."""

    def __init__(self) -> None:
        self.round_trip = RoundTrip()
        self._count = 0
        self._arrived = 0
        self._mark = 0
        self._timed: tuple[int, int] | None = None  # number of a pass, and when it was written

    def write(self, now_us: int) -> int:
        """A frame is written; the number of this pass."""
        number = self._count
        self._count += 1
        if self._timed is None:
            self._timed = number, now_us
        return number

    def has_arrived(self, number: int, now_us: int) -> None:
        """The peer has what was written in this pass."""
        if self._timed is not None and number >= self._timed[0]:
            if number == self._timed[0]:
                self.round_trip.take(now_us - self._timed[1])
            self._timed = None
        self._arrived = max(self._arrived, number)

    def mark(self) -> None:
        """A POLL leaves."""
        self._mark = self._count

    def mark_has_arrived(self, now_us: int) -> None:
        """The POLL has been answered."""
        self.has_arrived(self._mark, now_us)

    def is_over(self, number: int) -> bool:
        """Whether a pass has arrived or is lost."""
        return number < self._arrived

    def forget(self) -> None:
        """A new session: nothing of the last one will arrive."""
        self._arrived = self._count
        self._timed = None
