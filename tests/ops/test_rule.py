# SPDX-License-Identifier: Apache-2.0
"""What all rules share: cutting tensors, and operators that nothing is known of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.support import constant, node, quantized, tensor
from tflsplit.errors import UnsupportedOpError
from tflsplit.ir import DType, Graph, Quantization
from tflsplit.ops import Box, cut_constant, graph_macs, known_ops, local_value, rule_of

OHWI = constant("w", np.arange(24, dtype=np.int8).reshape(4, 1, 2, 3), (0.1, 0.2, 0.3, 0.4))


def scales(quantization: Quantization | None) -> tuple[float, ...]:
    assert quantization is not None
    return tuple(round(scale, 3) for scale in quantization.scales)


def test_a_cut_takes_its_scales_along():
    part = cut_constant(OHWI, Box(((1, 3), (0, 1), (0, 2), (0, 2))))
    assert OHWI.data is not None
    assert part.data is not None
    np.testing.assert_array_equal(part.data, OHWI.data[1:3, :, :, :2])
    assert scales(part.quantization) == (0.2, 0.3)
    assert part.quantization is not None
    assert part.quantization.zero_points == (0, 0)


def test_a_cut_along_another_dimension_keeps_all_scales():
    part = cut_constant(OHWI, Box(((0, 4), (0, 1), (1, 2), (0, 3))))
    assert scales(part.quantization) == (0.1, 0.2, 0.3, 0.4)


def test_a_whole_constant_is_itself():
    assert cut_constant(OHWI, Box.whole(OHWI.shape)) is OHWI


def test_a_bias_that_names_the_axis_of_its_weights():
    """TFLM runs a model whose one-dimensional biases have quantized_dimension 3."""
    bias = constant("b", np.arange(4, dtype=np.int32))
    bias.quantization = quantized((0.1, 0.2, 0.3, 0.4), axis=3)
    assert scales(cut_constant(bias, Box(((2, 4),))).quantization) == (0.3, 0.4)


def test_computed_values_are_cut_alike():
    computed = replace(OHWI, data=None)
    part = local_value(computed, Box(((0, 1), (0, 1), (0, 2), (0, 3))), "part")
    assert part.name == "part"
    assert part.shape == (1, 1, 2, 3)
    assert scales(part.quantization) == (0.1,)


@pytest.mark.parametrize("reason", ["unknown operator", "int4", "state", "per-channel"])
def test_what_cannot_be_cut_runs_whole(reason: str):
    x, y = tensor("x", (2, 3)), tensor("y", (2, 3))
    relu = node("RELU", [x], y)
    assert rule_of(relu).factors(relu)
    if reason == "unknown operator":
        relu = replace(relu, op="CUMSUM")
    elif reason == "int4":
        relu = replace(relu, inputs=(replace(x, dtype=DType.INT4),))
    elif reason == "state":
        relu = replace(relu, inputs=(replace(x, is_variable=True),))
    else:
        relu = replace(relu, inputs=(replace(x, quantization=quantized((0.1, 0.2))),))
    rule = rule_of(relu)
    assert rule.factors(relu) == ()
    piece = rule.piece(relu, {})
    assert piece.results == (Box.whole((2, 3)),)
    (local,) = rule.localize(relu, piece, relu.inputs, relu.outputs)
    assert (local.op, local.inputs, local.outputs) == (relu.op, relu.inputs, relu.outputs)


def test_operators_without_a_reduction_say_so():
    x, y = tensor("x", (2, 3)), tensor("y", (2, 3))
    relu = node("RELU", [x], y)
    with pytest.raises(UnsupportedOpError, match="RELU 'y' has no reduction"):
        rule_of(relu).partial(relu, rule_of(relu).piece(relu, {}), [x], y)
    with pytest.raises(UnsupportedOpError, match="RELU 'y' has no reduction"):
        rule_of(relu).requantize(relu, rule_of(relu).piece(relu, {}), x, y)


def test_macs_of_a_graph():
    x, y, z = tensor("x", (1, 4)), tensor("y", (1, 5)), tensor("z", (1, 5))
    weights = constant("w", np.ones((5, 4), np.int8), 0.1)
    nodes = [node("FULLY_CONNECTED", [x, weights], y), node("RELU", [y], z)]
    assert graph_macs(Graph("g", (x,), (z,), nodes)) == 20


WANTED = """
CONV_2D DEPTHWISE_CONV_2D FULLY_CONNECTED TRANSPOSE_CONV AVERAGE_POOL_2D MAX_POOL_2D MEAN ADD SUB
MUL CONCATENATION RESHAPE PAD MIRROR_PAD SOFTMAX LOGISTIC TANH HARD_SWISH RELU PRELU QUANTIZE
DEQUANTIZE RESIZE_NEAREST_NEIGHBOR RESIZE_BILINEAR SPLIT SLICE STRIDED_SLICE TRANSPOSE GATHER PACK
UNPACK
"""


def test_the_ordinary_operators_have_rules():
    assert set(WANTED.split()) <= set(known_ops())
