# SPDX-License-Identifier: Apache-2.0
"""Depthwise layers of one channel become convolutions, and the bits stay."""

from __future__ import annotations

import numpy as np
import pytest

from tests.splits import needs_tflm
from tests.support import integers, node, quantized, run_tflm, tensor
from tflsplit.ir import Activation, DType, Graph, Node, Padding, Value
from tflsplit.ops.window import EXPLICIT_PADS
from tflsplit.passes.dense_depthwise import dense_depthwise

OUT = 6


def weights(channels: int, per_channel: bool = True) -> Value:
    rng = np.random.default_rng(3)
    data = rng.integers(-127, 128, (1, 3, 3, channels)).astype(np.int8)
    scales = rng.uniform(0.002, 0.01, channels if per_channel else 1)
    return Value("w", data.shape, DType.INT8, quantized(scales, axis=3), data)


def layer(channels: int = 1, per_channel: bool = True, **attrs: object) -> Node:
    """Of OUT channels, stride 2, with a bias and a RELU."""
    x, bias = tensor("x", (1, 9, 8, channels)), integers("b", [7 * i - 20 for i in range(OUT)])
    bias = Value("b", bias.shape, bias.dtype, quantized(0.0001), bias.data)
    options = {
        "padding": Padding.SAME,
        "stride_h": 2,
        "stride_w": 2,
        "depth_multiplier": OUT // channels,
        "fused_activation_function": Activation.RELU,
        "dilation_h_factor": 1,
        "dilation_w_factor": 1,
    }
    y = tensor("y", (1, 5, 4, OUT), scale=0.02, zero_point=-128)
    inputs = [x, weights(OUT, per_channel), bias]
    return node("DEPTHWISE_CONV_2D", inputs, y, **{**options, **attrs})


def graph_of(*nodes: Node) -> Graph:
    outputs = tuple(v for each in nodes for v in each.outputs)
    return Graph("g", tuple(dict.fromkeys(each.input(0) for each in nodes)), outputs, list(nodes))


@needs_tflm
@pytest.mark.parametrize("per_channel", [False, True])
def test_the_same_bits(per_channel: bool):
    graph = graph_of(layer(per_channel=per_channel))
    dense = dense_depthwise(graph)
    assert [each.op for each in dense.nodes] == ["CONV_2D"]
    assert dense.nodes[0].input(1).shape == (OUT, 3, 3, 1)
    given = [np.random.default_rng(1).integers(-128, 128, (1, 9, 8, 1)).astype(np.int8)]
    (before,), (after,) = run_tflm(graph, given), run_tflm(dense, given)
    assert len(np.unique(before)) > 20
    np.testing.assert_array_equal(after, before)


def test_padding_of_its_own_stays():
    padded = dense_depthwise(graph_of(layer(explicit_pads=(1, 0, 1, 0))))
    assert padded.nodes[0].attrs.integers(EXPLICIT_PADS) == (1, 0, 1, 0)


def test_others_stay():
    assert dense_depthwise(graph := graph_of(layer(2))) is graph
    wrong = layer()
    assert wrong.input(1).data is not None
    swapped = Value("w", (1, 3, 3, OUT), wrong.input(1).dtype, quantized(0.01), None)
    computed = Node(wrong.op, (wrong.input(0), swapped), wrong.outputs, wrong.attrs)
    assert dense_depthwise(graph := graph_of(computed)) is graph


def test_weights_of_two_layers_are_kept_once():
    first, second = layer(), layer()
    shared = Node(second.op, (second.inputs[0], *first.inputs[1:]), second.outputs, second.attrs)
    assert dense_depthwise(graph := graph_of(first, shared)) is graph
