# SPDX-License-Identifier: Apache-2.0
"""Drives inferences on a cluster: input out, output in, and who is at fault if it fails.

::

    connect():  handshake with the gateway, INFO of every device
    infer():    START ──► all;  input boxes ──► those that read them
                output boxes ◄── those that own them;  REPORT ◄── all
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType

import numpy as np

from tflsplit.bundle import Bundle
from tflsplit.errors import LinkError
from tflsplit.host.causes import explained, text_of
from tflsplit.host.firmware_json import FirmwareSetup, read_firmware_setup
from tflsplit.host.inbox import Inbox
from tflsplit.host.ports import Stream
from tflsplit.host.roll_call import call_roll
from tflsplit.ops.state import has_state
from tflsplit.passes.prepare import prepare
from tflsplit.runtime.engines import Array
from tflsplit.runtime.local import assemble, given_by_host, scatter
from tflsplit.split.devices import tensor_labels
from tflsplit.wire.control import (
    INPUT_CHANNEL,
    NO_CHANNEL,
    NO_RANK,
    OUTPUT_CHANNEL,
    Ask,
    Info,
    LinkReport,
    Report,
    Start,
    Status,
    is_later,
)
from tflsplit.wire.handshake import ErrorCode, PeerError
from tflsplit.wire.topology import nearest

CONNECT_SECONDS = 15.0
INFER_SECONDS = 60.0
_START_SECONDS = 0.2
_ALIVE_SECONDS = 1.0
_FRESH_SECONDS = 1.0


@dataclass(frozen=True)
class Inference:
    """One inference that went well.

    outputs: the model's, assembled.
    reports: by rank.
    seconds: from START to the last byte and report, on this computer's clock.
    """

    outputs: list[Array]
    reports: tuple[Report, ...]
    seconds: float


class Coordinator:
    """A cluster seen from its host; a context manager that closes the streams.

    streams: to each device that the host is wired to, by rank; or to the only one.
    bundle: what ``rewrite`` wrote; the devices must run firmware of it.
    setup: how they are wired; read from firmware.json if it is not given.
    """

    def __init__(
        self,
        streams: Stream | Mapping[int, Stream],
        bundle: Bundle,
        setup: FirmwareSetup | None = None,
    ) -> None:
        self.setup = setup or read_firmware_setup(bundle.folder, bundle.document)
        self._bundle = bundle
        self._whole = prepare(bundle.model)
        self._labels = tensor_labels(self._whole)
        self._keeps_state = any(map(has_state, bundle.model.nodes))
        by_rank = streams if isinstance(streams, Mapping) else {self.setup.gateway: streams}
        self._streams = tuple(by_rank.values())
        self.inbox = Inbox(by_rank, self.setup)
        self._endpoint = self.inbox.gateway.endpoint
        self._epoch = 0
        self._good_until = 0.0
        self.infos: tuple[Info, ...] = ()
        """What the devices said at the last ``connect``, by rank."""

    def __enter__(self) -> Coordinator:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let the ports go."""
        for stream in self._streams:
            stream.close()

    def reach_gateway(self, timeout_seconds: float) -> None:
        """Only shake hands with the gateways; LinkError if one is not this plan's."""
        self.inbox.gateway.open(timeout_seconds)

    def connect(self, timeout_seconds: float = CONNECT_SECONDS) -> tuple[Info, ...]:
        """Wait until every device is there and can reach all others; what they say, by rank.

        Raises LinkError naming who is missing, silent, broken, or of another plan or rank.
        """
        self.infos = call_roll(self.inbox, self.setup, timeout_seconds)
        for info in self.infos:
            if info.last_epoch is not None and is_later(info.last_epoch, self._epoch):
                self._epoch = info.last_epoch
        self._keep_fresh()
        return self.infos

    def infer(
        self, inputs: Mapping[str, Array], timeout_seconds: float = INFER_SECONDS
    ) -> Inference:
        """One inference; inputs are the model's, whole, by tensor name.

        Raises LinkError naming the rank at fault; the next call finds out who is there again,
        and is not affected.
        """
        try:
            return self._infer(inputs, timeout_seconds)
        except PeerError as error:
            if not self._missed_a_reset(error):
                raise self._explained(error) from None
        self.connect()
        try:
            return self._infer(inputs, timeout_seconds)
        except PeerError as error:
            raise self._explained(error) from None

    def _missed_a_reset(self, error: PeerError) -> bool:
        """Whether a rank was reset before the inference reached it, so that it may begin again.

        Its neighbours notice a reset when it speaks again; when that was at the end of one
        inference, it is in the next. Not where devices keep state: that is lost.
        """
        if error.code != ErrorCode.PEER_RESET or error.rank is None:
            return False
        return not self._endpoint.heard >> error.rank & 1 and not self._keeps_state

    def _infer(self, inputs: Mapping[str, Array], timeout_seconds: float) -> Inference:
        if time.monotonic() > self._good_until or not self._endpoint.is_up:
            self.connect()
        self._good_until = 0.0
        begin = time.monotonic()
        self._epoch = (self._epoch + 1) & 0xFFFF
        self.inbox.reports.clear()
        self.inbox.texts.clear()
        self._endpoint.begin_epoch(self._epoch)
        self._offer(dict(inputs))
        outputs = self._run(begin + timeout_seconds)
        seconds = time.monotonic() - begin
        self._keep_fresh()
        whole = assemble(self._whole, self._labels, self._bundle.devices, outputs)
        reports = tuple(self.inbox.reports[rank] for rank in self.inbox.ranks)
        return Inference(whole, reports, seconds)

    def links(self, timeout_seconds: float = 5.0) -> tuple[tuple[LinkReport, ...], ...]:
        """Link counters by rank and link, the host's last; ``infos`` anew.  May raise LinkError."""
        inbox = self.inbox
        what = Ask.LINKS | Ask.INFO
        if not inbox.ask(what, lambda: all(map(inbox.links_of, inbox.ranks)), timeout_seconds):
            silent = next(rank for rank in inbox.ranks if not inbox.links_of(rank))
            raise LinkError(f"rank {silent} does not tell its link counters")
        self.infos = tuple(inbox.infos.get(rank, old) for rank, old in enumerate(self.infos))
        return (*(inbox.links_of(rank) for rank in inbox.ranks), inbox.gateway.link_reports())

    def _keep_fresh(self) -> None:
        """Nobody need be asked again for a while."""
        self._good_until = time.monotonic() + _FRESH_SECONDS

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
        setup = self.setup
        ways = {
            key: nearest(setup.topology, setup.world_size, setup.gateways, ranks)
            for key, ranks in readers.items()
        }
        # The nearest first, so that it can begin; each wire of the gateway at its own pace.
        for key in sorted(ways, key=lambda key: ways[key]):
            data = content[key].tobytes()
            self._endpoint.post_send(INPUT_CHANNEL + key[0], readers[key], data, ways[key][1])
        for box, array in given_by_host(self._bundle.devices, inputs):
            way = nearest(setup.topology, setup.world_size, setup.gateways, [box.rank])
            self._endpoint.post_send(box.channel, [box.rank], array.tobytes(), way[1])

    def _run(self, deadline: float) -> list[list[Array]]:
        """Start, and wait for all outputs and reports; the outputs by rank."""
        found: dict[tuple[int, int], bytes] = {}
        wanted = [
            (part.rank, index)
            for part in self._bundle.devices
            for index in range(len(part.graph.outputs))
        ]
        start_due = 0.0
        while len(found) < len(wanted) or not self._all_done():
            now = time.monotonic()
            if now > deadline:
                self._give_up()
            if now >= start_due:
                # Later ones keep the link awake (it notices a silent gateway only while something
                # waits for its acknowledgement) and fetch a report that was lost.
                self.inbox.gateway.send(self.inbox.ranks, Start(self._epoch))
                start_due = now + (_ALIVE_SECONDS if self._endpoint.idle else _START_SECONDS)
            self.inbox.gateway.turn()
            for rank, index in wanted:
                payload = self._endpoint.take(OUTPUT_CHANNEL + index, rank)
                if payload is not None:
                    found[rank, index] = payload
        return self._arrays(found)

    def _all_done(self) -> bool:
        """Whether every report is there. Raises LinkError if one tells of a failure."""
        reports = self.inbox.reports
        for rank, report in reports.items():
            if report.epoch == self._epoch and report.status == Status.FAULT:
                who = map(_known, (report.rank, report.channel, report.reporter))
                raise PeerError(report.code, *who)
            if report.status == Status.BROKEN:
                raise LinkError(f"rank {rank} refuses to run: {text_of(self.inbox, rank)}")
            if report.status in (Status.STALE, Status.SUPERSEDED):
                self._epoch = report.epoch
                raise LinkError(
                    f"rank {rank} is at inference {report.epoch}: another program drives these "
                    "devices"
                )
        mine = [r for r in reports.values() if (r.epoch, r.status) == (self._epoch, Status.DONE)]
        return len(mine) == self.setup.world_size

    def _give_up(self) -> None:
        """The deadline has passed: end the inference everywhere and say what was missing."""
        self._endpoint.fail_with_timeout()
        if self._endpoint.error is not None:
            self.inbox.gateway.turn()  # the fault must leave
            raise self._endpoint.error
        silent = next(rank for rank in self.inbox.ranks if rank not in self.inbox.reports)
        raise LinkError(f"rank {silent} does not report; reset it")

    def _arrays(self, found: Mapping[tuple[int, int], bytes]) -> list[list[Array]]:
        return [
            [
                np.frombuffer(found[part.rank, index], value.dtype.numpy).reshape(value.shape)
                for index, value in enumerate(part.graph.outputs)
            ]
            for part in self._bundle.devices
        ]

    def _explained(self, error: PeerError) -> LinkError:
        return explained(error, self.inbox, self.setup, self.infos)


def _known(number: int) -> int | None:
    """A rank or channel of a report; None if it says that it does not know."""
    return None if number in (NO_RANK, NO_CHANNEL) else number
