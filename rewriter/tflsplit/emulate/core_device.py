# SPDX-License-Identifier: Apache-2.0
"""A device in Python round the firmware's C++ links: docs/cluster_protocol.md's device side.

The twin of ``device_runner.h`` and ``control.h``, without I/O: the owner carries bytes between
``node.feed`` and ``node.drain``, and calls ``turn``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from tflsplit.emulate.core_graph import Computation, flat, sendable
from tflsplit.errors import LinkError, UserError
from tflsplit.wire.control import (
    AHEAD,
    CONTROL_CHANNEL,
    EPOCH_VALID,
    INPUT_CHANNEL,
    LINK_COUNTERS,
    LINKS_UP,
    OPERATOR_FAILED,
    OUTPUT_CHANNEL,
    Ask,
    DeviceState,
    Info,
    LinkReport,
    Message,
    Phase,
    Query,
    Report,
    Start,
    Status,
    TextReport,
    is_later,
    pack,
    unpack,
)
from tflsplit.wire.handshake import Identity
from tflsplit.wire.native import NativeNode

MakeNode = Callable[[Callable[[int, int, bytes], None]], NativeNode]
"""Makes the node; its argument is to be called with every datagram."""

BOARD = "core_only"
DEFAULT_TIMEOUT_MS = 60_000
"""Longest time of one phase (input, graph, output) of an inference."""


class CoreDevice:
    """One device from its reset on.

    peers: rank at the other end of each link.
    compute: makes what it computes; a UserError leaves the device *broken*: it forwards for
        others and says why when it is asked, and runs nothing.
    boot: another number after each reset.
    clock: microseconds.
    """

    def __init__(
        self,
        identity: Identity,
        peers: Sequence[int],
        boot: int,
        make_node: MakeNode,
        compute: Callable[[NativeNode], Computation],
        clock: Callable[[], int],
    ) -> None:
        self._identity = identity
        self._peers = peers
        self._boot = boot
        self.node = make_node(self._on_datagram)
        self._outbox: list[Message] = []
        self._state = DeviceState.IDLE
        self._epoch: int | None = None
        self._start: Start | None = None
        self._queued: Start | None = None  # begins when the inference under way has ended
        self._heeded: int | None = None  # the last inference that a START was heeded for
        self._report = Report()
        self._text = ""
        self._inference: Iterator[None] | None = None
        self._phase = Phase.NONE
        self._phase_us = self._wait_us = self._waits_since_us = 0
        self._timeout_us = 0
        self._inferences = self._faults = 0
        self._clock = clock
        self._begun_us = clock()
        self._computation: Computation | None = None
        try:
            self._computation = compute(self.node)
        except UserError as error:
            self._state, self._text = DeviceState.BROKEN, str(error)

    @property
    def is_computing(self) -> bool:
        """Whether an inference is under way."""
        return self._inference is not None

    def turn(self) -> None:
        """Move bytes, answer the host, and go on with the inference as far as it can."""
        self.node.poll(self._clock())
        self._begin_if_asked()
        if self._inference is not None:
            self._go_on(self._inference)
        self._answer()
        self.node.poll(self._clock())

    # ---- Control ----

    def _on_datagram(self, source: int, channel: int, payload: bytes) -> None:
        if channel != CONTROL_CHANNEL or source != self._identity.world_size:
            return
        message = unpack(payload)
        if isinstance(message, Query):
            self._on_query(message)
        elif isinstance(message, Start):
            self._on_start(message)

    def _on_query(self, query: Query) -> None:
        if query.what & Ask.INFO:
            self._outbox.append(self._info(query.token))
        if query.what & Ask.REPORT:
            self._outbox.append(replace(self._report, token=query.token))
        if query.what & Ask.LINKS:
            self._outbox += [self._link(index, query.token) for index in range(len(self._peers))]
        if query.what & Ask.TEXT:
            self._outbox.append(TextReport(query.token, self._text))

    def _on_start(self, start: Start) -> None:
        if self._state is DeviceState.BROKEN:
            self._outbox += [
                Report(status=Status.BROKEN, epoch=start.epoch), TextReport(0, self._text)
            ]  # fmt: skip
        elif start.flags & AHEAD and self._queue(start):
            return
        elif self._epoch is None or is_later(start.epoch, self._epoch):
            if not start.flags & AHEAD:
                self._start, self._queued, self._heeded = start, None, start.epoch
        elif start.epoch != self._epoch:
            self._outbox.append(Report(status=Status.STALE, epoch=self._epoch))
        elif self._inference is None:
            self._outbox.append(self._report)

    def _queue(self, start: Start) -> bool:
        """Whether this is the inference behind the last one; heeded unless that one was lost."""
        idle = self._inference is None and self._start is None
        if idle and self._queued is not None and start.epoch == (self._queued.epoch + 1) & 0xFFFF:
            self._start, self._queued = self._queued, None  # that was about to begin
        last = self._epoch if self._start is None else self._start.epoch
        if last is None or start.epoch != (last + 1) & 0xFFFF:
            return False
        is_busy = self._start is not None or self._inference is not None
        if is_busy or self._report.status == Status.DONE:
            self._queued, self._heeded = start, start.epoch
        return True

    def _answer(self) -> None:
        host = 1 << self._identity.world_size
        while self._outbox:
            if not self.node.send_datagram(host, CONTROL_CHANNEL, pack(self._outbox[0])):
                return
            del self._outbox[0]

    def _info(self, token: int) -> Info:
        flags = (EPOCH_VALID if self._epoch is not None else 0) | (LINKS_UP * self.node.ready)
        return Info(
            self._state, flags, token, self._boot, self._heeded or 0,
            ticks_per_second=1_000_000,
            inferences=self._inferences, faults=self._faults,
            uptime_ms=(self._clock() - self._begun_us) // 1000, board=BOARD,
        )  # fmt: skip

    def _link(self, index: int, token: int) -> LinkReport:
        state, code = self.node.link_state(index)
        counters = self.node.counters(index)
        return LinkReport(
            index, self._peers[index], token, state, code, len(self._peers),
            self.node.link_claimed(index), tuple(counters[name] for name in LINK_COUNTERS),
        )  # fmt: skip

    # ---- Inferences ----

    def _begin_if_asked(self) -> None:
        if self._start is None and self._inference is None and not self._outbox:
            is_well = not self.node.error_info().code
            self._start, self._queued = self._queued if is_well else None, None
        if self._start is None:
            return
        start, self._start = self._start, None
        if self._inference is not None:
            self._faults += 1  # a later START ends the one before
        self._epoch, self._state = start.epoch, DeviceState.BUSY
        self._timeout_us = 1000 * (start.timeout_ms or DEFAULT_TIMEOUT_MS)
        self._wait_us, self._waits_since_us = 0, self._clock()
        self.node.begin_epoch(start.epoch)
        self._inference = self._infer()

    def _go_on(self, inference: Iterator[None]) -> None:
        now_us = self._clock()
        if self._phase is Phase.GRAPH:
            self._wait_us += now_us - self._waits_since_us
        try:
            if self._phase is not Phase.NONE and now_us - self._phase_us > self._timeout_us:
                self.node.fail_with_timeout()
            next(inference)
            if self.node.error_info().code:
                raise LinkError(self.node.error_text())
        except StopIteration:
            self._inferences += 1
            self._end()
        except UserError as error:
            self._fail(str(error))
        self._waits_since_us = self._clock()

    def _fail(self, text: str) -> None:
        self._faults += 1
        self._queued = None
        self._text = text
        if not self.node.error_info().code:
            self.node.fail(OPERATOR_FAILED, self._identity.rank)
        info = self.node.error_info()
        self._report = Report(
            Status.FAULT, info.code, epoch=self._epoch or 0, channel=info.channel,
            rank=info.rank, link=info.link, reporter=info.reporter, phase=self._phase,
        )  # fmt: skip
        self._end()
        self._outbox.append(TextReport(0, text))

    def _end(self) -> None:
        self._inference = None
        self._state = DeviceState.IDLE
        self._phase = Phase.NONE
        self._outbox.append(self._report)

    def _enter(self, phase: Phase) -> int:
        """Begin a phase; microseconds that the one before took."""
        begun_us, self._phase_us = self._phase_us, self._clock()
        self._phase = phase
        return self._phase_us - begun_us

    def _infer(self) -> Iterator[None]:
        """Take the inputs, compute, give the outputs."""
        node, host, computation = self.node, self._identity.world_size, self._computation
        assert computation is not None
        self._enter(Phase.INPUT)
        inputs = computation.input_arrays
        for index, array in enumerate(inputs):
            node.begin_recv(INPUT_CHANNEL + index, host, flat(array))
        while not node.recvs_complete:
            yield
        input_us = self._enter(Phase.GRAPH)
        yield from computation.infer(inputs)
        graph_us = self._enter(Phase.OUTPUT)
        outputs = computation.outputs
        for index, array in enumerate(outputs):
            node.post_send(OUTPUT_CHANNEL + index, 1 << host, sendable(array))
        while not all(node.send_released(OUTPUT_CHANNEL + i) for i in range(len(outputs))):
            yield
        self._report = Report(
            Status.DONE, epoch=self._epoch or 0, input_us=input_us, graph_us=graph_us,
            wait_us=self._wait_us, output_us=self._enter(Phase.NONE), graph_ticks=graph_us,
            wait_ticks=self._wait_us, sent_bytes=computation.sent_bytes,
            received_bytes=computation.received_bytes,
        )  # fmt: skip
