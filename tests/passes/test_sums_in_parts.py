# SPDX-License-Identifier: Apache-2.0
"""A convolution whose map is only added up, some channels at a time: the same bits, less memory."""

from __future__ import annotations

import numpy as np
import pytest

from models.layers import LayerBuilder
from tests.splits import compared, needs_tflm
from tflsplit.cluster import default_cluster
from tflsplit.ir import DType, Graph, Node, Quantization, Value
from tflsplit.memory.arena import predict_arena
from tflsplit.memory.better import plan_offline
from tflsplit.ops.own.custom import conv_2d, partial_sum
from tflsplit.ops.own.semantics import Array, run_node
from tflsplit.passes.sums_in_parts import MOST_PARTS, sums_in_parts
from tflsplit.planner import Planner
from tflsplit.rewriting.rewrite import Split, splittable
from tflsplit.wire import custom_ops as wire

X = (1, 7, 2, 16)


def model(channels: int = 100, dtype: DType = DType.INT32) -> Graph:
    """x of 224 bytes, a map of 14 positions, its sums."""
    rng = np.random.default_rng(3)

    def constant(name: str, *shape: int, low: int = -99, kind: DType = DType.INT32) -> Value:
        data = rng.integers(low, 99, shape).astype(kind.numpy)
        return Value(name, shape, kind, Quantization((0.5,), (0,)), data)

    x = Value("x", X, DType.INT8, Quantization((0.5,), (3,)))
    made = Value("map", (*X[:3], channels), DType.INT8, Quantization((0.25,), (-7,)))
    sums = Value("sums", (1, 1, 1, channels), dtype)
    weights = constant("w", channels, 1, 1, X[3], kind=DType.INT8)
    multiplier, shift = constant("m", channels, low=90), constant("s", channels)
    assert multiplier.data is not None
    assert shift.data is not None
    multiplier.data[:] = (1 << 30) + multiplier.data * 4096
    shift.data[:] = -4
    bias = constant("b", channels)
    conv = conv_2d(x, weights, bias, multiplier, shift, made, activation=(-128, 127), name="conv")
    return Graph("net", (x,), (sums,), [conv, partial_sum(made, sums, axes=(1, 3), name="mean")])


def in_parts(graph: Graph) -> Graph:
    return sums_in_parts(graph, {"conv"}, {})[0]


def outputs(graph: Graph) -> Array:
    """Every node by its meaning, CONCATENATION by NumPy."""
    data = np.random.default_rng(1).integers(-128, 128, X).astype(np.int8)
    known: dict[Value, Array] = {graph.inputs[0]: data}
    for node in graph.nodes:
        operands = [known[value] for value in node.operands if value.is_computed]
        is_joined = node.op == "CONCATENATION"
        known[node.output] = (
            np.concatenate(operands, axis=3) if is_joined else run_node(node, operands)
        )
    return known[graph.outputs[0]]


@pytest.mark.parametrize("dtype", [DType.INT32, DType.INT16])
def test_the_sums_stay(dtype: DType):
    """In as many parts whatever the sums are: 1,400 bytes beside 400."""
    made = in_parts(model(dtype=dtype))
    assert [node.op for node in made.nodes].count(wire.CONV_2D) == 4
    np.testing.assert_array_equal(outputs(made), outputs(model(dtype=dtype)), strict=True)


def test_no_channel_is_made_twice_or_left_out():
    convs = [node for node in in_parts(model(100)).nodes if node.op == wire.CONV_2D]
    assert [conv.output.shape[3] for conv in convs] == [32, 32, 32, 4]


def test_the_head_is_smaller_by_most_of_the_map():
    before, after = (
        predict_arena(plan_offline(g)).head_bytes for g in (model(), in_parts(model()))
    )
    assert before > 14 * 100 + 224
    assert after < before - 14 * 100 / 2


def test_parts_are_not_more_than_pay():
    """The sums of 3,000 channels take 12,000 bytes, the map 42,000."""
    assert len(in_parts(model(3000)).nodes) == 2 * 4 + 1 < 2 * MOST_PARTS + 1


def test_every_part_works_for_its_layer():
    _, layers = sums_in_parts(model(), {"conv"}, {"conv": "c", "mean": "m"})
    assert {layers[f"conv/{i}"] for i in range(4)} == {"c"}
    assert {layers[f"mean/{i}"] for i in range(4)} == {"m"}


def test_others_stay():
    graph = model()
    assert sums_in_parts(graph, {}, {})[0].nodes == graph.nodes
    both = Graph("net", graph.inputs, (*graph.outputs, graph.nodes[0].output), graph.nodes)
    assert in_parts(both).nodes == graph.nodes
    relu = Node("RELU", graph.nodes[0].outputs, (Value("r", X, DType.INT8),))
    assert in_parts(Graph("net", graph.inputs, (), [*graph.nodes, relu])).nodes[0].name == "conv"


@needs_tflm
def test_devices_that_share_the_positions_make_the_map_in_parts():
    """The planner takes it where it is the largest; verify agrees, dead bytes overwritten."""
    net = LayerBuilder("net", 3, images=2)
    model_bytes = net.finish(net.mean(net.conv(net.input((8, 8, 16)), 480, (1, 1))))
    best = Planner(splittable(model_bytes), default_cluster(4)).best("ram")
    convs = [node for node in best.drafts[0].graph.nodes if node.op == wire.CONV_2D]
    assert len(convs) > 1
    assert compared(Split(splittable(model_bytes), best.plan, best.devices, model_bytes)).passed
