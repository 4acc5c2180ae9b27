# SPDX-License-Identifier: Apache-2.0
"""A simulation, or a measured run, as a trace for Perfetto.

    process "rank 0 teensy41"    CPU              input, kernels, RECVs, output; SENDs, arrivals
                                 wire to rank 1   when it carries bytes
                                 RAM              tail, activations and scratch of the node
    process "host"               wires, inferences, the critical path

A message is a flow from its SEND to its arrival.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tflsplit.cluster import Cluster
from tflsplit.host.coordinator import Inference
from tflsplit.host.figures import DeviceFigures
from tflsplit.memory.arena import predict_arena
from tflsplit.memory.lifetimes import live_bytes_over_time
from tflsplit.planner.cost.memories import kernels_of
from tflsplit.report.perfetto import Trace
from tflsplit.sim import SimResult, Why
from tflsplit.sim.program import INPUT_CHANNEL
from tflsplit.split.devices import DeviceGraph
from tflsplit.untrusted import one_line

_CPU, _WIRES, _PATH = 1, 10, 2


def simulation_trace(
    result: SimResult,
    devices: Sequence[DeviceGraph],
    cluster: Cluster,
    reasons: Why | None = None,
) -> bytes:
    """The file; reasons: also a track with the critical path of the first inference."""
    trace = Trace()
    host = len(devices)
    names = [f"rank {rank} {cluster.devices[rank].board}".strip() for rank in range(host)]
    processes = [trace.process(rank + 1, name) for rank, name in enumerate([*names, "host"])]
    processors = [trace.thread(rank + 1, _CPU, "CPU") for rank in range(host)]
    processors.append(trace.thread(host + 1, _CPU, "inferences"))
    _spans(trace, result, devices, processors)
    _wires(trace, result, host)
    _messages(trace, result, processors)
    for rank, device in enumerate(devices):
        ram = trace.counter(processes[rank], "RAM of the arena")
        _ram(trace, ram, device, cluster, result)
    _inferences(trace, result, processors[host])
    if reasons is not None:
        track = trace.thread(host + 1, _PATH, "critical path")
        for part in reasons.parts:
            trace.slice(
                track, part.cause, part.start_us, part.end_us,
                {"rank": part.rank, "of": one_line(part.what)},
            )  # fmt: skip
    return trace.serialized()


def _spans(
    trace: Trace, result: SimResult, devices: Sequence[DeviceGraph], processors: Sequence[int]
) -> None:
    """What each device does; a kernel is called by its operator, and knows its layer."""
    operators = [
        {node.name: node.op.removeprefix("TFLSPLIT_") for node in device.graph.nodes}
        for device in devices
    ]
    for span in result.spans:
        if span.end_us <= span.start_us:
            continue
        name = operators[span.rank].get(span.node, span.kind)
        layer = devices[span.rank].steps.get(span.node, "")
        values = {"node": one_line(span.node), "layer": one_line(layer)} if span.node else {}
        trace.slice(processors[span.rank], name, span.start_us, span.end_us, values)


def _inferences(trace: Trace, result: SimResult, track: int) -> None:
    """From the host's START, which is when it offers the input, to the last byte of the output."""
    host, free_us = len(result.devices), 0.0
    for number, us in enumerate(result.latencies_us):
        offered = (
            at
            for (source, (epoch, _)), at in result.trace.posted.items()
            if (source, epoch) == (host, number)
        )
        start_us = min(offered, default=free_us)
        if start_us < free_us:  # several under way: tracks of their own
            track = trace.thread(host + 1, _PATH + 1 + number, f"inference {number}")
        trace.slice(track, f"inference {number}", start_us, start_us + us)
        free_us = max(free_us, start_us + us)


def _wires(trace: Trace, result: SimResult, host: int) -> None:
    """A thread for each direction of each wire, in the sender's process."""
    for (a, b), busy in sorted(result.busy.items()):
        if not busy:
            continue
        far = "host" if b == host else f"rank {b}"
        track = trace.thread(a + 1, _WIRES + b, f"wire to {far}")
        for start_us, end_us in busy:
            trace.slice(track, "frames", start_us, end_us)


def _messages(trace: Trace, result: SimResult, processors: Sequence[int]) -> None:
    """A SEND, an arrival, and the flow between them, for each message and receiver."""
    leaving: dict[tuple[int, tuple[int, int]], list[int]] = {}
    for flow, (key, delivery) in enumerate(sorted(result.trace.deliveries.items()), 1):
        source, channel, receiver = key
        if delivery.arrived_us is None:
            continue
        leaving.setdefault((source, channel), []).append(flow)
        name = f"{_message(channel[1])} is here"
        trace.instant(processors[receiver], name, delivery.arrived_us, [flow], ends=True)
    for (source, channel), flows in leaving.items():
        posted_us = result.trace.posted[source, channel]
        trace.instant(processors[source], f"SEND {_message(channel[1])}", posted_us, flows)


def _message(channel: int) -> str:
    return f"channel {channel}" if channel < INPUT_CHANNEL else "input or output"


def _ram(
    trace: Trace, track: int, device: DeviceGraph, cluster: Cluster, result: SimResult
) -> None:
    """What lies in the arena, from each node on; between inferences what stays."""
    hardware = cluster.devices[device.rank]
    arena = predict_arena(device.graph, hardware.abi, kernels_of(hardware))
    live = live_bytes_over_time(device.graph)
    for buffer in arena.plan.offsets:
        if buffer.value is None:
            live[buffer.first - 1] += buffer.size_bytes
    used = {node.name: size for node, size in zip(device.graph.nodes, live, strict=True)}
    trace.count(track, arena.tail_bytes, 0.0)
    for span in result.spans:
        if span.rank == device.rank:
            trace.count(track, arena.tail_bytes + used.get(span.node, 0), span.start_us)


def measured_trace(inferences: Sequence[Inference], devices: Sequence[DeviceFigures]) -> bytes:
    """A run of real or emulated devices: what each of them reported of each inference.

    Devices have clocks of their own and report durations, so every inference begins for all of
    them when the host starts it, and waiting stands in one piece behind computing.
    """
    trace = Trace()
    host = len(devices)
    processors = []
    for device in devices:
        process = trace.process(device.rank + 1, f"rank {device.rank} {one_line(device.board)}")
        processors.append(trace.thread(device.rank + 1, _CPU, "CPU (durations as reported)"))
        trace.count(trace.counter(process, "arena used"), device.arena_used_bytes, 0.0)
    trace.process(host + 1, "host")
    inferring = trace.thread(host + 1, _CPU, "inferences")
    start_us = 0.0
    for number, inference in enumerate(inferences):
        us = inference.seconds * 1e6
        trace.slice(inferring, f"inference {number}", start_us, start_us + us)
        for rank, report in enumerate(inference.reports):
            parts = (
                ("input", report.input_us),
                ("compute", max(0, report.graph_us - report.wait_us)),
                ("wait", report.wait_us),
                ("output", report.output_us),
            )
            values = {"sent_bytes": report.sent_bytes, "received_bytes": report.received_bytes}
            _in_turn(start_us, parts, lambda name, a, b, t=processors[rank], v=values: trace.slice(  # type: ignore[misc]
                t, name, a, b, v))  # fmt: skip
        start_us += us
    return trace.serialized()


def _in_turn(
    start_us: float,
    parts: Sequence[tuple[str, float]],
    draw: Callable[[str, float, float], None],
) -> None:
    for name, us in parts:
        if us > 0:
            draw(name, start_us, start_us + us)
        start_us += us
