# SPDX-License-Identifier: Apache-2.0
"""``simulate``: devices and host as processes on the network.

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
from tflsplit.devices import DeviceGraph
from tflsplit.errors import ClusterError, InternalError, PlanError
from tflsplit.sim.network import Network
from tflsplit.sim.node import Node
from tflsplit.sim.program import (
    INPUT_CHANNEL,
    OUTPUT_CHANNEL,
    Compute,
    Post,
    Program,
    Receive,
    program_of,
)
from tflsplit.sim.result import DeviceTimes, SimResult, Span
from tflsplit.sim.times import Intervals, energy_mj, merged, overlap_us

MAX_ERROR_RATE = 1e-3
_CONTROL = 1
_START_BYTES, _REPORT_BYTES = 12, 56
_Steps = Generator[simpy.Event, object, None]


def simulate(
    devices: Sequence[DeviceGraph],
    cluster: Cluster,
    inputs: int = 1,
    error_rate: float = 0.0,
    seed: int = 0,
    in_flight: int = 1,
) -> SimResult:
    """Run ``devices`` on ``cluster``.

    inputs: how many, one after the other; in_flight: how many of them the host has under way at one
        time. The firmware's host has one; more shows what pipelining would bring.
    error_rate: the probability that a byte on a wire is damaged, and with it its frame; seed: of
        that chance.
    Raises PlanError if the graphs are not for so many devices, ClusterError for an impossible
    number, InternalError if the schedule stands still (the checker refuses such graphs).
    """
    if len(devices) != cluster.world_size:
        raise PlanError(
            f"the graphs are for {len(devices)} devices, the cluster has {cluster.world_size}"
        )
    if not 0 <= error_rate <= MAX_ERROR_RATE:
        raise ClusterError(
            f"an error rate of {error_rate} is out of range: from 0 to {MAX_ERROR_RATE} (of bytes "
            "damaged; above, hardly a frame arrives)"
        )
    if inputs < 1 or in_flight < 1:
        raise ClusterError("at least one input must be simulated")
    programs = [program_of(d, h) for d, h in zip(devices, cluster.devices, strict=True)]
    return _Simulation(programs, cluster, inputs, in_flight, error_rate, seed).run()


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
    input_us: float = 0.0
    output_us: float = 0.0
    exchanges: Intervals = field(default_factory=list)


class _Simulation:
    def __init__(
        self,
        programs: Sequence[Program],
        cluster: Cluster,
        inputs: int,
        in_flight: int,
        error_rate: float,
        seed: int,
    ) -> None:
        self.env = simpy.Environment()
        self.cluster = cluster
        self.programs = programs
        self.inputs = inputs
        self.in_flight = in_flight
        self.network = Network(self.env, cluster, error_rate, seed)
        self.epochs: list[_Epoch] = []
        self.clocks = [_Clock() for _ in programs]
        self.spans: list[Span] = []

    def run(self) -> SimResult:
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
        for (index, _, _), (ranks, size) in self._input_messages().items():
            host.messages.post((number, INPUT_CHANNEL + index), ranks, size)
        for program in self.programs:
            for index, size in enumerate(program.outputs):
                host.messages.expect((number, OUTPUT_CHANNEL + index), program.rank, size)
        everyone = (1 << self.cluster.world_size) - 1
        host.messages.send_datagram(everyone, (number, _CONTROL), _START_BYTES)
        self.epochs.append(_Epoch(self.env.now))

    def _input_messages(self) -> dict[tuple[int, str, object], tuple[int, int]]:
        """Ranks and bytes of every message; ranks that read the same box share a multicast."""
        messages: dict[tuple[int, str, object], tuple[int, int]] = {}
        for program in self.programs:
            for index, (tensor, box, size) in enumerate(program.inputs):
                ranks, _ = messages.get((index, tensor, box), (0, 0))
                messages[index, tensor, box] = ranks | 1 << program.rank, size
        return messages

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
        for number in range(self.inputs):
            yield from node.wait(lambda n=number: len(node.messages.inbox.datagrams) > n)  # type: ignore[misc]
            yield from self._take_inputs(node, program, number)
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

    def _take_inputs(self, node: Node, program: Program, number: int) -> _Steps:
        start = self.env.now
        for index, (_, _, size) in enumerate(program.inputs):
            node.messages.expect((number, INPUT_CHANNEL + index), self.cluster.host_rank, size)
        yield from node.wait(
            lambda: node.messages.all_received and all(link.all_acknowledged for link in node.links)
        )
        self.clocks[node.rank].input_us += self._span(node.rank, "input", "", start)

    def _step(self, node: Node, step: Compute | Post | Receive, number: int) -> _Steps:
        clock, start = self.clocks[node.rank], self.env.now
        if isinstance(step, Post):
            for ranks, size in step.messages:
                node.messages.post((number, step.channel), ranks, size)
            node.poll()
            return
        if isinstance(step, Compute):
            yield self.env.timeout(step.us)
            clock.compute_us += self._span(node.rank, "compute", step.node, start)
            return
        yield self.env.timeout(self.cluster.link.step_overhead_us + step.us)
        for channel, source, size in step.pieces:
            node.messages.expect((number, channel), source, size)
        pending = frozenset((number, channel) for channel in step.pending)
        yield from node.wait(
            lambda: (
                node.messages.all_received
                and node.messages.is_released(pending)
                and all(link.all_acknowledged for link in node.links)
            )
        )
        self._span(node.rank, "exchange", step.node, start)
        clock.exchanges.append((start, self.env.now))

    def _give_outputs(self, node: Node, program: Program, number: int) -> _Steps:
        start = self.env.now
        for index, size in enumerate(program.outputs):
            node.messages.post((number, OUTPUT_CHANNEL + index), 1 << self.cluster.host_rank, size)
        yield from node.wait(lambda: node.messages.all_received and node.messages.all_released)
        self.clocks[node.rank].output_us += self._span(node.rank, "output", "", start)

    def _span(self, rank: int, kind: str, name: str, start: float) -> float:
        self.spans.append(Span(rank, kind, name, start, self.env.now))
        return self.env.now - start

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
            send_us=send_us,
            wait_us=exchange_us - send_us,
            input_us=clock.input_us,
            output_us=clock.output_us,
            energy_mj=energy_mj(hardware, clock.compute_us, total),
        )
