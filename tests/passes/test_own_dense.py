# SPDX-License-Identifier: Apache-2.0
"""FULLY_CONNECTED without tables in the tail: the same bits, and what is left as it is."""

from __future__ import annotations

import numpy as np
import pytest

from models.builder import RELU
from tests.ops.test_conv import weights_and_bias
from tests.support import contents_of, node, run_whole, tensor
from tflsplit.ir import Activation, Graph, Node
from tflsplit.memory.arena import predict_arena
from tflsplit.ops.own.semantics import run_node
from tflsplit.passes.own_dense import own_dense
from tflsplit.wire import custom_ops as wire

OURS = [wire.PARTIAL_FULLY_CONNECTED, wire.REQUANTIZE]


def dense(
    positions: int = 1, channels: int = 24, per_channel: bool = True, activation: int = RELU
) -> Node:
    x = tensor("x", (positions, 12), zero_point=-7)
    rng = np.random.default_rng(4)
    weights, bias, scale = weights_and_bias(rng, (channels, 12), 0, x, per_channel, True)
    y = tensor("y", (positions, channels), scale=scale, zero_point=5)
    return node("FULLY_CONNECTED", [x, weights, bias], y, fused_activation_function=activation)


def alone(fc: Node) -> Graph:
    return Graph("test", (fc.input(0),), fc.outputs, [fc])


@pytest.mark.parametrize("activation", [Activation.NONE, Activation.RELU])
def test_the_bits_stay(activation: int):
    fc = dense(activation=activation)
    known = contents_of(fc, 2)
    (whole,) = run_whole(fc, known)
    partial, last = own_dense(alone(fc), {})[0].nodes
    assert [partial.op, last.op] == OURS
    sums = run_node(partial, [known[fc.input(0)]])
    np.testing.assert_array_equal(run_node(last, [sums]), whole)


def test_the_tail_is_smaller_by_the_tables():
    before = alone(dense(channels=96))
    sizes = [predict_arena(graph) for graph in (before, own_dense(before, {})[0])]
    assert sizes[0].parts["tables"] == 8 * 96
    assert sizes[1].parts.get("tables", 0) == 0
    assert sizes[1].tail_bytes < sizes[0].tail_bytes - 7 * 96


def test_both_work_for_the_same_layer():
    graph, layers = own_dense(alone(dense()), {"y": "layer"})
    assert {layers[each.name] for each in graph.nodes} == {"layer"}


@pytest.mark.parametrize(
    "fc",
    [
        dense(per_channel=False),  # has no tables
        dense(positions=2),  # its sums would take more than its tables
        dense(channels=7),  # a further operator takes more than so small ones
    ],
)
def test_others_stay(fc: Node):
    graph, layers = own_dense(alone(fc), {"y": "layer"})
    assert graph.nodes == [fc]
    assert layers == {"y": "layer"}


def test_shared_weights_are_not_repeated_in_flash():
    first = dense(channels=12)
    again = node(
        "FULLY_CONNECTED",
        [first.output, *first.inputs[1:]],
        tensor("z", (1, 12), scale=0.2),
        fused_activation_function=0,
    )
    graph = Graph("test", (first.input(0),), again.outputs, [first, again])
    assert own_dense(graph, {})[0].nodes == [first, again]
