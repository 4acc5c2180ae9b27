# SPDX-License-Identifier: Apache-2.0
"""Notices a device that dies in an inference before its neighbours' long time-outs do."""

from __future__ import annotations

import time
from collections.abc import Callable

from tflsplit.errors import LinkError
from tflsplit.host.inbox import Inbox
from tflsplit.wire.control import Ask, Query

_TOKEN = 0xFFFF_FFFE
"""Of no question that ``Inbox`` asks: those begin at 1."""


class SilentError(LinkError):
    """Devices that said nothing for too long; they may only have been busy."""


class Watch:
    """Asks every device how it is while an inference takes long; all answer unless in a kernel.

    patience_seconds: who says nothing for so long is lost.
    """

    def __init__(
        self,
        inbox: Inbox,
        patience_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._inbox = inbox
        self._patience = patience_seconds
        self._clock = clock
        self._begun: float | None = None
        self._due = 0.0
        self.longest_seconds = 0.0
        """For how long a device was silent, as far as anybody looked: none is asked at first."""
        inbox.gateway.on_turn = self._look

    def __enter__(self) -> Watch:
        """Watch from now on, until the end of the body."""
        self._begun = self._clock()
        self._due = self._begun + self._patience / 2
        self._inbox.heard.clear()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._begun = None

    def _look(self) -> None:
        """Raises SilentError naming who is lost; the inference is ended everywhere then."""
        now = self._clock()
        if self._begun is None or now < self._due:
            return
        heard = self._inbox.heard
        quiet = {rank: now - max(self._begun, heard.get(rank, 0.0)) for rank in self._inbox.ranks}
        self.longest_seconds = max(self.longest_seconds, *quiet.values())
        silent = [rank for rank, seconds in quiet.items() if seconds > self._patience]
        gateway = self._inbox.gateway
        if not silent:
            gateway.send(self._inbox.ranks, Query(Ask.INFO, _TOKEN))
            self._due = now + self._patience / 8
            return
        self._begun = None
        gateway.endpoint.fail_with_timeout()
        gateway.turn()  # the fault must leave
        raise SilentError(_said(silent, len(self._inbox.ranks), self._patience))


def _said(silent: list[int], world_size: int, seconds: float) -> str:
    during = f"for {seconds:g} s of an inference"
    if len(silent) == 1:
        return f"rank {silent[0]} says nothing {during}"
    if len(silent) == world_size:
        return f"no rank says anything {during}: one that died may keep the others from being heard"
    return f"ranks {', '.join(map(str, silent))} say nothing {during}"
