# SPDX-License-Identifier: Apache-2.0
"""Any plan, not just a good one, must give sound device graphs and the unsplit model's bits."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.builder import NONE
from models.layers import LayerBuilder
from models.tiny import NETWORKS
from tests.splits import (
    WAYS,
    bounds,
    compared,
    needs_tflm,
    networks,
    plans,
    tiny,
    tiny_split,
)
from tflsplit.check.device_graphs import check_devices
from tflsplit.errors import PlanError
from tflsplit.ir import DType, Graph, Quantization, Value
from tflsplit.ir.printer import graph_text
from tflsplit.memory.lifetimes import peak_live_bytes
from tflsplit.ops import graph_macs, rule_of
from tflsplit.plan.halos import recompute_halos
from tflsplit.plan.spec import NodeSplit, Plan, Way
from tflsplit.plan.wishes import Wishes
from tflsplit.rewriting.rewrite import Split, split_model
from tflsplit.split.lower import lower
from tflsplit.split.partition import partition
from tflsplit.tflite import write_model
from tflsplit.wire.custom_ops import RECV, SEND, is_packed


@needs_tflm
@settings(max_examples=60)
@given(st.data())
def test_any_plan_of_any_network_gives_the_same_bits(data: st.DataObject):
    graph = data.draw(networks(), label="network")
    stock = data.draw(st.booleans(), label="stock kernels")
    plan = data.draw(plans(graph, data.draw(st.integers(1, 5)), stock), label="plan")
    if data.draw(st.booleans(), label="recompute halos"):
        plan = recompute_halos(graph, plan)
    fuse = not stock and data.draw(st.booleans(), label="fuse")
    devices = lower(graph, replace(plan, fuse=fuse))
    assert check_devices(graph, devices) == []
    verdict = compared(Split(graph, plan, devices), runs=1)
    assert verdict.passed, verdict


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("split", WAYS)
def test_partition_is_pure(name: str, split: str):
    """Arguments are not changed, and equal ones give equal results."""
    before, plan = tiny_split(name, 3, split), tiny_split(name, 3, split).plan
    model, said = graph_text(before.whole), repr(plan)
    again = lower(before.whole, plan)
    assert graph_text(before.whole) == model
    assert repr(plan) == said
    for first, second in zip(before.devices, again, strict=True):
        assert write_model(first.graph) == write_model(second.graph)
        assert (first.shards, first.steps, first.macs) == (
            second.shards,
            second.steps,
            second.macs,
        )


@pytest.mark.parametrize("name", NETWORKS)
def test_the_names_of_the_model_are_kept(name: str):
    split = tiny_split(name, 4)
    tensors = {value.name for node in split.whole.nodes for value in node.outputs}
    nodes = {node.name for node in split.whole.nodes}
    weights = {v.name for v in split.whole.constants() if v.name.endswith(("/weights", "/bias"))}
    assert weights
    found: set[str] = set()
    worked_for: set[str] = set()
    packed: set[str] = set()
    for device in split.devices:
        local = {value.name for value in device.graph.values()}
        for tensor, shard in device.shards.items():
            assert shard.tensor in tensors | {value.name for value in split.whole.inputs}
            assert tensor == shard.tensor or not shard.owned
            assert tensor in local
        found |= {shard.tensor for shard in device.shards.values() if shard.owned} & local
        assert set(device.steps) == {node.name for node in device.graph.nodes} - {"wait"}
        worked_for |= set(device.steps.values())
        weights -= {value.name for value in device.graph.constants()}
        packed |= {device.steps[n.name] for n in device.graph.nodes if is_packed(n)}
    assert tensors <= found
    assert worked_for == nodes
    of_packed = {v.name for n in split.whole.nodes if n.name in packed for v in n.operands}
    assert not weights - of_packed


def names_are_unique(graph: Graph) -> bool:
    names = [value.name for value in graph.values() if not value.is_constant]
    return len(set(names)) == len(names)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("split", WAYS)
def test_computed_tensors_and_nodes_of_a_device_have_different_names(name: str, split: str):
    for device in tiny_split(name, 4, split).devices:
        assert names_are_unique(device.graph)
        nodes = [node.name for node in device.graph.nodes]
        assert len(set(nodes)) == len(nodes)


def renamed(graph: Graph, name: str) -> Graph:
    """A copy in which every computed tensor has the same name; nodes keep theirs."""
    table = {v: replace(v, name=name) for v in graph.values() if not v.is_constant}
    nodes = [
        replace(
            node,
            inputs=tuple(None if v is None else table.get(v, v) for v in node.inputs),
            outputs=tuple(table[v] for v in node.outputs),
        )
        for node in graph.nodes
    ]
    inputs, outputs = (tuple(table[v] for v in vs) for vs in (graph.inputs, graph.outputs))
    return Graph(graph.name, inputs, outputs, nodes)


@needs_tflm
@pytest.mark.parametrize("name", ["temporal", "mobilenet"])
def test_a_model_that_repeats_tensor_names(name: str):
    for tensor in ("same", ""):
        split = split_model(renamed(tiny(name), tensor), Wishes(3))
        assert all(names_are_unique(device.graph) for device in split.devices)
        assert compared(split).passed


@needs_tflm
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("split", WAYS)
def test_stock_kernels_leave_send_and_recv_as_the_only_custom_operators(name: str, split: str):
    if split == "in_channels":
        with pytest.raises(PlanError, match="stock kernels cannot return the int32 partial sums"):
            tiny_split(name, 3, split, stock=True)
        return
    stock = tiny_split(name, 3, split, stock=True)
    custom = {n.op for device in stock.devices for n in device.graph.nodes if n.is_custom}
    assert custom <= {SEND, RECV}
    assert compared(stock, runs=1).passed


@needs_tflm
@settings(max_examples=30)
@given(st.data())
def test_gathers_in_tiles_give_the_same_bits(data: st.DataObject):
    """1x1 convolutions, over maps that lie anyhow; more ranks than rows, ranks without a share."""
    shape = data.draw(st.tuples(st.integers(2, 9), st.integers(1, 5), st.integers(1, 6)))
    net = LayerBuilder("pointwise", data.draw(st.integers(0, 99)), images=2)
    x = net.conv(net.input(shape), data.draw(st.integers(2, 8)))
    first = net.conv(x, data.draw(st.integers(2, 9)), (1, 1))
    graph = net.finish(net.conv(first, data.draw(st.integers(2, 5)), (1, 1), activation=NONE))
    world_size = data.draw(st.integers(1, 12))
    plan = data.draw(plans(graph, world_size))
    splits = [
        NodeSplit(
            node.name,
            Way.OUT_CHANNELS,
            "out_channels",
            data.draw(bounds(node.output.shape[3], world_size)),
            gather_tiles=data.draw(st.integers(1, 10)),
        )
        for node in graph.nodes[1:]
    ]
    plan = replace(plan, splits=(plan.splits[0], *splits), fuse=data.draw(st.booleans()))
    devices = lower(graph, plan)
    assert check_devices(graph, devices) == []
    assert compared(Split(graph, plan, devices), runs=1).passed


def test_a_gather_in_tiles_holds_one_tile_at_a_time():
    """Own channels in and out, and a quarter of the input, instead of all of it."""
    net = LayerBuilder("wide", 1, images=2)
    graph = net.finish(net.conv(net.conv(net.input((16, 4, 3)), 32, (1, 1)), 8, (1, 1)))
    first, second = (
        NodeSplit(n.name, Way.OUT_CHANNELS, "out_channels", cuts)
        for n, cuts in zip(graph.nodes, [(0, 8, 16, 24, 32), (0, 2, 4, 6, 8)], strict=True)
    )
    live = {}
    for tiles in (1, 4):
        splits = (first, replace(second, gather_tiles=tiles))
        devices = partition(graph, Plan(4, splits, (0.25,) * 4))
        live[tiles] = peak_live_bytes(devices[0].graph)
    pixels, own, gathered, made = 16 * 4, 8, 32, 2
    assert live[1] == pixels * (own + gathered)
    # In the last RECV three tiles of results are there already.
    assert live[4] == pixels * own + pixels // 4 * gathered + 3 * pixels // 4 * made


@needs_tflm
@pytest.mark.parametrize("shares", [(0.5, 0.25, 0.25, 0.0), (0.0, 0.0, 1.0), (0.01, 0.99)])
@pytest.mark.parametrize("name", NETWORKS)
def test_unequal_shares(name: str, shares: tuple[float, ...]):
    split = split_model(tiny(name), Wishes(len(shares), shares=shares))
    assert compared(split, runs=1).passed
    weighted = [s for s in split.plan.splits if s.factor in ("rows", "out_channels")]
    assert weighted
    for rank, share in enumerate(shares):
        if share == 0:
            assert all(s.bounds[rank] == s.bounds[rank + 1] for s in weighted)


@needs_tflm
@pytest.mark.parametrize("split", WAYS)
@pytest.mark.parametrize("name", ["autoencoder", "ds_cnn", "temporal"])
def test_more_devices_than_rows_or_channels(name: str, split: str):
    many = tiny_split(name, 40, split)
    assert compared(many, runs=0).passed
    idle = [s for s in many.plan.splits if any(a == b for a, b in pairwise(s.bounds))]
    assert idle, "every rank has something of every layer: more devices are needed here"


@pytest.mark.parametrize("name", NETWORKS)
def test_no_multiplication_is_lost_or_done_twice(name: str):
    """Where no halo is recomputed and nothing replicated, the work adds up."""
    for split in ("out_channels", "in_channels"):
        found = tiny_split(name, 4, split)
        copies = [s for s in found.plan.splits if s.extents or s.way is Way.REPLICATED]
        repeated = sum(
            3 * rule_of(node).macs(node)
            for node in found.whole.nodes
            for s in copies
            if s.node == node.name and s.way is Way.REPLICATED
        )
        if not any(s.extents for s in copies):
            total = sum(device.macs for device in found.devices)
            assert total == graph_macs(found.whole) + repeated


def test_the_arguments_must_fit_each_other():
    plan = tiny_split("resnet", 2).plan
    with pytest.raises(PlanError, match="is it for another model"):
        partition(tiny("unet"), plan)


def with_outputs(name: str, outputs: Callable[[Graph], tuple[Value, ...]]) -> Graph:
    graph = tiny(name)
    return Graph(graph.name, graph.inputs, outputs(graph), graph.nodes)


@needs_tflm
@pytest.mark.parametrize("world_size", [1, 3])
@pytest.mark.parametrize(
    "outputs",
    [
        pytest.param(lambda g: (g.nodes[2].output, *g.outputs), id="an inner tensor"),
        pytest.param(lambda g: (*g.outputs, *g.outputs), id="one tensor twice"),
        pytest.param(lambda g: (*g.outputs, *g.inputs), id="the input"),
        pytest.param(lambda g: (g.nodes[0].input(1), *g.outputs), id="a constant"),
        pytest.param(lambda g: (g.nodes[3].output,), id="not the last layer"),
    ],
)
def test_unusual_outputs(world_size: int, outputs: Callable[[Graph], tuple[Value, ...]]):
    for name in ("mobilenet", "unet"):
        split = split_model(with_outputs(name, outputs), Wishes(world_size))
        assert compared(split, runs=1).passed


@needs_tflm
@pytest.mark.parametrize("world_size", [1, 3])
def test_an_output_that_is_an_input_of_which_not_all_is_read(world_size: int):
    net = LayerBuilder("cropped", 1, images=2)
    x = net.input((8, 8, 2))
    y = net.max_pool(x, (3, 3), (3, 3))
    z = net.conv(y, 4)
    split = split_model(net.finish(z, x), Wishes(world_size))
    assert compared(split, runs=1).passed
    given_back = [v.shape for d in split.devices for v in d.graph.outputs if v in d.graph.inputs]
    assert given_back == [(1, 8, 8, 2)]


@needs_tflm
def test_an_input_that_nothing_reads():
    graph = tiny("ds_cnn")
    unread = Value("unread", (1, 5), DType.INT8, Quantization((0.5,), (0,)))
    more = Graph(graph.name, (unread, *graph.inputs), graph.outputs, graph.nodes)
    assert compared(split_model(more, Wishes(3)), runs=1).passed
