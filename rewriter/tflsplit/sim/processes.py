# SPDX-License-Identifier: Apache-2.0
"""Devices and host as processes on the network.

    host                                  device r
    post inputs, expect outputs
    START -> all                          take its inputs
                                          its graph: kernels, SENDs, RECVs
                                          give its outputs
    outputs and REPORTs are here          REPORT -> host; polls until the next START

as docs/cluster_protocol.md says; QUERY and INFO, which come once, are left out.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field

import simpy

from tflsplit.cluster import Cluster, Device
from tflsplit.errors import InternalError
from tflsplit.plan.cost.polling import poll_costs
from tflsplit.sim.ahead import NextInput
from tflsplit.sim.landing import is_arriving, run_arriving, say
from tflsplit.sim.network import Network, NetworkOptions
from tflsplit.sim.node import Node
from tflsplit.sim.program import (
    INPUT_CHANNEL,
    OUTPUT_CHANNEL,
    Ask,
    Compute,
    Post,
    Program,
    Step,
    input_messages,
    streamed,
)
from tflsplit.sim.result import DeviceTimes, SimResult, Span
from tflsplit.sim.times import Intervals, energy_mj, merged, overlap_us
from tflsplit.sim.trace import Channel, Trace, Wait
from tflsplit.wire.topology import nearest

_CONTROL = 1
_START_BYTES, _REPORT_BYTES = 12, 56
Pieces = Sequence[tuple[int, Channel]]
_Steps = Generator[simpy.Event, object, None]


@dataclass
class _Epoch:
    """One inference: when it was started, had its outputs, was begun and ended by devices."""

    start_us: float
    output_us: float = 0.0
    graph_begin_us: float = float("inf")
    graph_end_us: float = 0.0
    reports: int = 0


@dataclass
class _Clock:
    """Where a device's time went."""

    compute_us: float = 0.0
    kernels_us: float = 0.0
    input_us: float = 0.0
    output_us: float = 0.0
    exchanges: Intervals = field(default_factory=list)


