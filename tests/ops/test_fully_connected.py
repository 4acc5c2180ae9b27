# SPDX-License-Identifier: Apache-2.0
"""FULLY_CONNECTED: shards assembled are the whole, bit for bit, on TFLM."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ops.test_conv import ACTIVATIONS, weights_and_bias
from tests.support import (
    Array,
    check_drawn,
    check_rule,
    constant,
    contents_of,
    node,
    pieces_of,
    run_shards,
    run_whole,
    tensor,
)
from tflsplit.ir import DType, Node
from tflsplit.ops import OpRule, Piece, rule_of
from tflsplit.ops.quantmath import fully_connected_multipliers, multiply_by_quantized_multiplier
from tflsplit.ops.rule import clone
from tflsplit.ops.stock.fully_connected import FullyConnectedRule


@st.composite
def dense(draw: st.DrawFn, dtype: DType = DType.INT8) -> Node:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    batch = draw(st.lists(st.integers(1, 4), min_size=1, max_size=2))
    inner = draw(st.lists(st.integers(1, 6), min_size=1, max_size=3))
    keep = len(inner) == 1 and draw(st.booleans())
    zero_point = 0 if dtype is DType.INT16 else draw(st.integers(-128, 127))
    scale = draw(st.sampled_from([0.05, 0.0123, 0.99]))
    x = tensor("x", (*batch, *inner), dtype, scale, zero_point)
    channels = draw(st.integers(1, 7))
    shape = (channels, math.prod(inner))
    weights, bias, out_scale = weights_and_bias(
        rng, shape, 0, x, draw(st.booleans()), draw(st.booleans())
    )
    rows = tuple(batch) if keep else (math.prod(batch),)
    y = tensor("y", (*rows, channels), dtype, out_scale, 0 if zero_point == 0 else 4)
    return node(
        "FULLY_CONNECTED",
        [x, weights, bias],
        y,
        fused_activation_function=draw(ACTIVATIONS),
        weights_format=0,
        keep_num_dims=keep,
    )


@settings(max_examples=60)
@given(dense(), st.data())
def test_every_factor_of_int8(fc: Node, data: st.DataObject):
    check_drawn(data, fc, {"out_channels", "in_channels"})


@settings(max_examples=25)
@given(dense(dtype=DType.INT16), st.data())
def test_every_factor_of_int16(fc: Node, data: st.DataObject):
    check_drawn(data, fc, {"out_channels"})


def flattening(x_shape: tuple[int, ...], y_shape: tuple[int, ...]) -> Node:
    x = tensor("x", x_shape, zero_point=-9)
    channels = y_shape[-1]
    inner = math.prod(x_shape) // math.prod(y_shape[:-1])
    rng = np.random.default_rng(2)
    weights, bias, scale = weights_and_bias(rng, (channels, inner), 0, x, True, True)
    return node("FULLY_CONNECTED", [x, weights, bias], tensor("y", y_shape, scale=scale))


@pytest.mark.parametrize(
    ("x_shape", "y_shape", "factors"),
    [
        ((2, 6), (2, 5), {"batch": 2, "out_channels": 5, "in_channels": 6}),
        ((1, 3, 2, 4), (1, 5), {"out_channels": 5, "in_channels": 3}),
        ((2, 3, 4), (2, 3, 5), {"batch": 2, "rows": 3, "out_channels": 5, "in_channels": 4}),
        ((2, 3, 4), (6, 5), {"batch": 2, "out_channels": 5, "in_channels": 4}),
        ((1, 3, 4), (3, 5), {"batch": 3, "out_channels": 5, "in_channels": 4}),
        ((1, 2, 3, 4), (1, 6, 5), {"rows": 2, "out_channels": 5, "in_channels": 4}),
        ((3, 4), (6, 5), {}),
    ],
)
def test_factors(x_shape: tuple[int, ...], y_shape: tuple[int, ...], factors: dict[str, int]):
    fc = flattening(x_shape, y_shape)
    assert {factor.name: factor.size for factor in rule_of(fc).factors(fc)} == factors


def test_a_step_of_a_flattened_input_is_a_run_of_weights():
    fc = flattening((1, 3, 2, 4), (1, 5))
    x, weights, bias = rule_of(fc).piece(fc, {"in_channels": (1, 3)}).operands
    assert x is not None
    assert weights is not None
    assert bias is not None
    assert x.intervals == ((0, 1), (1, 3), (0, 2), (0, 4))
    assert weights.intervals == ((0, 5), (8, 24))
    assert bias.intervals == ((0, 5),)


def channel_on_a_knife_edge() -> Node:
    """Per-channel weights and a bias whose result TFLM's per-tensor path would round differently.

    The bias alone decides (x is at its zero point); it is found by trying all of them.
    """
    x, y = tensor("x", (1, 4), scale=0.0123, zero_point=0), tensor("y", (1, 2), scale=0.77)
    sums = np.arange(-1_000_000, 1_000_000)
    for seed in range(100):
        scales = np.random.default_rng(seed).uniform(0.005, 0.006, 2).astype(np.float32)
        per_channel, alone = (
            multiply_by_quantized_multiplier(
                sums, *(int(a[0]) for a in fully_connected_multipliers(S_X, part, S_Y, 1))
            )
            for part in (scales.tolist(), scales[:1].tolist())
        )
        edges = sums[(per_channel != alone) & (abs(per_channel) < 100)]
        if len(edges):
            data = np.ones((2, 4), np.int8)
            bias = constant("bias", np.array([edges[0], 0], np.int32), scales * np.float32(S_X))
            return node("FULLY_CONNECTED", [x, constant("weights", data, scales), bias], y)
    raise AssertionError("no such scales")


S_X, S_Y = (float(np.float32(scale)) for scale in (0.0123, 0.77))


def split_to_single_channels(fc: Node) -> tuple[Array, Array]:
    """(assembled, whole) with x at its zero point."""
    rule, known = rule_of(fc), {fc.input(0): np.zeros((1, 4), np.int8)}
    factor = next(f for f in rule.factors(fc) if f.name == "out_channels")
    pieces = pieces_of(rule, fc, factor, (0, 1, 2))
    return run_shards(fc, pieces, known)[0], run_whole(fc, known)[0]


def test_one_channel_of_several_scales_stays_on_the_per_channel_path():
    found, whole = split_to_single_channels(channel_on_a_knife_edge())
    np.testing.assert_array_equal(found, whole)


def test_the_comparison_sees_one_channel_on_the_per_tensor_path(monkeypatch: pytest.MonkeyPatch):
    def stock(_: OpRule, fc: Node, __: Piece, inputs: Any, outputs: Any) -> list[Node]:
        return [clone(fc, inputs, outputs)]

    monkeypatch.setattr(FullyConnectedRule, "localize", stock)
    found, whole = split_to_single_channels(channel_on_a_knife_edge())
    assert (found != whole).tolist() == [[True, False]]


def test_other_weight_formats_stay_whole():
    fc = flattening((2, 6), (2, 5))
    shuffled = replace(fc, attrs=fc.attrs.replace(weights_format=1))
    assert rule_of(shuffled).factors(shuffled) == ()


def test_the_bias_is_added_once():
    fc = flattening((2, 6), (2, 5))
    whole = {factor.name: (0, factor.size) for factor in rule_of(fc).factors(fc)}
    check_rule(fc, contents_of(fc, 3), {**whole, "in_channels": (0, 2, 2, 3, 6)})
