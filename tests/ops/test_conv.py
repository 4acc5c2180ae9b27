# SPDX-License-Identifier: Apache-2.0
"""CONV_2D: shards assembled are the whole, bit for bit, on TFLM."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.support import (
    check_drawn,
    check_rule,
    constant,
    contents_of,
    local_inputs,
    node,
    pieces_of,
    quantized,
    requantize_pieces,
    run_partial_sums,
    run_shards,
    run_whole,
    tensor,
)
from tflsplit.ir import Activation, DType, Node, Padding, Quantization, Value
from tflsplit.ops import Box, Piece, local_value, rule_of
from tflsplit.ops.window import WindowAxis

ACTIVATIONS = st.sampled_from([Activation.NONE, Activation.RELU, Activation.RELU6])
PADDINGS = st.sampled_from([Padding.SAME, Padding.VALID])


def weights_and_bias(
    rng: np.random.Generator,
    shape: tuple[int, ...],
    channel_dim: int,
    x: Value,
    per_channel: bool,
    bias: bool,
) -> tuple[Value, Value | None, float]:
    """Random weights, a bias, and a scale for the result that leaves most of it unclamped."""
    channels = shape[channel_dim]
    scales = rng.uniform(0.001, 0.02, channels if per_channel else 1).astype(np.float32)
    taps = math.prod(shape) // channels
    data = rng.integers(-127, 128, shape).astype(np.int8)
    weights = constant("weights", data, 1.0)
    weights = replace(weights, quantization=quantized(scales, axis=channel_dim))
    assert x.quantization is not None
    spread = {DType.INT8: 74, DType.INT16: 19000}[x.dtype] * 73 * math.sqrt(taps)
    result_range = {DType.INT8: 60, DType.INT16: 15000}[x.dtype]
    out_scale = float(np.float32(x.quantization.scale * scales.mean() * spread / result_range))
    if not bias:
        return weights, None, out_scale
    sums = rng.integers(-int(spread), int(spread) + 1, channels)
    stored = sums.astype(np.int32 if x.dtype is DType.INT8 else np.int64)
    product = np.float32(x.quantization.scale) * scales
    return weights, constant("bias", stored, product), out_scale


@st.composite
def convolutions(draw: st.DrawFn, dtype: DType = DType.INT8, groups: int = 1) -> Node:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kernel = draw(st.tuples(st.integers(1, 4), st.integers(1, 3)))
    stride = draw(st.tuples(st.integers(1, 3), st.integers(1, 2)))
    dilation = draw(st.tuples(st.integers(1, 3), st.integers(1, 2)))
    extent = draw(st.tuples(st.integers(1, 11), st.integers(1, 6)))
    padding = draw(PADDINGS)
    axes = [WindowAxis(*axis) for axis in zip(kernel, stride, dilation, strict=True)]
    out = [axis.out_extent(padding, n) for axis, n in zip(axes, extent, strict=True)]
    assume(min(out) > 0)
    channels = draw(st.integers(1, 5)) * groups, draw(st.integers(1, 6)) * groups
    zero_point = 0 if dtype is DType.INT16 else draw(st.integers(-128, 127))
    x = tensor("x", (draw(st.integers(1, 2)), *extent, channels[0]), dtype, 0.05, zero_point)
    shape = (channels[1], *kernel, channels[0] // groups)
    weights, bias, scale = weights_and_bias(
        rng, shape, 0, x, draw(st.booleans()), draw(st.booleans())
    )
    y = tensor("y", (x.shape[0], *out, channels[1]), dtype, scale, 0 if zero_point == 0 else -5)
    return node(
        "CONV_2D",
        [x, weights, bias][: 3 if bias else draw(st.integers(2, 3))],
        y,
        padding=padding,
        stride_h=stride[0],
        stride_w=stride[1],
        dilation_h_factor=dilation[0],
        dilation_w_factor=dilation[1],
        fused_activation_function=draw(ACTIVATIONS),
    )


@settings(max_examples=60)
@given(convolutions(), st.data())
def test_every_factor_of_int8(conv: Node, data: st.DataObject):
    check_drawn(data, conv, {"batch", "rows", "columns", "out_channels", "in_channels"})


@settings(max_examples=25)
@given(st.integers(2, 4).flatmap(lambda groups: convolutions(groups=groups)), st.data())
def test_every_factor_of_grouped(conv: Node, data: st.DataObject):
    check_drawn(data, conv, {"rows", "columns", "groups"})


@settings(max_examples=25)
@given(convolutions(dtype=DType.INT16), st.data())
def test_every_factor_of_int16(conv: Node, data: st.DataObject):
    check_drawn(data, conv, {"rows", "columns", "out_channels"})


def plain_convolution(padding: int = Padding.SAME) -> Node:
    """3x3 over 8x6, stride 1, 4 -> 6 channels, per-channel scales."""
    x = tensor("x", (1, 8, 6, 4), zero_point=7)
    rng = np.random.default_rng(1)
    weights, bias, scale = weights_and_bias(rng, (6, 3, 3, 4), 0, x, True, True)
    shape = (1, 8, 6, 6) if padding == Padding.SAME else (1, 6, 4, 6)
    y = tensor("y", shape, scale=scale, zero_point=-5)
    attrs = {"padding": padding, "stride_h": 1, "stride_w": 1}
    return node("CONV_2D", [x, weights, bias], y, **attrs)


def local_ops(conv: Node, factor_name: str, bounds: Sequence[int]) -> list[list[str]]:
    rule = rule_of(conv)
    factor = next(f for f in rule.factors(conv) if f.name == factor_name)
    found = []
    for piece in pieces_of(rule, conv, factor, bounds):
        inputs, _ = local_inputs(conv, piece, contents_of(conv, 0))
        outputs = [local_value(conv.output, piece.results[0])]
        found.append([local.op for local in rule.localize(conv, piece, inputs, outputs)])
    return found


def test_channels_and_valid_rows_need_no_custom_operator():
    assert local_ops(plain_convolution(), "out_channels", (0, 2, 6)) == [["CONV_2D"]] * 2
    valid = plain_convolution(Padding.VALID)
    assert local_ops(valid, "rows", (0, 2, 6)) == [["CONV_2D"]] * 2


def test_padded_rows_need_one():
    assert local_ops(plain_convolution(), "rows", (0, 2, 8)) == [["TFLSPLIT_CONV_2D"]] * 2
    assert local_ops(plain_convolution(), "rows", (0, 8)) == [["CONV_2D"]]


def test_a_piece_of_rows_reads_its_halo_and_knows_its_pads():
    conv = plain_convolution()
    first, middle, last = (
        rule_of(conv).piece(conv, {"rows": rows}) for rows in ((0, 3), (3, 6), (6, 8))
    )
    boxes = [piece.operands[0] for piece in (first, middle, last)]
    assert [box.intervals[1] for box in boxes if box] == [(0, 4), (2, 7), (5, 8)]
    assert [piece.pads[0][1] for piece in (first, middle, last)] == [(1, 0), (0, 0), (0, 1)]
    assert first.macs == 3 * 6 * 6 * 9 * 4


def without_factors(change: str) -> Node:
    """A convolution that must stay whole."""
    conv = plain_convolution()
    x, weights, bias = (conv.input(index) for index in range(3))
    if change == "float":
        x = replace(x, dtype=DType.FLOAT32)
    elif change == "asymmetric weights":
        weights = replace(weights, quantization=Quantization((0.1,), (3,)))
    elif change == "another axis":
        assert weights.quantization is not None
        weights = replace(weights, quantization=replace(weights.quantization, axis=3))
    elif change == "no scales":
        x = replace(x, quantization=None)
    elif change == "int4":
        weights = replace(weights, dtype=DType.INT4)
    elif change == "other extent":
        return replace(conv, outputs=(replace(conv.output, shape=(1, 7, 6, 6)),))
    return replace(conv, inputs=(x, weights, bias))


@pytest.mark.parametrize(
    "change", ["float", "asymmetric weights", "another axis", "no scales", "int4", "other extent"]
)
def test_stays_whole(change: str):
    conv = without_factors(change)
    assert rule_of(conv).factors(conv) == ()
    local = rule_of(conv).localize(conv, rule_of(conv).piece(conv, {}), conv.inputs, conv.outputs)
    assert [part.op for part in local] == ["CONV_2D"]


def shifted_halo(piece: Piece) -> Piece:
    box = piece.operands[0]
    assert box is not None
    start, stop = box.intervals[1]
    moved = box.with_dim(1, (start - 1, stop - 1) if start else (start + 1, stop + 1))
    return replace(piece, operands=(moved, *piece.operands[1:]))


def swapped_pads(piece: Piece) -> Piece:
    batch, (before, after), *others = piece.pads[0]
    return replace(piece, pads=((batch, (after, before), *others), *piece.pads[1:]))


@pytest.mark.parametrize("sabotage", [shifted_halo, swapped_pads])
def test_the_comparison_sees_a_wrong_halo_and_wrong_pads(sabotage: Callable[[Piece], Piece]):
    conv = plain_convolution()
    known, rule = contents_of(conv, 5), rule_of(conv)
    rows = next(factor for factor in rule.factors(conv) if factor.name == "rows")
    pieces = pieces_of(rule, conv, rows, (0, 3, 6, 8))
    whole = run_whole(conv, known)[0]
    np.testing.assert_array_equal(run_shards(conv, pieces, known)[0], whole)
    wrong = [sabotage(pieces[0]), *pieces[1:]]
    assert (run_shards(conv, wrong, known)[0] != whole).any()


def test_the_comparison_sees_scales_that_were_not_cut(monkeypatch: pytest.MonkeyPatch):
    conv = plain_convolution()
    known = contents_of(conv, 5)
    whole = {factor.name: (0, factor.size) for factor in rule_of(conv).factors(conv)}
    bounds = {**whole, "out_channels": (0, 3, 6)}
    check_rule(conv, known, bounds)

    def first_scales(value: Value, box: Box) -> Quantization | None:
        q = value.quantization
        return None if q is None else replace(q, scales=q.scales[: box.shape[0]])

    monkeypatch.setattr("tflsplit.ops.rule.cut_quantization", first_scales)
    with pytest.raises(AssertionError, match="split by out_channels"):
        check_rule(conv, known, bounds)


def test_partial_sums_need_every_slice():
    conv = plain_convolution()
    known, rule = contents_of(conv, 5), rule_of(conv)
    factor = next(factor for factor in rule.factors(conv) if factor.name == "in_channels")
    pieces = pieces_of(rule, conv, factor, (0, 1, 4))
    whole = run_whole(conv, known)[0]
    everything, some = (run_partial_sums(conv, part, known) for part in (pieces, pieces[1:]))
    scattered = [rule.piece(conv, {})]
    np.testing.assert_array_equal(requantize_pieces(conv, everything, scattered), whole)
    assert (requantize_pieces(conv, some, scattered) != whole).any()


def test_a_stride_that_leaves_rows_out_costs_no_copy():
    x = tensor("x", (1, 8, 8, 4))
    weights, _, scale = weights_and_bias(np.random.default_rng(0), (6, 1, 1, 4), 0, x, True, False)
    attrs = {"padding": Padding.VALID, "stride_h": 2, "stride_w": 2}
    conv = node("CONV_2D", [x, weights], tensor("y", (1, 4, 4, 6), scale=scale), **attrs)
    rule = rule_of(conv)
    assert rule.piece(conv, {"out_channels": (0, 2)}).operands[0] == Box.whole(x.shape)
    strip = rule.piece(conv, {"rows": (2, 4)}).operands[0]
    assert strip is not None
    assert strip.intervals == ((0, 1), (4, 8), (0, 8), (0, 4))
