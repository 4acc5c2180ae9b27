# SPDX-License-Identifier: Apache-2.0
"""When a link asks its peer, and when it gives the peer up."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from tflsplit.wire.passes import RoundTrip

MULTICAST_HOLD_US = 10_000
"""How long a multicast waits for all of its receivers where it must not wait for ever
(``config.h`` of split_core)."""
_POLLS_BEFORE_SILENT = 3
QUICK_POLLS = 4
"""Until so many are unanswered, POLLs go by the round trip; later by the clock."""
TROUBLED_FRAMES = 200
"""So long after a loss, credit is asked for as quickly as an acknowledgement."""


@dataclass(frozen=True)
class Timing:
    """All in microseconds; the meanings are those of ``Timing`` in split_core's config.h."""

    hello_interval_us: int = 20_000
    poll_interval_us: int = 20_000
    poll_interval_max_us: int = 160_000
    peer_timeout_us: int = 2_000_000


class Action(Enum):
    """What the poll timer wants."""

    NOTHING = "nothing"
    POLL = "poll"
    GIVE_UP = "give up"


class PollTimer:
    """Counts the time without progress; asks ever more rarely; gives up on a silent peer."""

    def __init__(self, timing: Timing, round_trip: RoundTrip) -> None:
        self._timing = timing
        self._round_trip = round_trip
        self._quiet_since_us: int | None = None
        self._interval_us = timing.poll_interval_us
        self._unanswered = 0
        self._silent_since_us = 0
        self._trouble = 0
        self.number = 0  # of the last poll

    def touch(self, now_us: int) -> None:
        """Something was sent that the peer will acknowledge."""
        self._quiet_since_us = now_us

    def progress(self, now_us: int) -> None:
        """The peer acknowledged or granted something."""
        self._quiet_since_us = now_us
        self._interval_us = self._round_trip.poll_us(self._timing.poll_interval_us)
        self._trouble = max(0, self._trouble - 1)

    def loss(self) -> None:
        """Something is sent again."""
        self._interval_us = self._round_trip.poll_us(self._timing.poll_interval_us)
        self._trouble = TROUBLED_FRAMES

    def heard(self) -> None:
        """The peer sent a sound frame: it is alive."""
        self._unanswered = 0

    def quiet_us(self, now_us: int) -> int:
        """Microseconds since anything happened; 0 at the first call."""
        if self._quiet_since_us is None:
            self._quiet_since_us = now_us
        return now_us - self._quiet_since_us

    def ask(self, now_us: int) -> None:
        """A POLL leaves; its ``number``."""
        if self._unanswered == 0:
            self._silent_since_us = now_us
        self._unanswered += 1
        self.number = (self.number + 1) & 0xFF
        self._quiet_since_us = now_us

    @property
    def may_ask_at_once(self) -> bool:
        """A peer that does not read has room for few POLLs."""
        return self._unanswered < QUICK_POLLS

    def next_us(self, now_us: int, waits_for_credit: bool) -> int:
        """When to ask if nothing happens until then."""
        interval = self._interval_us
        if waits_for_credit and not self._trouble:
            interval = max(interval, self._timing.poll_interval_us)
        return now_us - self.quiet_us(now_us) + interval

    def decide(self, now_us: int, waits_for_credit: bool) -> Action:
        """To be called while something waits for the peer; credit alone is waited for longer."""
        usual = self._timing.poll_interval_us
        if now_us < self.next_us(now_us, waits_for_credit):
            return Action.NOTHING
        silent = now_us - self._silent_since_us >= self._timing.peer_timeout_us
        if self._unanswered >= _POLLS_BEFORE_SILENT and silent:
            return Action.GIVE_UP
        self.ask(now_us)
        least = usual if self._unanswered >= QUICK_POLLS else 0
        self._interval_us = min(
            max(2 * self._interval_us, least), self._timing.poll_interval_max_us
        )
        return Action.POLL