class Simulation:
    """One run of programs, from ``run``."""

    def __init__(
        self,
        programs: Sequence[Program],
        cluster: Cluster,
        inputs: int,
        in_flight: int,
        network: NetworkOptions,
    ) -> None:
        self.env = simpy.Environment()
        self.cluster = cluster
        self.programs = programs
        self.inputs = inputs
        self.in_flight = in_flight
        self.network = Network(self.env, cluster, network)
        self.epochs: list[_Epoch] = []
        self.clocks = [_Clock() for _ in programs]
        self.poll_costs = poll_costs(cluster)
        self.spans: list[Span] = []
        self.trace = Trace()
        for node in (*self.network.nodes, self.network.host):
            node.messages.trace = self.trace

    def run(self) -> SimResult:
        """Until the host has everything; InternalError if that never comes."""
        for program in self.programs:
            self.env.process(self._device(program))
        done = self.env.process(self._host())
        try:
            self.env.run(until=done)
        except RuntimeError as error:
            if "No scheduled events" not in str(error):
                raise
            waiting = "; ".join(
                f"rank {node.rank} waits for {node.messages.waits_for()}"
                for node in self.network.nodes
            )
            raise InternalError(f"the schedule stands still: {waiting}") from None
        return self._result()

    # ---- Host ----

    def _host(self) -> _Steps:
        host = self.network.host
        for number in range(self.inputs):
            yield from host.wait(lambda n=number: self._finished() > n - self.in_flight)  # type: ignore[misc]
            self._start(host, number)
        yield from host.wait(lambda: self._finished() == self.inputs)

    def _start(self, host: Node, number: int) -> None:
        posts = [
            (self._way(mine), INPUT_CHANNEL + index, mine, size, link.destinations)
            for (index, _, _), (ranks, size) in input_messages(self.programs).items()
            for link in host.links
            if (mine := ranks & link.destinations)
        ]
        for (_, lane), channel, ranks, size, behind in sorted(posts, key=lambda post: post[0]):
            host.messages.post((number, channel), ranks, size, lane, behind)
        for channel, to, size in streamed(self.programs, self.cluster.host_rank):
            behind = next(link.destinations for link in host.links if link.destinations >> to & 1)
            host.messages.post((number, channel), 1 << to, size, self._way(1 << to)[1], behind)
        for program in self.programs:
            for index, size in enumerate(program.outputs):
                host.messages.expect((number, OUTPUT_CHANNEL + index), program.rank, size)
        everyone = (1 << self.cluster.world_size) - 1
        host.messages.send_datagram(everyone, (number, _CONTROL), _START_BYTES)
        self.epochs.append(_Epoch(self.env.now))

    def _way(self, ranks: int) -> tuple[int, int]:
        """Wires to the nearest of some ranks, and the lane that is named by the way there."""
        cluster = self.cluster
        members = [rank for rank in range(cluster.world_size) if ranks >> rank & 1]
        return nearest(cluster.topology, cluster.world_size, cluster.gateways, members)

    def _finished(self) -> int:
        """How many inferences the host has the outputs and REPORTs of."""
        host = self.network.host
        for _, channel in host.messages.inbox.datagrams:
            self.epochs[channel[0]].reports += 1
        host.messages.inbox.datagrams.clear()
        done = 0
        for number, epoch in enumerate(self.epochs):
            if not epoch.output_us and not host.messages.is_expecting(number):
                epoch.output_us = self.env.now
            done += bool(epoch.output_us) and epoch.reports == self.cluster.world_size
        return done

    # ---- Devices ----

    def _device(self, program: Program) -> _Steps:
        node = self.network.nodes[program.rank]
        next_input = NextInput(node, program, self.cluster)
        for number in range(self.inputs):
            yield from node.wait(lambda n=number: len(node.messages.inbox.datagrams) > n)  # type: ignore[misc]
            yield from self._take_inputs(node, program, number, next_input)
            epoch = self.epochs[number]
            epoch.graph_begin_us = min(epoch.graph_begin_us, self.env.now)
            for step in program.steps:
                yield from self._step(node, step, number)
            epoch.graph_end_us = max(epoch.graph_end_us, self.env.now)
            yield from self._give_outputs(node, program, number)
            node.messages.send_datagram(
                1 << self.cluster.host_rank, (number, _CONTROL), _REPORT_BYTES
            )
        node.idle()

    def _take_inputs(self, node: Node, program: Program, number: int, ahead: NextInput) -> _Steps:
        start = self.env.now
        for index, (_, _, size) in enumerate(program.inputs):
            node.messages.expect((number, INPUT_CHANNEL + index), self.cluster.host_rank, size)
        ahead.free(number)
        yield from node.wait(lambda: node.messages.all_received and node.may_compute)
        channels = [(number, INPUT_CHANNEL + index) for index in range(len(program.inputs))]
        self._waited(node, start, [(self.cluster.host_rank, channel) for channel in channels])
        self.clocks[node.rank].input_us += self._span(node.rank, "input", "", start)

    def _step(self, node: Node, step: Step, number: int) -> _Steps:
        if isinstance(step, Post | Ask):
            say(step, node, number)
            return
        if isinstance(step, Compute):
            if is_arriving(step, node, number):
                yield from self._block(node, step, number)
            else:
                yield from self._compute(node, step.node, step.us)
            return
        clock, start = self.clocks[node.rank], self.env.now
        yield self.env.timeout(self.cluster.link.step_overhead_us + step.us)
        for channel, source, size in step.pieces:
            node.messages.expect((number, channel), source, size)
        pending = frozenset((number, channel) for channel in step.pending)
        is_early = bool(step.landings) and node.polls_in_kernels
        yield from node.wait(
            lambda: (
                (is_early or node.messages.all_received)
                and node.messages.is_released(pending)
                and node.may_compute
            )
        )
        pieces = [(source, (number, channel)) for channel, source, _ in step.pieces]
        self._waited(node, start, [] if is_early else pieces, pending)
        self._span(node.rank, "exchange", step.node, start)
        clock.exchanges.append((start, self.env.now))

    def _compute(self, node: Node, name: str, us: float) -> _Steps:
        clock, start = self.clocks[node.rank], self.env.now
        yield from self._kernel(node, us)
        clock.kernels_us += us
        clock.compute_us += self._span(node.rank, "compute", name, start, us)

    def _block(self, node: Node, step: Compute, number: int) -> _Steps:
        """A kernel while its input arrives."""

        def note(start: float, pieces: Pieces) -> None:
            self._waited(node, start, pieces)
            self._span(node.rank, "exchange", step.node, start)
            self.clocks[node.rank].exchanges.append((start, self.env.now))

        yield from run_arriving(
            step, node, number, lambda us: self._compute(node, step.node, us), note
        )

    def _kernel(self, node: Node, us: float) -> _Steps:
        """Compute; polls from the timer make it longer, and bring bytes meanwhile."""
        left_us = self.poll_costs[node.rank].kernel_us(us)
        while left_us > 0:
            before_us = node.handled_us
            yield self.env.timeout(left_us)
            left_us = node.handled_us - before_us

    def _give_outputs(self, node: Node, program: Program, number: int) -> _Steps:
        start = self.env.now
        for index, size in enumerate(program.outputs):
            node.messages.post((number, OUTPUT_CHANNEL + index), 1 << self.cluster.host_rank, size)
        yield from node.wait(lambda: node.messages.all_received and node.messages.all_released)
        self.clocks[node.rank].output_us += self._span(node.rank, "output", "", start)

    def _span(self, rank: int, kind: str, name: str, start: float, kernel_us: float = 0.0) -> float:
        self.spans.append(Span(rank, kind, name, start, self.env.now, kernel_us))
        return self.env.now - start

    def _waited(
        self, node: Node, start: float, pieces: Pieces, pending: frozenset[Channel] = frozenset()
    ) -> None:
        self.trace.waits.append(Wait(node.rank, start, self.env.now, tuple(pieces), pending))

    # ---- Result ----

    def _result(self) -> SimResult:
        total = max(epoch.output_us for epoch in self.epochs)
        return SimResult(
            latencies_us=tuple(e.output_us - e.start_us for e in self.epochs),
            graph_us=tuple(e.graph_end_us - e.graph_begin_us for e in self.epochs),
            total_us=total,
            devices=tuple(
                self._times(rank, hardware, total)
                for rank, hardware in enumerate(self.cluster.devices)
            ),
            wires={edge: channel.count for edge, channel in self.network.channels.items()},
            spans=tuple(self.spans),
            busy={edge: tuple(channel.busy) for edge, channel in self.network.channels.items()},
            trace=self.trace,
            teams=self.cluster.teams,
        )

    def _times(self, rank: int, hardware: Device, total: float) -> DeviceTimes:
        clock = self.clocks[rank]
        channels = self.network.channels
        sending = merged(
            [span for edge, each in channels.items() if edge[0] == rank for span in each.busy]
        )
        exchange_us = sum(end - start for start, end in clock.exchanges)
        send_us = overlap_us(clock.exchanges, sending)
        return DeviceTimes(
            rank=rank,
            compute_us=clock.compute_us,
            poll_us=clock.compute_us - clock.kernels_us,
            send_us=send_us,
            wait_us=exchange_us - send_us,
            input_us=clock.input_us,
            output_us=clock.output_us,
            energy_mj=energy_mj(hardware, clock.compute_us, total),
        )
