# SPDX-License-Identifier: Apache-2.0
"""int32 biases of int16 layers whose kernel reads int64 are widened, and mean the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.splits import compared, needs_tflm
from tests.support import constant, node, tensor
from tflsplit.errors import ModelError
from tflsplit.ir import Activation, DType, Graph, Padding, Quantization, Value
from tflsplit.ops.declared import check_declared
from tflsplit.passes.settle import settle
from tflsplit.plan.wishes import Wishes
from tflsplit.rewriting.rewrite import split_model


def sixteen_bits(name: str, shape: tuple[int, ...], scale: float) -> Value:
    return Value(name, shape, DType.INT16, Quantization((scale,), (0,)))


def layer(op: str) -> Graph:
    """One layer of 4 channels, int16, whose bias is as large as its sums."""
    x, y = sixteen_bits("x", (1, 4, 4, 4), 1 / 4096), sixteen_bits("y", (1, 4, 4, 4), 1 / 512)
    numbers = np.arange(-18, 18, dtype=np.int8).reshape(1, 3, 3, 4)
    data = np.array([9_000_000, -7_000_000, 5, -1], np.int32)
    bias = Value("bias", (4,), DType.INT32, Quantization((0.02 / 4096,), (0,)), data)
    options = {"padding": Padding.SAME, "stride_w": 1, "stride_h": 1}
    plain = {"fused_activation_function": Activation.NONE}
    if op == "DEPTHWISE_CONV_2D":
        weights = constant("weights", numbers, 0.02)
        options |= {"depth_multiplier": 1, "dilation_w_factor": 1, "dilation_h_factor": 1}
        return Graph("g", (x,), (y,), [node(op, [x, weights, bias], y, **options, **plain)])
    weights = constant("weights", np.tile(numbers.reshape(1, 3, 3, 4), (4, 1, 1, 1)), 0.02)
    shape = Value("shape", (4,), DType.INT32, data=np.array(y.shape, np.int32))
    return Graph("g", (x,), (y,), [node(op, [shape, weights, x, bias], y, **options, **plain)])


@needs_tflm
@pytest.mark.parametrize("op", ["DEPTHWISE_CONV_2D", "TRANSPOSE_CONV"])
def test_a_bias_of_32_bits_is_the_same_number_in_64(op: str):
    graph = layer(op)
    with pytest.raises(ModelError, match=r"'bias' int32.* must be int64"):
        check_declared(graph)
    settled = settle(graph)
    wide = settled.nodes[0].inputs[-1]
    assert wide is not None
    assert wide.dtype is DType.INT64
    assert wide.data is not None
    assert wide.data.tolist() == [9_000_000, -7_000_000, 5, -1]
    assert settle(settled) is settled
    assert compared(split_model(graph, Wishes(3))).passed


def test_other_biases_stay():
    graph = layer("DEPTHWISE_CONV_2D")
    _, weights, bias = graph.nodes[0].inputs
    small = replace(graph.nodes[0], inputs=(tensor("x", (1, 4, 4, 4)), weights, bias))
    graph = replace(graph, nodes=[small])
    assert settle(graph) is graph
