# SPDX-License-Identifier: Apache-2.0
"""What the devices have said, by rank."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping

from tflsplit.host.firmware_json import FirmwareSetup
from tflsplit.host.gateway import Gateway
from tflsplit.host.ports import Stream
from tflsplit.wire.control import (
    Ask,
    Info,
    LinkReport,
    Message,
    Query,
    Report,
    Status,
    TextReport,
)

QUERY_SECONDS = 0.3
"""A question that some have not answered is asked again after this, and then ever more rarely."""
_QUERY_SECONDS_MAX = 5.0


class Inbox:
    """Asks the devices and keeps their newest answers.

    infos, reports, texts: by rank.  links: by (rank, link).
    ended: REPORTs of inferences that went well, by (epoch, rank).
    heard: when each rank said something last, ``time.monotonic``.
    """

    def __init__(self, streams: Mapping[int, Stream], setup: FirmwareSetup) -> None:
        self.gateway = Gateway(streams, setup, self._on_message)
        self.ranks = range(setup.world_size)
        self.infos: dict[int, Info] = {}
        self.reports: dict[int, Report] = {}
        self.ended: dict[tuple[int, int], Report] = {}
        self.texts: dict[int, str] = {}
        self.links: dict[tuple[int, int], LinkReport] = {}
        self.heard: dict[int, float] = {}
        self._token = 0

    def ask(
        self, what: Ask, done: Callable[[], bool], timeout_seconds: float, ranks: Iterable[int] = ()
    ) -> bool:
        """Ask devices (all by default) until ``done``; whether it came to that in time.

        Answers to earlier questions do not count, so the answers are forgotten first.
        """
        whom = list(ranks) or list(self.ranks)
        self._forget(what)
        self._token = self._token % 0xFFFF_FFFF + 1
        deadline, interval = time.monotonic() + timeout_seconds, QUERY_SECONDS
        while not done() and time.monotonic() < deadline:
            self.gateway.send(whom, Query(what, self._token))
            self.gateway.wait_until(done, min(interval, timeout_seconds))
            interval = min(2 * interval, _QUERY_SECONDS_MAX)
        return done()

    def links_of(self, rank: int) -> tuple[LinkReport, ...]:
        """All links of a device in order; () until it has told them all."""
        found = [link for (owner, _), link in sorted(self.links.items()) if owner == rank]
        return tuple(found) if found and len(found) == found[0].links else ()

    def _forget(self, what: Ask) -> None:
        for bit, answers in (
            (Ask.INFO, self.infos),
            (Ask.REPORT, self.reports),
            (Ask.LINKS, self.links),
            (Ask.TEXT, self.texts),
        ):
            if what & bit:
                answers.clear()

    def _on_message(self, rank: int, message: Message) -> None:
        if rank not in self.ranks:
            return
        self.heard[rank] = time.monotonic()
        if isinstance(message, Info) and message.token == self._token:
            self.infos[rank] = message
        elif isinstance(message, Report):
            self.reports[rank] = message
            if message.status == Status.DONE:
                self.ended[message.epoch, rank] = message
        elif isinstance(message, LinkReport) and message.token == self._token:
            self.links[rank, message.link] = message
        elif isinstance(message, TextReport):
            self.texts[rank] = message.text
