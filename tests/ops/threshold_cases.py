# SPDX-License-Identifier: Apache-2.0
"""Convolutions whose sums lie where a result changes, and where arithmetic may leave its range."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tests.ops.custom_cases import Case, constant
from tflsplit.ir import DType, Node, Quantization, Value
from tflsplit.ops.own import custom
from tflsplit.ops.own.semantics import Array

_MULTIPLIERS = (2**30, 2**30 + 1, 1_500_000_001, 2**31 - 1)
_STEPS = (*range(4), 100, 127, 128, *range(252, 260), 510, 511, 512)


def threshold_cases() -> Iterator[Case]:
    """Four positions of a RELU's convolution, sums being biases: the first and last of a result."""
    for shift in (1, 2, 7, 8, 9, 11, 12, 15):
        for multiplier in _MULTIPLIERS:
            sums = [_first_of(step, multiplier, shift) - i for step in _STEPS for i in (0, 1)]
            ends = (0, -1, -(2**29), 2**29, *(2 ** (9 + shift) + i for i in (-1, 0, 1)))
            yield _convolution([*sums, *ends], multiplier, shift)


def extreme_cases() -> Iterator[Case]:
    """The least and largest values by such weights: two products at both ends of int16."""
    low, high = np.full(16, -128), np.full(16, 127)
    mixed = np.where(np.arange(16) % 2, low, high)
    x = np.stack([low, high, mixed, mixed[::-1]]).astype(np.int8).reshape(1, 2, 2, 16)
    fours = [
        (-128, -128, -127, -127),
        (-127, -128, -128, 127),
        (127, 127, 127, 127),
        (-1, 0, 127, -128),
    ]
    weights = np.array([four * 4 for four in fours], np.int8).reshape(4, 1, 1, 16)
    for zero_point in (-128, 3):  # a RELU's, and not
        yield Case(_layer(weights, np.zeros(4, np.int32), 2**30, 11, zero_point), (x,))


def _first_of(step: int, multiplier: int, shift: int) -> int:
    """The least sum that makes so many steps more than 0 does."""
    halves = (2 * step - 1) << (shift + 30)
    return -((2**30 - halves) // multiplier)


def _convolution(sums: list[int], multiplier: int, shift: int) -> Case:
    weights = np.zeros((len(sums), 1, 1, 4), np.int8)
    node = _layer(weights, np.array(sums, np.int32), multiplier, shift, -128)
    return Case(node, (np.zeros((1, 2, 2, 4), np.int8),))


def _layer(weights: Array, bias: Array, multiplier: int, shift: int, zero_point: int) -> Node:
    """1x1, of four positions."""
    channels, _, _, depth = weights.shape
    return custom.conv_2d(
        Value("x", (1, 2, 2, depth), DType.INT8, Quantization((0.5,), (-128,))),
        constant("weights", weights),
        constant("bias", bias),
        constant("multiplier", np.full(channels, multiplier, np.int32)),
        constant("shift", np.full(channels, -shift, np.int32)),
        Value("y", (1, 2, 2, channels), DType.INT8, Quantization((0.5,), (zero_point,))),
    )
