# SPDX-License-Identifier: Apache-2.0
"""Packed constants: there and back, laid out as docs/custom_ops.md says, every lie found."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ops.custom_cases import (
    Case,
    constant,
    conv_2d_cases,
    depthwise_cases,
    fused_block_cases,
    partial_conv_2d_cases,
    partial_fully_connected_cases,
    requantize_cases,
    run_case,
    window_cases,
)
from tflsplit.ir import DType, Graph, Node, Quantization, Value
from tflsplit.ops.own import custom
from tflsplit.ops.own.custom_check import problems
from tflsplit.ops.own.expansion import stock_expansion
from tflsplit.ops.own.packed import is_packable, packed, unpacked
from tflsplit.ops.own.packed_stage import weight_scales
from tflsplit.tflite import read_model, write_model
from tflsplit.wire import custom_ops as wire

ANY_CASE = st.one_of(
    conv_2d_cases(),
    depthwise_cases(),
    partial_conv_2d_cases(),
    partial_fully_connected_cases(),
    requantize_cases(max_channels=40),
    fused_block_cases(),
    window_cases(),
)


@settings(max_examples=300)
@given(case=ANY_CASE)
def test_packed_and_unpacked_it_means_the_same(case: Case) -> None:
    assert is_packable(case.node)
    node = packed(case.node)
    assert not is_packable(node)
    assert problems(node) == []
    again = unpacked(node)
    assert problems(again) == []
    assert [v is None for v in again.inputs if v][:2] == [False] * min(2, len(again.operands))
    np.testing.assert_array_equal(run_case(Case(again, case.arrays)), run_case(case))
    assert unpacked(again) is again


@settings(max_examples=100)
@given(case=ANY_CASE)
def test_drafts_have_the_right_sizes(case: Case) -> None:
    node, draft = packed(case.node), packed(case.node, sizes_only=True)
    assert draft.input(1).shape == node.input(1).shape
    shapes = [v.shape for v in unpacked(draft, sizes_only=True).operands]
    assert shapes[:2] == [v.shape for v in case.node.operands[:2]]


@settings(max_examples=100)
@given(case=st.one_of(conv_2d_cases(), depthwise_cases()))
def test_the_scales_of_weights_follow_from_the_multipliers(case: Case) -> None:
    """So stock kernels, which know scales only, compute the same (or the expansion refuses)."""
    stock_expansion(case.node)
    again = unpacked(packed(case.node))
    stock_expansion(again)
    stored, found = case.node.input(1).quantization, again.input(1).quantization
    assert stored is not None
    assert found is not None
    if len(stored.scales) > 1:
        same = np.array(stored.scales) == np.array(found.scales)
        assert (same | (again.input(3).data == 0)).all()


@settings(max_examples=60)
@given(case=ANY_CASE)
def test_packed_nodes_survive_a_file(case: Case) -> None:
    node = packed(case.node)
    computed = tuple(value for value in node.operands if not value.is_constant)
    model = write_model(Graph("packed", computed, (node.output,), [node]))
    (found,) = read_model(model).nodes
    assert problems(found) == []
    assert wire.decode(found) == wire.decode(node)


def layer(
    weights: np.ndarray, x_zero_point: int = 0, y_zero_point: int = -128, depthwise: bool = False
) -> Node:
    """One position, bias 100 + channel, multiplier 2**30, shift -8."""
    channels = weights.shape[3] if depthwise else weights.shape[0]
    depth = channels if depthwise else weights.shape[3]
    x = Value(
        "x", (1, *weights.shape[1:3], depth), DType.INT8, Quantization((0.5,), (x_zero_point,))
    )
    y = Value("y", (1, 1, 1, channels), DType.INT8, Quantization((0.5,), (y_zero_point,)))
    return (custom.depthwise_conv_2d if depthwise else custom.conv_2d)(
        x,
        constant("w", weights.astype(np.int8)),
        constant("b", np.arange(100, 100 + channels, dtype=np.int32)),
        constant("m", np.full(channels, 2**30, np.int32)),
        constant("s", np.full(channels, -8, np.int32)),
        y,
    )


def test_pairs_by_hand() -> None:
    """Three channels, five products: two pairs, two fours."""
    weights = np.arange(1, 16).reshape(3, 1, 1, 5)
    data = packed(layer(weights, x_zero_point=2)).input(1).data
    assert data is not None
    assert data.size == 2 * 32 + 2 * 16
    addend = 128 - 128 * 256
    assert data[:64].view("<i4").tolist() == [
        *(100 - 2 * 15, 101 - 2 * 40, 2**30, addend, 8, 2**30, addend, 8),
        *(102 - 2 * 65, 0, 2**30, addend, 8, 0, 0, 1),
    ]
    assert data[64:].tolist() == [
        *(1, 6, 3, 8, 2, 7, 4, 9), *(5, 10, 0, 0, 0, 0, 0, 0),
        *(11, 0, 13, 0, 12, 0, 14, 0), *(15, 0, 0, 0, 0, 0, 0, 0),
    ]  # fmt: skip


def test_taps_by_hand() -> None:
    weights = np.arange(1, 19).reshape(1, 3, 3, 2)
    data = packed(layer(weights, depthwise=True)).input(1).data
    assert data is not None
    assert data.size == 2 * (16 + 12)
    assert data[:16].view("<i4").tolist() == [100, 8, 2**30, 128 - 128 * 256]
    assert data[16:28].tolist() == [1, 3, 5, 0, 7, 9, 11, 0, 13, 15, 17, 0]


NODE = packed(layer(np.arange(1, 16).reshape(3, 1, 1, 5)))


def changed(byte: int) -> Node:
    """NODE with one byte of its constants flipped."""
    constants = NODE.input(1)
    assert constants.data is not None
    data = constants.data.copy()
    data[byte] ^= 1
    return replace(NODE, inputs=(NODE.input(0), replace(constants, data=data)))


@pytest.mark.parametrize("byte", [12, 16, 24, 36, 52, 64 + 12, 64 + 17])
def test_constants_that_contradict_each_other_are_found(byte: int) -> None:
    """An addend, a shift, padding of products and of channels."""
    assert problems(NODE) == []
    assert problems(changed(byte)) != []


def test_a_rounding_that_the_constants_do_not_allow_is_found() -> None:
    assert NODE.attrs["rounding"] == 2
    linear = packed(layer(np.arange(1, 16).reshape(3, 1, 1, 5), y_zero_point=5))
    assert linear.attrs["rounding"] == 1
    (problem,) = problems(replace(linear, attrs=linear.attrs.replace(rounding=2)))
    assert "has the rounding of other constants" in problem


def test_sums_that_are_too_large_for_a_short_rounding_are_found() -> None:
    """A bias of 2**30, written with the short rounding's constants."""
    constants = NODE.input(1)
    assert constants.data is not None
    data = constants.data.copy()
    data[:4].view("<i4")[0] = 2**30
    (problem,) = problems(replace(NODE, inputs=(NODE.input(0), replace(constants, data=data))))
    assert "has the rounding of other constants" in problem


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kernel": (1, 2)}, "bytes of constants"),
        ({"groups": 2}, "cannot be divided into 2 groups"),
        ({"rounding": 3}, "option 'rounding' is 3"),
        ({"v": 3}, "version 3, this program reads 1 and 2"),
    ],
)
def test_options_that_make_no_sense_are_named(change: dict[str, int], message: str) -> None:
    (problem,) = problems(replace(NODE, attrs=NODE.attrs.replace(**change)))
    assert message in problem


def test_a_damaged_shift_is_read_without_a_warning():
    """It is refused where it is checked; until then only scales follow from it."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        large = np.array([1 << 30, 0, 1], np.int32), np.array([5000, 5000, 900], np.int32)
        assert len(weight_scales(*large, 1.0, 1e-3)) == 3
