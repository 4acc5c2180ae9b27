# SPDX-License-Identifier: Apache-2.0
"""What of the sent frames is lost, and when to ask (``link_recovery.cc`` of split_core)."""

from __future__ import annotations

from tflsplit.wire.frames import Frame, FrameType
from tflsplit.wire.link_state import LinkCounters
from tflsplit.wire.timers import Action, PollTimer
from tflsplit.wire.window import SendWindow


class Recovery:
    """Between a ``SendWindow`` and its ``PollTimer``.

    due: control frames that are to leave next, with their number.
    """

    def __init__(
        self,
        window: SendWindow,
        timer: PollTimer,
        counters: LinkCounters,
        due: dict[FrameType, int],
    ) -> None:
        self._window = window
        self._timer = timer
        self._counters = counters
        self._due = due

    def on_acknowledgement(self, frame: Frame, now_us: int) -> None:
        """Any frame from the peer tells what it has; some also what it keeps behind a gap."""
        held = frame.offset if frame.type.tells_held else None
        progress = self._window.acknowledge(frame.ack, frame.credit, now_us, held)
        if progress is None:
            self._counters.bad_acks += 1
            return
        self._find_lost(now_us)
        if progress:
            self._timer.progress(now_us)

    def on_status(self, number: int, now_us: int) -> None:
        """The answer to a POLL: what was sent before that and is not here is lost."""
        if number == self._timer.number:
            self._window.passes.mark_has_arrived(now_us)
            self._find_lost(now_us)

    def on_time(self, now_us: int) -> bool:
        """Ask if it is time to; whether the peer has been silent for too long."""
        if self._window.empty:
            return False
        action = self._timer.decide(now_us, waits_for_credit=not self._window.outstanding)
        if action is Action.POLL:
            self._poll()
        return action is Action.GIVE_UP

    def ask_at_once(self, now_us: int) -> None:
        """Because of what just came, without waiting."""
        waits = self._window.is_open and not self._window.empty
        if waits and self._timer.may_ask_at_once:
            self._timer.ask(now_us)
            self._poll()

    def _poll(self) -> None:
        self._counters.polls += 1
        self._window.passes.mark()
        self._due[FrameType.POLL] = self._timer.number

    def _find_lost(self, now_us: int) -> None:
        if self._window.find_lost(now_us):
            self._timer.loss()
