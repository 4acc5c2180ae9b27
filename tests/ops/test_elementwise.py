# SPDX-License-Identifier: Apache-2.0
"""Elementwise operators: shards assembled are the whole, bit for bit, on TFLM."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import all_dims, check_drawn, constant, node, random_array, tensor
from tflsplit.ir import Activation, DType, Node, Quantization, Value
from tflsplit.ops import rule_of

SHAPES = st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple)


@st.composite
def broadcast_pairs(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Two shapes of at most 4 dimensions that broadcast."""
    whole = draw(SHAPES)

    def narrowed(rank: int) -> tuple[int, ...]:
        kept = whole[len(whole) - rank :]
        return tuple(1 if draw(st.booleans()) else extent for extent in kept)

    other = narrowed(draw(st.integers(0, len(whole))))
    pair = (whole, other) if draw(st.booleans()) else (other, whole)
    return pair if draw(st.booleans()) else (whole, narrowed(len(whole)))


@st.composite
def operand(draw: st.DrawFn, name: str, shape: tuple[int, ...], dtype: DType) -> Value:
    """Computed or constant."""
    value = tensor(name, shape, dtype, draw(st.sampled_from([0.05, 0.021])), 0)
    if not draw(st.booleans()):
        return value
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return constant(name, random_array(rng, shape, dtype), 0.033)


@st.composite
def binary(draw: st.DrawFn, op: str, dtype: DType = DType.INT8) -> Node:
    pair = draw(broadcast_pairs())
    first = tensor("a", pair[0], dtype, 0.05, 0 if dtype is DType.INT16 else 7)
    second = draw(operand("b", pair[1], dtype))
    shape = np.broadcast_shapes(*pair)
    attrs: dict[str, Any] = {}
    if op in ("ADD", "SUB", "MUL"):
        attrs["fused_activation_function"] = draw(st.sampled_from([0, Activation.RELU]))
    return node(op, [first, second], tensor("y", shape, dtype, 0.09, 0), **attrs)


@settings(max_examples=60)
@given(st.sampled_from(["ADD", "SUB", "MUL", "SQUARED_DIFFERENCE"]).flatmap(binary), st.data())
def test_arithmetic_that_broadcasts(op: Node, data: st.DataObject):
    check_drawn(data, op, all_dims(op))


@settings(max_examples=20)
@given(st.sampled_from(["ADD", "MUL"]).flatmap(lambda op: binary(op, DType.INT16)), st.data())
def test_int16(op: Node, data: st.DataObject):
    check_drawn(data, op, all_dims(op))


@settings(max_examples=30)
@given(st.sampled_from(["MAXIMUM", "MINIMUM"]), broadcast_pairs(), st.data())
def test_maximum_and_minimum(op: str, pair: tuple[tuple[int, ...], ...], data: st.DataObject):
    values = [tensor(name, shape) for name, shape in zip("ab", pair, strict=True)]
    split = node(op, values, tensor("y", np.broadcast_shapes(*pair)))
    check_drawn(data, split, all_dims(split))


@settings(max_examples=20)
@given(st.sampled_from(["LESS", "EQUAL", "GREATER_EQUAL"]), broadcast_pairs(), st.data())
def test_comparisons(op: str, pair: tuple[tuple[int, ...], ...], data: st.DataObject):
    values = [tensor(name, shape) for name, shape in zip("ab", pair, strict=True)]
    split = node(op, values, tensor("y", np.broadcast_shapes(*pair), DType.BOOL, None))
    check_drawn(data, split, all_dims(split))


@settings(max_examples=20)
@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 5), st.booleans(), st.data())
def test_prelu(rows: int, columns: int, channels: int, whole: bool, data: st.DataObject):
    shape = (rows, columns, channels) if whole else (1, 1, channels)
    alpha = np.random.default_rng(rows).integers(-128, 128, shape).astype(np.int8)
    x, y = tensor("x", (2, rows, columns, channels)), tensor("y", (2, rows, columns, channels))
    op = node("PRELU", [x, constant("alpha", alpha, 0.01, 4)], y)
    check_drawn(data, op, all_dims(op))


