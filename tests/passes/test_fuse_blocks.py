# SPDX-License-Identifier: Apache-2.0
"""Blocks become one operator: which ones, the same bits, and column tiles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.builder import NONE, Tensor
from models.layers import LayerBuilder
from models.mobilenet_v2 import inverted_residual, mobilenet_v2
from models.tiny import NETWORKS
from tests.passes.one_device import compared_alone
from tests.splits import compared, needs_tflm, networks, plans, tiny
from tflsplit.check.device_graphs import check_devices
from tflsplit.ir import Attrs, Graph, Node, Value, check_graph
from tflsplit.ops.own.fused import FusedOptions, block_parts
from tflsplit.ops.own.packed import unpacked
from tflsplit.ops.own.scratch import block_scratch
from tflsplit.passes.fuse_blocks import fuse_blocks
from tflsplit.passes.own_kernels import own_kernels
from tflsplit.plan.spec import Way
from tflsplit.plan.wishes import Wishes
from tflsplit.rewriting.rewrite import Split, split_model
from tflsplit.split.devices import DeviceGraph
from tflsplit.split.lower import lower
from tflsplit.tflite import write_model
from tflsplit.wire import custom_ops as wire

Make = Callable[[LayerBuilder, Tensor], Tensor]


def network(make: Make) -> Graph:
    net = LayerBuilder("net", 3, images=2)
    return net.finish(make(net, net.input((9, 11, 4))))


def pointwise(net: LayerBuilder, x: Tensor, channels: int = 4) -> Tensor:
    return net.conv(x, channels, (1, 1), activation=NONE)


def fused_ops(graph: Graph) -> list[str]:
    """Operators after both passes, our own without their prefix."""
    return [n.op.removeprefix("TFLSPLIT_") for n in fuse_blocks(own_kernels(graph)).nodes]


def v2_block(net: LayerBuilder, x: Tensor) -> Tensor:
    return inverted_residual(net, x, 3, 4, 1)


def v2_stride_2(net: LayerBuilder, x: Tensor) -> Tensor:
    return inverted_residual(net, x, 3, 6, 2)


def stem(net: LayerBuilder, x: Tensor) -> Tensor:
    return inverted_residual(net, net.conv(x, 8, (3, 3), (2, 2)), 1, 6, 1)


def v1_blocks(net: LayerBuilder, x: Tensor) -> Tensor:
    for stride in (1, 2, 1):
        x = pointwise(net, net.depthwise(x, stride=(stride, stride)), 6)
    return x


def oblong(net: LayerBuilder, x: Tensor) -> Tensor:
    """Windows that are not square, not dense, not padded."""
    x = net.depthwise(net.conv(x, 8, (2, 3), (1, 2), same=False), (5, 2), (2, 1), dilation=(1, 2))
    return pointwise(net, x, 3)


BLOCKS: list[tuple[Make, list[str]]] = [
    (v2_block, ["FUSED_BLOCK"]),
    (v2_stride_2, ["FUSED_BLOCK"]),
    (stem, ["FUSED_BLOCK"]),
    (v1_blocks, ["FUSED_BLOCK"] * 3),
    (oblong, ["FUSED_BLOCK"]),
]
LEFT_ALONE: list[tuple[str, Make, list[str]]] = [
    (
        "e is read twice",
        lambda net, x: net.add(pointwise(net, net.depthwise(e := net.conv(x, 4))), e),
        ["CONV_2D", "FUSED_BLOCK"],
    ),
    (
        "d is read twice",
        lambda net, x: net.add(pointwise(net, d := net.depthwise(net.conv(x, 4))), d),
        ["CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D", "ADD"],
    ),
    (
        "a grouped expansion",
        lambda net, x: pointwise(net, net.depthwise(net.conv(x, 4, groups=2))),
        ["CONV_2D", "FUSED_BLOCK"],
    ),
    (
        "a channel multiplier",
        lambda net, x: pointwise(net, net.depthwise(net.conv(x, 4), multiplier=2)),
        ["CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D"],
    ),
    (
        "a grouped projection",
        lambda net, x: net.conv(net.depthwise(x), 4, (1, 1), groups=2),
        ["DEPTHWISE_CONV_2D", "CONV_2D"],
    ),
    (
        "a 3x3 projection",
        lambda net, x: net.conv(net.depthwise(x), 4),
        ["DEPTHWISE_CONV_2D", "CONV_2D"],
    ),
    (
        "a strided projection",
        lambda net, x: net.conv(net.depthwise(x), 4, (1, 1), (2, 2)),
        ["DEPTHWISE_CONV_2D", "CONV_2D"],
    ),
    (
        "something between",
        lambda net, x: pointwise(net, net.hard_swish(net.depthwise(net.conv(x, 4)))),
        ["CONV_2D", "DEPTHWISE_CONV_2D", "HARD_SWISH", "CONV_2D"],
    ),
]


@needs_tflm
@pytest.mark.parametrize(("make", "ops"), BLOCKS)
@pytest.mark.parametrize("limit", [None, 200, 1])
def test_blocks_become_one_operator(make: Make, ops: list[str], limit: int | None):
    graph = network(make)
    assert fused_ops(graph) == ops
    fused = fuse_blocks(own_kernels(graph), limit)
    assert check_graph(fused) == []
    assert compared_alone(graph, fused).passed


@needs_tflm
@pytest.mark.parametrize(
    ("make", "ops"), [(make, ops) for _, make, ops in LEFT_ALONE], ids=[n for n, *_ in LEFT_ALONE]
)
def test_what_is_left_alone(make: Make, ops: list[str]):
    graph = network(make)
    assert fused_ops(graph) == ops
    assert compared_alone(graph, fuse_blocks(own_kernels(graph))).passed


def test_a_result_of_the_model_is_made():
    net = LayerBuilder("net", 3, images=2)
    e = net.conv(net.input((9, 11, 4)), 6)
    d = net.depthwise(e)
    y = pointwise(net, d)
    assert fused_ops(net.finish(y)) == ["FUSED_BLOCK"]
    assert fused_ops(net.finish(y, e)) == ["CONV_2D", "FUSED_BLOCK"]
    assert fused_ops(net.finish(y, d)) == ["CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D"]


def test_stock_convolutions_are_not_fused():
    graph = network(v2_block)
    assert fuse_blocks(graph).nodes == graph.nodes


@pytest.mark.parametrize("name", NETWORKS)
def test_the_argument_stays_as_it_is(name: str):
    own = own_kernels(tiny(name))
    nodes, model = list(own.nodes), write_model(own)
    fuse_blocks(own, 1)
    assert own.nodes == nodes
    assert write_model(own) == model


def blocks(graph: Graph) -> list[Node]:
    return [node for node in graph.nodes if node.op == wire.FUSED_BLOCK]


@needs_tflm
@pytest.mark.parametrize("name", NETWORKS)
def test_whole_networks(name: str):
    """What the pass fuses is what plans count on (``block_parts``), and the bits are the same."""
    graph = tiny(name)
    fused = fuse_blocks(own_kernels(graph))
    parts = block_parts(graph)
    assert {node.name for node in blocks(fused)} == {node.name for node in parts}
    inside = {part for pair in parts.values() for part in pair if part is not None}
    adding = [node for node in blocks(fused) if wire.decode(node)["add"]]
    assert len(fused.nodes) == len(graph.nodes) - len(inside) - len(adding)
    assert compared_alone(graph, fused).passed


def v2_node(limit: int | None) -> Node:
    """x [1, 9, 11, 4] -- 12 channels -- depthwise 3x3: 832 bytes of scratch."""
    (node,) = blocks(fuse_blocks(own_kernels(network(v2_block)), limit))
    return node


@pytest.mark.parametrize(
    ("limit", "tile"),
    [
        (None, 0),
        (832, 0),
        (831, 6),  # 3 * 8 * 12 + 4, 6 * 12, 4 * 12 * 2: 460
        (460, 6),
        (459, 4),  # 3 * 6 * 12 + 4, 4 * 12, 4 * 12 * 2: 364
        (364, 4),
        (363, 3),  # 3 * 5 * 12 + 4, 3 * 12, 3 * 12 * 2: 292
        (292, 3),
        (291, 2),  # 3 * 4 * 12 + 4, 2 * 12, 2 * 12 * 2: 220
        (219, 1),  # 3 * 3 * 12 + 4, 12, 12 * 2: 148
        (148, 1),
        (0, 1),  # cannot be kept: the smallest there is
    ],
)
def test_the_fewest_equal_tiles_that_keep_the_limit(limit: int | None, tile: int):
    node = v2_node(limit)
    assert FusedOptions.of(node).tile_columns == tile
    if limit:
        assert block_scratch(node).total_bytes <= limit


def test_limits_by_the_name_of_the_projection():
    own = own_kernels(network(v1_blocks))
    names = [node.name for node in blocks(fuse_blocks(own))]
    tiles = [
        FusedOptions.of(node).tile_columns
        for node in blocks(fuse_blocks(own, {names[1]: 1, "another": 1}))
    ]
    assert tiles == [0, 1, 0]


@cache
def small_mobilenet_v2() -> Graph:
    """All 17 blocks of MobileNetV2, narrow and small."""
    return mobilenet_v2(alpha=0.1, size=64, classes=10, images=2)


def expected_blocks(split: Split, device: DeviceGraph) -> set[str]:
    """Blocks of which the device makes rows or columns of all parts, or all there is."""
    if len(split.devices) == 1:
        return {project.name for project in block_parts(split.whole)}
    splits = split.plan.by_node()
    expected = set()
    for project, (expand, depthwise) in block_parts(split.whole).items():
        found = [splits[part.name] for part in (expand, depthwise, project) if part is not None]
        spatial = {s.factor for s in found} in ({"rows"}, {"columns"})
        start, stop = found[-1].bounds[device.rank : device.rank + 2] if spatial else (0, 0)
        if start < stop:
            expected.add(project.name)
    return expected


def assert_same_bits_and_blocks(split: Split) -> None:
    for device in split.devices:
        fused = {device.steps[node.name] for node in blocks(device.graph)}
        assert fused >= expected_blocks(split, device)
        assert not {"CONV_2D", "DEPTHWISE_CONV_2D"} & {node.op for node in device.graph.nodes}
    verdict = compared(split, runs=1)
    assert verdict.passed, verdict


@needs_tflm
@pytest.mark.parametrize("world_size", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("ways", ["auto", "rows", "channels"])
@pytest.mark.parametrize("name", ["mobilenet", "ds_cnn"])
def test_device_graphs(name: str, ways: str, world_size: int):
    split = split_model(tiny(name), Wishes(world_size, ways, fuse=True))
    assert_same_bits_and_blocks(split)
    if ways == "rows":
        assert all(expected_blocks(split, device) for device in split.devices)


@needs_tflm
@pytest.mark.parametrize("name", NETWORKS)
def test_device_graphs_of_other_networks(name: str):
    assert_same_bits_and_blocks(split_model(tiny(name), Wishes(3, fuse=True)))


@needs_tflm
@pytest.mark.parametrize("world_size", [1, 2, 3, 4, 8])
def test_device_graphs_of_mobilenet_v2(world_size: int):
    split = split_model(small_mobilenet_v2(), Wishes(world_size, fuse=True))
    assert_same_bits_and_blocks(split)
    assert any(expected_blocks(split, device) for device in split.devices)


@needs_tflm
@pytest.mark.parametrize("world_size", [2, 3])
def test_partial_sums_inside_a_block(world_size: int):
    """Depthwise channels that stay on their rank, and a projection that makes sums of them."""
    ways = {"conv_2d_2": Way.IN_CHANNELS}
    split = split_model(network(v2_block), Wishes(world_size, "out_channels", ways, fuse=True))
    for device in split.devices:
        (node,) = blocks(device.graph)
        options = FusedOptions.of(unpacked(node))
        assert options.sums
        assert options.activation == (-128, 127)
        assert unpacked(node).inputs[10:] == (None, None, None)
    assert compared(split).passed


@needs_tflm
@settings(max_examples=40)
@given(st.data())
def test_any_plan_of_any_network_gives_the_same_bits(data: st.DataObject):
    graph = data.draw(networks(), label="network")
    plan = data.draw(plans(graph, data.draw(st.integers(1, 4))), label="plan")
    limit = data.draw(st.sampled_from([None, 1, 100]), label="limit")
    splits = tuple(replace(split, scratch_limit_bytes=limit) for split in plan.splits)
    fused = replace(plan, splits=splits, fuse=True)
    devices = lower(graph, fused)
    assert check_devices(graph, devices) == []
    verdict = compared(Split(graph, fused, devices), runs=1)
    assert verdict.passed, verdict


def test_the_add_of_a_residual_block_is_inside():
    """Whole blocks of MobileNetV2 on one device: ten operators fewer, and no map of p."""
    (device,) = split_model(small_mobilenet_v2(), Wishes(1, fuse=True)).devices
    assert not [node for node in device.graph.nodes if node.op == "ADD"]
    adding = [node for node in blocks(device.graph) if wire.decode(node)["add"]]
    assert adding
    for node in adding:
        assert node.inputs[2] is node.inputs[0]  # the residual is what the block reads


def test_an_add_stays_where_the_residual_comes_later_or_p_is_a_result():
    graph = own_kernels(network(lambda net, x: pointwise(net, net.depthwise(net.conv(x, 8)))))
    p = graph.outputs[0]
    late, y = replace(p, name="late"), replace(p, name="sum")
    other = Node("FLOOR", (graph.inputs[0],), (late,), name="late")
    add = Node("ADD", (p, late), (y,), Attrs(fused_activation_function=0), "sum")

    def ops(nodes: list[Node], *outputs: Value) -> list[str]:
        return [n.op for n in fuse_blocks(replace(graph, nodes=nodes, outputs=outputs)).nodes]

    assert ops([other, *graph.nodes, add], y) == ["FLOOR", wire.FUSED_BLOCK]
    assert ops([*graph.nodes, other, add], y) == [wire.FUSED_BLOCK, "FLOOR", "ADD"]
    assert ops([other, *graph.nodes, add], y, p) == ["FLOOR", wire.FUSED_BLOCK, "ADD"]
