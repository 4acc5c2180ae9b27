# SPDX-License-Identifier: Apache-2.0
"""Traces as Perfetto reads them: its own messages take every field, and the tracks make sense."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.bundles import bundle_of
from tests.report.pages import bundle_in, content_of
from tflsplit.bundle import read_bundle
from tflsplit.cli import main
from tflsplit.cluster import default_cluster
from tflsplit.host.coordinator import Inference
from tflsplit.host.figures import DeviceFigures
from tflsplit.passes.prepare import prepare
from tflsplit.report.model_explorer import FIGURES, node_data
from tflsplit.report.perfetto import Trace
from tflsplit.report.timeline import measured_trace, simulation_trace
from tflsplit.sim import alone_us, simulate, why
from tflsplit.wire.control import Report

messages: Any = pytest.importorskip(
    "perfetto.protos.perfetto.trace.perfetto_trace_pb2",
    reason="needs Perfetto's messages: pip install '.[dev]'",
)
Event = messages.TrackEvent


def read(data: bytes) -> Any:
    trace = messages.Trace()
    trace.ParseFromString(data)
    for packet in trace.packet:
        assert packet.trusted_packet_sequence_id == 1
    trace.DiscardUnknownFields()
    assert trace.SerializeToString() == data, "fields that the messages do not know, or their order"
    return trace


def slices(trace: Any) -> dict[str, list[tuple[str, int, int]]]:
    """By track, (name, start, end) in ns; fails where they do not nest."""
    names = {p.track_descriptor.uuid: name_of(p.track_descriptor) for p in trace.packet
             if p.HasField("track_descriptor")}  # fmt: skip
    found: dict[str, list[tuple[str, int, int]]] = defaultdict(list)
    opened: dict[int, list[tuple[str, int]]] = defaultdict(list)
    last = 0
    for packet in trace.packet:
        if not packet.HasField("track_event"):
            continue
        event = packet.track_event
        assert packet.timestamp >= last
        last = packet.timestamp
        if event.type == Event.TYPE_SLICE_BEGIN:
            opened[event.track_uuid].append((event.name, packet.timestamp))
        elif event.type == Event.TYPE_SLICE_END:
            name, start = opened[event.track_uuid].pop()
            found[names[event.track_uuid]].append((name, start, packet.timestamp))
    assert not any(opened.values())
    return found


def name_of(track: Any) -> str:
    if track.HasField("process"):
        return str(track.process.process_name)
    if track.HasField("thread"):
        return f"{track.thread.pid} {track.thread.thread_name}"
    return str(track.name)


def test_a_small_trace():
    trace = Trace()
    process = trace.process(1, "rank 0")
    cpu = trace.thread(1, 1, "CPU")
    ram = trace.counter(process, "RAM")
    trace.slice(cpu, "CONV_2D", 1.5, 3.0, {"node": "a/b", "macs": 1 << 40, "ms": 0.25})
    trace.slice(cpu, "ADD", 3.0, 4.0)
    trace.instant(cpu, "SEND", 4.0, [7, 9])
    trace.instant(cpu, "here", 5.0, [7], ends=True)
    trace.count(ram, 1 << 20, 2.0)
    packets = read(trace.serialized()).packet
    process_, thread, counter, *rest = packets
    assert process_.track_descriptor.process.process_name == "rank 0"
    assert thread.track_descriptor.thread.thread_name == "CPU"
    assert counter.track_descriptor.counter.unit == messages.CounterDescriptor.UNIT_SIZE_BYTES
    assert counter.track_descriptor.parent_uuid == process
    assert [p.timestamp for p in rest] == [1500, 2000, 3000, 3000, 4000, 4000, 5000]
    begin, count, end, begin2, _, send, here = (p.track_event for p in rest)
    assert (begin.type, begin.name, begin.track_uuid) == (Event.TYPE_SLICE_BEGIN, "CONV_2D", cpu)
    assert [(a.name, a.string_value, a.int_value) for a in begin.debug_annotations] == [
        ("node", "a/b", 0), ("macs", "", 1 << 40), ("ms", "0.250", 0),
    ]  # fmt: skip
    assert (count.type, count.counter_value) == (Event.TYPE_COUNTER, 1 << 20)
    assert (end.type, begin2.name) == (Event.TYPE_SLICE_END, "ADD")
    assert list(send.flow_ids) == [7, 9]
    assert list(here.terminating_flow_ids) == [7]


@pytest.mark.parametrize(("name", "size"), [("mobilenet", 3), ("autoencoder", 2), ("ds_cnn", 1)])
def test_a_simulation(name: str, size: int, tmp_path: Path):
    bundle, cluster = bundle_in(tmp_path, name, size), default_cluster(size)
    result = simulate(bundle.devices, cluster, inputs=2)
    reasons = why(result, alone_us(prepare(bundle.model), cluster))
    trace = read(simulation_trace(result, bundle.devices, cluster, reasons))
    tracks = slices(trace)
    for device in result.devices:
        mine = tracks[f"{device.rank + 1} CPU"]
        spans = [
            s
            for s in result.spans
            if s.rank == device.rank and round(s.end_us * 1000) > round(s.start_us * 1000)
        ]
        assert len(mine) == len(spans)
        shown = sum(end - start for _, start, end in mine) / 1000
        assert shown == pytest.approx(
            sum(s.end_us - s.start_us for s in spans), abs=0.01 * len(spans)
        )
    path = tracks[f"{size + 1} critical path"]
    assert sum(end - start for _, start, end in path) / 1000 == pytest.approx(
        result.latency_us, abs=1
    )
    (first, second) = tracks[f"{size + 1} inferences"]
    assert (first[2] - first[1]) / 1000 == pytest.approx(result.latency_us, abs=0.01)
    assert second[1] >= first[2]
    events = [p.track_event for p in trace.packet if p.HasField("track_event")]
    begun = [flow for event in events for flow in event.flow_ids]
    ended = [flow for event in events for flow in event.terminating_flow_ids]
    assert sorted(begun) == sorted(ended)
    assert len(set(begun)) == len(begun) == len(result.trace.deliveries)
    for (a, b), busy in result.busy.items():
        if busy:
            far = "host" if b == size else f"rank {b}"
            drawn = [each for each in busy if round(each[1] * 1000) > round(each[0] * 1000)]
            assert len(tracks[f"{a + 1} wire to {far}"]) == len(drawn)


def test_ram_reaches_what_the_report_says(tmp_path: Path):
    bundle, cluster = bundle_in(tmp_path, "mobilenet", 2), default_cluster(2)
    content = content_of(bundle)
    trace = read(simulation_trace(content.simulation, bundle.devices, cluster))
    counters = [p.track_descriptor.uuid for p in trace.packet
                if p.track_descriptor.HasField("counter")]  # fmt: skip
    for uuid, view in zip(counters, content.devices, strict=True):
        events = [packet.track_event for packet in trace.packet]
        values = [event.counter_value for event in events if event.track_uuid == uuid]
        timed = {span.node for span in content.simulation.spans if span.rank == view.rank}
        nodes = bundle.devices[view.rank].graph.nodes
        most = max(t for t, n in zip(view.ram.totals, nodes, strict=True) if n.name in timed)
        assert max(values) == most


def test_a_measured_run():
    devices = [
        DeviceFigures(rank, "mps2_an500", 4096, 4000, 10, 90, 40, 5, None, None, 7, 8)
        for rank in range(2)
    ]
    report = Report(input_us=10, graph_us=90, wait_us=40, output_us=5, sent_bytes=7)
    inferences = [Inference([np.zeros(1)], (report, report), 0.0002) for _ in range(3)]
    tracks = slices(read(measured_trace(inferences, devices)))
    assert [name for name, *_ in tracks["3 inferences"]] == [f"inference {i}" for i in range(3)]
    mine = tracks["2 CPU (durations as reported)"]
    assert [(name, end - start) for name, start, end in mine[:4]] == [
        ("input", 10_000), ("compute", 50_000), ("wait", 40_000), ("output", 5_000),
    ]  # fmt: skip
    assert mine[4][1] == 200_000


def test_the_command_saves_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder, file = bundle_of(tmp_path / "out", "ds_cnn", 2), tmp_path / "t.pftrace"
    assert main(["simulate", str(folder), "--trace", str(file), "--json"]) == 0
    printed = capsys.readouterr()
    assert "why" not in json.loads(printed.out)
    assert f"wrote {file}" in printed.err
    assert slices(read(file.read_bytes()))
    assert main(["simulate", str(folder), "--trace", str(tmp_path / "no" / "t")]) == 2
    assert "cannot write" in capsys.readouterr().err
    assert main(["simulate", str(folder), "--trace", "t", "--sweep", "n=1..2"]) == 2


def test_model_explorer(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Its keys are tensors of the model as it was given."""
    bundle = read_bundle(bundle_of(tmp_path / "out", "mobilenet", 2))
    content = content_of(bundle)
    data = node_data(bundle, content.layers, [device.ram for device in content.devices])
    assert list(data) == list(FIGURES)
    tensors = {value.name for node in bundle.model.nodes for value in node.outputs}
    for figure, document in data.items():
        assert set(document["results"]) <= tensors, figure
        assert len(document["results"]) == len(content.layers)
    macs = [each["value"] for each in data["macs"]["results"].values()]
    assert macs == [view.entry["macs"] for view in content.layers]
    assert "gradient" in data["time_us"]
    assert "gradient" not in data["split_by"]
    out, page = tmp_path / "me.json", tmp_path / "r.html"
    arguments = ["report", str(bundle.folder), "-o", str(page), "--beside", "none"]
    assert main([*arguments, "--model-explorer", str(out), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["model_explorer"]) == len(FIGURES)
    assert json.loads((tmp_path / "me.macs.json").read_text()) == data["macs"]
