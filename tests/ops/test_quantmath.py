# SPDX-License-Identifier: Apache-2.0
"""TFLM's quantization arithmetic: known cases, and properties of the rounding."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import quantized
from tflsplit.errors import ModelError
from tflsplit.ir import Activation, DType
from tflsplit.ops.quantmath import (
    activation_range,
    convolution_multipliers,
    fully_connected_multipliers,
    multiply_by_quantized_multiplier,
    quantize_multiplier,
)


@pytest.mark.parametrize(
    ("real", "expected"),
    [
        (0.0, (0, 0)),
        (1.0, (1 << 30, 1)),
        (0.5, (1 << 30, 0)),
        (0.25, (1 << 30, -1)),
        (0.75, (3 << 29, 0)),
        (1 - 2**-40, (1 << 30, 1)),  # rounds up to 2**31, which does not fit
        (2**-31, (1 << 30, -30)),
        (2**-33, (0, 0)),  # a shift below -31 flushes to 0
        (3.0, (3 << 29, 2)),
    ],
)
def test_known_multipliers(real: float, expected: tuple[int, int]):
    assert quantize_multiplier(real) == expected


@given(st.floats(1e-8, 1e3))
def test_a_multiplier_is_right_to_31_bits(real: float):
    multiplier, shift = quantize_multiplier(real)
    assert 1 << 30 <= multiplier < 1 << 31
    stored = Fraction(multiplier) * Fraction(2) ** (shift - 31)
    assert abs(stored - Fraction(real)) <= Fraction(2) ** (shift - 32)


def test_known_products():
    # The first rounding takes halves up (-1.5 -> -1), the second away from zero (-1.5 -> -2).
    half = quantize_multiplier(0.5)
    found = multiply_by_quantized_multiplier(np.array([3, -3, 1, -1, 0, 5]), *half)
    assert found.tolist() == [2, -1, 1, 0, 0, 3]
    quarter = quantize_multiplier(0.25)
    assert multiply_by_quantized_multiplier(np.array([6, -6]), *quarter).tolist() == [2, -2]


@given(st.integers(-(2**30), 2**30), st.floats(1e-7, 0.999))
def test_a_product_is_within_one_of_the_exact_one(value: int, real: float):
    multiplier, shift = quantize_multiplier(real)
    exact = Fraction(value * multiplier) * Fraction(2) ** (shift - 31)
    found = int(multiply_by_quantized_multiplier(np.array(value), multiplier, shift))
    assert abs(found - exact) <= 1


@given(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=5), st.integers(0, 2**31))
def test_products_are_elementwise(values: list[int], seed: int):
    rng = np.random.default_rng(seed)
    pairs = [quantize_multiplier(real) for real in rng.uniform(1e-4, 0.9, len(values))]
    multipliers, shifts = (np.array(column) for column in zip(*pairs, strict=True))
    together = multiply_by_quantized_multiplier(np.array(values), multipliers, shifts)
    alone = [
        int(multiply_by_quantized_multiplier(np.array(value), *pair))
        for value, pair in zip(values, pairs, strict=True)
    ]
    assert together.tolist() == alone


def test_one_scale_serves_all_channels_and_several_their_own():
    one, _ = convolution_multipliers(0.5, (0.25,), 1.0, 3)
    assert one.tolist() == [quantize_multiplier(0.125)[0]] * 3
    many, shifts = convolution_multipliers(0.5, (0.25, 0.75), 1.0, 2)
    assert list(zip(many, shifts, strict=True)) == [
        quantize_multiplier(0.125),
        quantize_multiplier(0.375),
    ]


def test_fully_connected_multiplies_a_single_scale_in_float32():
    x, w = float(np.float32(0.1)), float(np.float32(0.3))
    (single,), _ = fully_connected_multipliers(x, (w,), 1.0, 1)
    double = quantize_multiplier(x * w)[0]
    assert single == quantize_multiplier(float(np.float32(x) * np.float32(w)))[0] != double
    (first, _), _ = fully_connected_multipliers(x, (w, w), 1.0, 2)
    assert first == double


@pytest.mark.parametrize(
    ("activation", "expected"),
    [
        (Activation.NONE, (-128, 127)),
        (Activation.RELU, (-100, 127)),
        (Activation.RELU6, (-100, 20)),
        (Activation.RELU_N1_TO_1, (-120, -80)),
        (Activation.TANH, (-128, 127)),
    ],
)
def test_activation_ranges(activation: int, expected: tuple[int, int]):
    assert activation_range(activation, quantized(0.05, -100), DType.INT8) == expected


def test_activation_ranges_stay_inside_the_type():
    assert activation_range(Activation.RELU6, quantized(0.01, 0), DType.INT8) == (0, 127)
    assert activation_range(Activation.RELU6, quantized(0.01, 0), DType.INT16) == (0, 600)
    assert activation_range(Activation.NONE, None, DType.INT8) == (-128, 127)


def test_activation_ranges_need_a_quantized_type():
    with pytest.raises(ModelError, match="FLOAT32"):
        activation_range(Activation.RELU, quantized(0.1), DType.FLOAT32)
    with pytest.raises(ModelError, match="scale"):
        activation_range(Activation.RELU, None, DType.INT8)
