# SPDX-License-Identifier: Apache-2.0
"""Inputs that the host keeps and devices RECV as they read them: bits, proof, RAM, files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.splits import compared, needs_tflm, networks, plans, tiny
from tests.streaming import streamed_bundle, streamed_plan
from tflsplit.bundle.plan_file import plan_part, read_plan
from tflsplit.check.device_graphs import check_devices
from tflsplit.cluster import default_cluster
from tflsplit.ir import DType, Graph, Node
from tflsplit.ops.own.fused import block_parts
from tflsplit.planner import Planner, finish
from tflsplit.planner.best import best_plan, may_stream
from tflsplit.planner.ways.hosted import in_tiles
from tflsplit.planner.whole.streaming import streamed
from tflsplit.rewriting.rewrite import Split, splittable
from tflsplit.runtime.engines import engine
from tflsplit.runtime.local import LocalCluster
from tflsplit.runtime.processes import ProcessCluster
from tflsplit.sim import simulate
from tflsplit.split.devices import DeviceGraph
from tflsplit.split.host_boxes import host_boxes
from tflsplit.split.lower import lower
from tflsplit.verify import make_cases
from tflsplit.wire import custom_ops as wire


def split_in_tiles(name: str, world_size: int, tiles: int, split: str = "rows") -> Split:
    whole = splittable(tiny(name))
    plan = streamed_plan(whole, world_size, tiles, split)
    return Split(whole, plan, lower(whole, plan))


CASES = [("rows", n, tiles) for n in (1, 2, 3) for tiles in (1, 2, 5)]
CASES += [("columns", n, 3) for n in (2, 3)]


@needs_tflm
@pytest.mark.parametrize(("way", "world_size", "tiles"), CASES)
def test_the_same_bits_and_the_checkers_proof(way: str, world_size: int, tiles: int):
    split = split_in_tiles("mobilenet", world_size, tiles, way)
    assert not any(device.graph.inputs for device in split.devices)
    readers = [device for device in split.devices if device.macs]
    assert len(host_boxes(split.devices)) == tiles * len(readers)
    assert check_devices(split.whole, split.devices) == []
    verdict = compared(split)
    assert verdict.passed, verdict


@needs_tflm
def test_a_tile_within_the_one_before_it_of_an_input_that_slice_does_not_know():
    """TFLM's SLICE has no uint8, the type of many image models' input."""
    (x,) = (model := tiny("resnet")).inputs
    assert x.quantization is not None
    shifted = replace(x.quantization, zero_points=(x.quantization.zero_point + 128,))
    image = replace(x, name="image", dtype=DType.UINT8, quantization=shifted)
    to_int8 = Node("QUANTIZE", (image,), (x,), name="to_int8")
    whole = splittable(replace(model, inputs=(image,), nodes=[to_int8, *model.nodes]))
    plan = streamed_plan(whole, 1, 3)
    splits = plan.by_node()
    name = next(split.node for split in plan.splits if split.gather_tiles > 1)
    rows = next(node for node in whole.nodes if node.name == name).output.shape[1]
    splits[name] = replace(splits[name], tile_bounds=(0, rows - 2, rows - 1, rows))
    plan = replace(plan, splits=tuple(splits.values()))
    made = Split(whole, plan, lower(whole, plan))
    copies = [n for n in made.devices[0].graph.nodes if n.op == wire.RECV and n.inputs]
    assert [node.output.dtype for node in copies] == [DType.UINT8]
    assert compared(made).passed


@needs_tflm
@pytest.mark.parametrize("split", ["channels", "in_channels", "auto"])
def test_other_ways_stream_in_one_piece(split: str):
    made = split_in_tiles("ds_cnn", 3, 1, split)
    assert check_devices(made.whole, made.devices) == []
    assert compared(made).passed


@needs_tflm
@settings(max_examples=25)
@given(st.data())
def test_any_plan_may_stream(data: st.DataObject):
    graph = data.draw(networks())
    plan = replace(data.draw(plans(graph, data.draw(st.integers(1, 4)))), stream=True)
    devices = lower(graph, plan)
    assert check_devices(graph, devices) == []
    verdict = compared(Split(graph, plan, devices), runs=1)
    assert verdict.passed, verdict


@needs_tflm
def test_one_process_each():
    split = split_in_tiles("mobilenet", 2, 3)
    name, make = engine(None)
    (case, *_) = make_cases(split.whole, 1, seed=2)
    local = LocalCluster(split.devices, make)
    local.infer(case.inputs)
    with ProcessCluster(split.devices, name) as cluster:
        for _ in range(2):
            reports = cluster.infer(case.inputs)
            for report, device in zip(reports, local.devices, strict=True):
                assert report.received_bytes == device.received_bytes
                pairs = zip(report.outputs, device.outputs, strict=True)
                assert all(np.array_equal(a, b) for a, b in pairs)


def changed(devices: tuple[DeviceGraph, ...], **options: Any) -> tuple[DeviceGraph, ...]:
    """The first RECV of rank 0 asks the host for something else."""
    graph = devices[0].graph
    recv = next(node for node in graph.nodes if node.op == wire.RECV)
    other = replace(recv, attrs=recv.attrs.replace(**options))
    nodes = [other if node is recv else node for node in graph.nodes]
    first = replace(devices[0], graph=Graph(graph.name, graph.inputs, graph.outputs, nodes))
    return (first, *devices[1:])


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"tensor": "nonsense"}, "asks the host for 'nonsense', which is no input of the model"),
        ({"from": (1,)}, "is never sent"),
        ({"channels": (1,)}, "is not the host's alone"),
    ],
)
def test_what_the_host_does_not_have_is_found(options: dict[str, Any], says: str):
    split = split_in_tiles("mobilenet", 2, 2)
    problems = check_devices(split.whole, changed(split.devices, **options))
    assert any(says in text for text in problems), problems


def test_the_arena_gets_smaller_and_the_simulation_sends_all_tiles():
    graph = splittable(tiny("mobilenet"))
    cluster = default_cluster(1)
    resident = Planner(graph, cluster).best("ram")
    made = streamed(graph, resident, cluster, "ram")
    assert made.arena_bytes < resident.arena_bytes
    boxes = host_boxes(made.devices)
    assert len(boxes) > 1
    result = simulate(made.devices, cluster)
    assert result.wires[1, 0].payload_bytes == sum(box.size_bytes for box in boxes)


@needs_tflm
def test_two_blocks_that_run_as_one_are_streamed_too():
    graph = splittable(tiny("mobilenet"))
    whole = Planner(graph, default_cluster(1)).best("ram")
    blocks = [node.name for node in graph.nodes if node in block_parts(graph)]
    first, second = (whole.plan.by_node()[name] for name in blocks[:2])
    pair = {first.node: replace(first, chained=True, window_columns=1)}
    pair[second.node] = replace(second, window_columns=1)
    splits = tuple({**whole.plan.by_node(), **pair}.values())
    resident = finish(graph, replace(whole.plan, splits=splits), whole.cluster, whole.steps)
    made = in_tiles(graph, resident.plan, 3)
    devices = lower(graph, made)
    read = [node for node in devices[0].graph.nodes if node.op == wire.RECV]
    assert len(read) == 3
    assert check_devices(graph, devices) == []
    assert compared(Split(graph, made, devices)).passed


@pytest.mark.parametrize(
    ("stream", "devices", "objective", "streams"),
    [
        (None, 2, "ram", True),
        (None, 1, "ram", False),
        (None, 2, "latency", False),
        (False, 2, "ram", False),
        (True, 1, "latency", True),
    ],
)
def test_it_is_tried_for_the_least_ram_unless_the_cluster_says_otherwise(
    stream: bool | None, devices: int, objective: str, streams: bool
):
    cluster = replace(default_cluster(devices), stream=stream)
    assert may_stream(cluster, devices, objective) is streams


def test_what_fits_only_without_its_input_in_memory_is_found():
    graph = splittable(tiny("mobilenet"))
    (device,) = default_cluster(1).devices
    cluster = replace(default_cluster(1), stream=True)
    _, resident = best_plan(graph, replace(cluster, stream=False), "ram")
    _, smallest = best_plan(graph, cluster, "ram")
    between = (resident.arena_bytes + smallest.arena_bytes) // 2
    tight = replace(cluster, devices=(replace(device, arena_limit_bytes=between),))
    _, found = best_plan(graph, tight, "ram")
    assert found.plan.stream
    assert found.fits(tight)


@needs_tflm
def test_the_search_for_the_least_ram_takes_the_input_in_tiles():
    graph = splittable(tiny("mobilenet"))
    cluster = replace(default_cluster(1), stream=True)
    resident = Planner(graph, cluster).best("ram")
    assert not resident.plan.stream
    made = Planner(graph, cluster, hosted=True).best("ram")
    assert made.plan.stream
    assert made.arena_bytes <= streamed(graph, resident, cluster, "ram").arena_bytes
    assert streamed(graph, made, made.cluster, "ram") is made
    assert any(step.option.name.endswith(" tiles") for step in made.steps)
    assert compared(Split(graph, made.plan, made.devices), runs=1).passed


def test_one_device_keeps_its_input_unless_it_was_asked_to_stream():
    graph = splittable(tiny("mobilenet"))
    for stream, keeps in ((None, False), (True, True)):
        planner = Planner(graph, replace(default_cluster(1), stream=stream), hosted=True)
        assert planner.searcher(1, "ram").choices.hosted == keeps
        assert not planner.searcher(1, "latency").choices.hosted


def test_a_plan_that_streaming_makes_no_better_stays():
    graph = splittable(tiny("autoencoder"))
    resident = Planner(graph, default_cluster(2)).best("bytes")
    assert streamed(graph, resident, resident.cluster, "bytes") is resident


def test_files_keep_it(tmp_path: Path):
    bundle = streamed_bundle(tmp_path, "mobilenet", 2, 2)
    assert bundle.document["stream"] is True
    plan = streamed_plan(splittable(tiny("mobilenet")), 2, 2)
    assert read_plan(plan_part(splittable(tiny("mobilenet")), plan), "x").stream
