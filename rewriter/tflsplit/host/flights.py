# SPDX-License-Identifier: Apache-2.0
"""Inferences that are under way on a cluster: one, or two where the next one's input is sent ahead.

::

    launch(7)   START 7 ──────────► all    input boxes of 7 ──► as devices ask for them
    launch(8)   START 8, ahead ───► all    input boxes of 8 ──► while 7 computes
    land()      output boxes and REPORTs of 7 ◄── all
    launch(9)   …
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from tflsplit.bundle import Bundle
from tflsplit.errors import LinkError
from tflsplit.host.causes import text_of
from tflsplit.host.firmware_json import FirmwareSetup
from tflsplit.host.inbox import Inbox
from tflsplit.runtime.engines import Array
from tflsplit.runtime.local import given_by_host, scatter
from tflsplit.wire.control import (
    AHEAD,
    INPUT_CHANNEL,
    NO_CHANNEL,
    NO_RANK,
    OUTPUT_CHANNEL,
    Report,
    Start,
    Status,
    is_later,
)
from tflsplit.wire.handshake import PeerError
from tflsplit.wire.topology import nearest

_START_SECONDS = 0.2
_ALIVE_SECONDS = 1.0


@dataclass
class _Flight:
    """One inference: its START, when that left first, and the outputs that are here."""

    start: Start
    begun: float
    found: dict[tuple[int, int], bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Landed:
    """What came of an inference: outputs of each device, REPORTs by rank, and when it began."""

    outputs: list[list[Array]]
    reports: tuple[Report, ...]
    begun: float


class Flights:
    """Launches inferences and waits for them, in order.

    last_epoch: number of the last inference that any device knows of.
    """

    def __init__(self, bundle: Bundle, setup: FirmwareSetup, inbox: Inbox) -> None:
        self._bundle = bundle
        self._setup = setup
        self._inbox = inbox
        self._endpoint = inbox.gateway.endpoint
        self._under_way: deque[_Flight] = deque()
        self._start_due = 0.0
        self.last_epoch = 0
        self._wanted = [
            (part.rank, index)
            for part in bundle.devices
            for index in range(len(part.graph.outputs))
        ]

    def __len__(self) -> int:
        """How many are under way."""
        return len(self._under_way)

    def clear(self) -> None:
        """None is under way any more."""
        self._under_way.clear()

    def launch(self, inputs: Mapping[str, Array]) -> None:
        """Begin one; behind one that is under way, it begins on each device when that has ended.

        Raises PeerError if what is under way has failed.
        """
        self.last_epoch = (self.last_epoch + 1) & 0xFFFF
        ahead = bool(self._under_way)
        if not ahead:
            for answers in (self._inbox.reports, self._inbox.ended, self._inbox.texts):
                answers.clear()
        self._endpoint.begin_epoch(self.last_epoch, ahead)
        self._offer(dict(inputs))
        start = Start(self.last_epoch, flags=AHEAD if ahead else 0)
        self._under_way.append(_Flight(start, time.monotonic()))
        self._inbox.gateway.send(self._inbox.ranks, start)
        self._start_due = time.monotonic() + _START_SECONDS

    def land(self, timeout_seconds: float) -> Landed:
        """Wait for the outputs and the reports of the one that was launched first.

        Raises PeerError or LinkError naming who is at fault: then all that are under way are lost.
        """
        flight = self._under_way[0]
        epoch, ended = flight.start.epoch, self._inbox.ended
        deadline = time.monotonic() + timeout_seconds
        while not self._is_there(flight):
            now = time.monotonic()
            if now > deadline:
                self._give_up(epoch)
            if now >= self._start_due:
                self._say_start(now)
            self._inbox.gateway.turn()
            for rank, index in self._wanted:
                payload = self._endpoint.take(OUTPUT_CHANNEL + index, rank, epoch)
                if payload is not None:
                    flight.found[rank, index] = payload
        self._under_way.popleft()
        reports = tuple(ended[epoch, rank] for rank in self._inbox.ranks)
        for key in [key for key in ended if not is_later(key[0], epoch)]:
            del ended[key]
        return Landed(self._arrays(flight.found), reports, flight.begun)

    def _say_start(self, now: float) -> None:
        """START of all that are under way.

        Later ones keep the link awake (it notices a silent gateway only while something waits for
        its acknowledgement) and fetch a report that was lost.
        """
        for flight in self._under_way:
            self._inbox.gateway.send(self._inbox.ranks, flight.start)
        self._start_due = now + (_ALIVE_SECONDS if self._endpoint.idle else _START_SECONDS)

    def _is_there(self, flight: _Flight) -> bool:
        """Whether one has its outputs and reports. LinkError if a report tells of a failure."""
        for rank, report in self._inbox.reports.items():
            self._look_at(rank, report)
        epoch = flight.start.epoch
        done = all((epoch, rank) in self._inbox.ended for rank in self._inbox.ranks)
        return done and len(flight.found) == len(self._wanted)

    def _look_at(self, rank: int, report: Report) -> None:
        is_ours = any(report.epoch == flight.start.epoch for flight in self._under_way)
        if is_ours and report.status == Status.FAULT:
            who = map(_known, (report.rank, report.channel, report.reporter))
            raise PeerError(report.code, *who)
        if report.status == Status.BROKEN:
            raise LinkError(f"rank {rank} refuses to run: {text_of(self._inbox, rank)}")
        # A START that was repeated meets devices that are an inference further.
        if report.status in (Status.STALE, Status.SUPERSEDED) and not is_ours:
            if is_later(report.epoch, self.last_epoch):
                self.last_epoch = report.epoch
            raise LinkError(
                f"rank {rank} is at inference {report.epoch}: another program drives these devices"
            )

    def _give_up(self, epoch: int) -> None:
        """The deadline has passed: end the inference everywhere and say what was missing."""
        self._endpoint.fail_with_timeout()
        if self._endpoint.error is not None:
            self._inbox.gateway.turn()  # the fault must leave
            raise self._endpoint.error
        ended = self._inbox.ended
        silent = next(rank for rank in self._inbox.ranks if (epoch, rank) not in ended)
        raise LinkError(f"rank {silent} does not report; reset it")

    def _offer(self, inputs: dict[str, Array]) -> None:
        """Post every input box (one message for all that read the same), ask for all outputs."""
        readers: dict[tuple[int, str, tuple[int, ...]], list[int]] = {}
        content: dict[tuple[int, str, tuple[int, ...]], Array] = {}
        for part in self._bundle.devices:
            arrays = scatter(part, inputs)
            for index, (value, array) in enumerate(zip(part.graph.inputs, arrays, strict=True)):
                shard = part.shards[value.name]
                key = index, shard.tensor, shard.box.flat()
                readers.setdefault(key, []).append(part.rank)
                content[key] = array
            for index, value in enumerate(part.graph.outputs):
                self._endpoint.begin_recv(OUTPUT_CHANNEL + index, part.rank, value.size_bytes)
        ways = {key: self._way(ranks) for key, ranks in readers.items()}
        # The nearest first, so that it can begin; each wire of the gateway at its own pace.
        for key in sorted(ways, key=lambda key: ways[key]):
            data = content[key].tobytes()
            self._endpoint.post_send(INPUT_CHANNEL + key[0], readers[key], data, ways[key][1])
        for box, array in given_by_host(self._bundle.devices, inputs):
            lane = self._way([box.rank])[1]
            self._endpoint.post_send(box.channel, [box.rank], array.tobytes(), lane)

    def _way(self, ranks: list[int]) -> tuple[int, int]:
        setup = self._setup
        return nearest(setup.topology, setup.world_size, setup.gateways, ranks)

    def _arrays(self, found: Mapping[tuple[int, int], bytes]) -> list[list[Array]]:
        return [
            [
                np.frombuffer(found[part.rank, index], value.dtype.numpy).reshape(value.shape)
                for index, value in enumerate(part.graph.outputs)
            ]
            for part in self._bundle.devices
        ]


def _known(number: int) -> int | None:
    """A rank or channel of a report; None if it says that it does not know."""
    return None if number in (NO_RANK, NO_CHANNEL) else number