FLOATS = ("DIV", "FLOOR_DIV", "FLOOR_MOD", "ADD", "ADD_N")


@pytest.mark.parametrize("op", [*FLOATS, "LOGICAL_AND", "LOGICAL_OR", "SELECT_V2"])
@settings(max_examples=6)
@given(st.data())
def test_other_types(op: str, data: st.DataObject):
    dtype = DType.BOOL if op.startswith("LOGICAL") else DType.FLOAT32
    pair = data.draw(broadcast_pairs())
    if op in ("ADD_N", "LOGICAL_AND", "LOGICAL_OR"):
        pair = pair[0], pair[0]
    values = [tensor(name, shape, dtype, None) for name, shape in zip("ab", pair, strict=True)]
    if op == "SELECT_V2":
        values.insert(0, tensor("c", pair[0], DType.BOOL, None))
    split = node(op, values, tensor("y", np.broadcast_shapes(*pair), dtype, None))
    check_drawn(data, split, all_dims(split))


UNARY = {
    "LOGISTIC": (1 / 256, -128, {}),
    "TANH": (1 / 128, 0, {}),
    "HARD_SWISH": (0.04, -3, {}),
    "RELU": (0.05, 3, {}),
    "RELU6": (0.05, 3, {}),
    "LEAKY_RELU": (0.04, 3, {"alpha": 0.2}),
    "ELU": (0.05, 3, {}),
    "ABS": (0.05, 3, {}),
    "NEG": (0.05, 3, {}),
    "QUANTIZE": (0.02, -9, {}),
    "DEQUANTIZE": (None, 0, {}),
    "CAST": (None, 0, {}),
}


@pytest.mark.parametrize("op", UNARY)
@settings(max_examples=8)
@given(SHAPES, st.data())
def test_unary(op: str, shape: tuple[int, ...], data: st.DataObject):
    scale, zero_point, attrs = UNARY[op]
    floats = op in ("DEQUANTIZE", "CAST", "NEG")
    x = tensor("x", shape, DType.FLOAT32, None) if op == "NEG" else tensor("x", shape)
    dtype = DType.FLOAT32 if floats else DType.INT8
    y = tensor("y", shape, dtype, None if floats else scale, zero_point)
    split = node(op, [x], y, **attrs)
    check_drawn(data, split, all_dims(split))


def test_names_of_dimensions():
    def names(*shape: int) -> list[str]:
        relu = node("RELU", [tensor("x", shape)], tensor("y", shape))
        return [factor.name for factor in rule_of(relu).factors(relu)]

    assert names(1, 4, 5, 6) == ["batch", "rows", "columns", "channels"]
    assert names(1, 4, 6) == ["batch", "rows", "channels"]
    assert names(4, 6) == ["batch", "channels"]
    assert names(1, 2, 3, 4, 5) == [f"dim{dim}" for dim in range(5)]


def test_a_broadcast_operand_is_read_whole():
    a, b = tensor("a", (1, 4, 4, 6)), tensor("b", (1, 1, 1, 6))
    add = node("ADD", [a, b], tensor("y", (1, 4, 4, 6)))
    _, box = rule_of(add).piece(add, {"rows": (1, 3)}).operands
    assert box is not None
    assert box.shape == (1, 1, 1, 6)
    _, box = rule_of(add).piece(add, {"channels": (1, 3)}).operands
    assert box is not None
    assert box.intervals[3] == (1, 3)


def test_per_channel_scales_that_the_kernel_does_not_read_stay_whole():
    """TFLM's DEQUANTIZE takes the first scale for all of the tensor; a cut would change it."""
    x = constant("x", np.ones((3, 4), np.int8))
    x.quantization = Quantization((0.1, 0.2, 0.3), (0, 0, 0), 0)
    dequantize = node("DEQUANTIZE", [x], tensor("y", (3, 4), DType.FLOAT32, None))
    assert rule_of(dequantize).factors(dequantize) == ()
