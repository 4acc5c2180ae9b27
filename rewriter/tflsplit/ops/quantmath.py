# SPDX-License-Identifier: Apache-2.0
"""TFLM's integer quantization arithmetic, to the bit.

Sources (TFLM): ``kernels/internal/quantization_util.cc`` (QuantizeMultiplier),
``kernels/kernel_util.cc`` (PopulateConvolutionQuantizationParams,
GetQuantizedConvolutionMultipler, CalculateActivationRangeQuantized),
``micro/kernels/fully_connected_common.cc``, ``kernels/internal/common.h``
(MultiplyByQuantizedMultiplier, the double-rounding one) and gemmlowp's fixedpoint.h.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tflsplit.errors import ModelError
from tflsplit.ir import Activation, DType, Quantization

Int32Array = NDArray[np.int32]

ADD_LEFT_SHIFT = 20
"""How far ADD shifts int8 operands to the left before it scales them."""

_RANGES = {DType.INT8: (-128, 127), DType.UINT8: (0, 255), DType.INT16: (-32768, 32767)}


@lru_cache(maxsize=4096)
def quantize_multiplier(real: float) -> tuple[int, int]:
    """``real`` (not negative) as ``(multiplier, shift)``: multiplier * 2**(shift - 31)."""
    multipliers, shifts = quantize_multipliers([real])
    return int(multipliers[0]), int(shifts[0])


def quantize_multipliers(reals: Sequence[float]) -> tuple[Int32Array, Int32Array]:
    """``quantize_multiplier`` of several; int32 arrays as long as ``reals``."""
    fractions, shifts = np.frexp(np.asarray(reals, np.float64))
    multipliers = np.floor(fractions * (1 << 31) + 0.5).astype(np.int64)  # std::round
    carried = multipliers == 1 << 31
    multipliers = np.where(carried, 1 << 30, multipliers)
    shifts = np.where(carried, shifts + 1, shifts)
    tiny = shifts < -31
    return (
        np.where(tiny, 0, multipliers).astype(np.int32),
        np.where(tiny, 0, shifts).astype(np.int32),
    )


def convolution_multipliers(
    input_scale: float, weight_scales: Sequence[float], output_scale: float, channels: int
) -> tuple[Int32Array, Int32Array]:
    """``(multiplier, shift)``, int32[channels] each, of CONV_2D, DEPTHWISE and TRANSPOSE_CONV.

    weight_scales: one for all channels, or one each.
    """
    found = _multipliers(input_scale, tuple(weight_scales), output_scale, channels)
    return found[0].copy(), found[1].copy()


@lru_cache(maxsize=1024)
def _multipliers(
    input_scale: float, weight_scales: tuple[float, ...], output_scale: float, channels: int
) -> tuple[Int32Array, Int32Array]:
    """Remembered, because planning asks for the same of a layer hundreds of times."""
    scales = weight_scales if len(weight_scales) > 1 else weight_scales[:1] * channels
    return quantize_multipliers([input_scale * scale / output_scale for scale in scales])


def add_multipliers(
    scale: float, other_scale: float, output_scale: float
) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    """``(multiplier, shift)`` of both operands and of the sum of an int8 ADD (add_common.cc)."""
    twice_largest = 2 * max(scale, other_scale)
    return (
        quantize_multiplier(scale / twice_largest),
        quantize_multiplier(other_scale / twice_largest),
        quantize_multiplier(twice_largest / ((1 << ADD_LEFT_SHIFT) * output_scale)),
    )


def sub_multipliers(
    scale: float, other_scale: float, output_scale: float
) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    """The same of an int8 SUB, which computes in *float32* (sub_common.cc)."""
    a, b, y = (np.float32(each) for each in (scale, other_scale, output_scale))
    twice_largest = np.float32(2) * max(a, b)
    return (
        quantize_multiplier(float(a / twice_largest)),
        quantize_multiplier(float(b / twice_largest)),
        quantize_multiplier(float(twice_largest / (np.float32(1 << ADD_LEFT_SHIFT) * y))),
    )


def add_int8(
    x: NDArray[Any],
    other: NDArray[Any],
    zero_points: tuple[int, int, int],
    multipliers: tuple[tuple[int, int], ...],
    activation: tuple[int, int],
    sign: int = 1,
) -> NDArray[np.int8]:
    """ADD of int8 arrays (add.cc); zero points and multipliers of x, the other and the sum.

    sign: -1 of SUB (sub.h).
    """
    scaled = [
        multiply_by_quantized_multiplier(
            (array.astype(np.int32) - np.int32(zero_point)) << ADD_LEFT_SHIFT, multiplier, shift
        )
        for array, zero_point, (multiplier, shift) in zip(
            (x, other), zero_points[:2], multipliers[:2], strict=True
        )
    ]
    total = multiply_by_quantized_multiplier(scaled[0] + sign * scaled[1], *multipliers[2])
    return np.asarray(np.clip(total + np.int32(zero_points[2]), *activation), np.int8)


def fully_connected_multipliers(
    input_scale: float, weight_scales: Sequence[float], output_scale: float, channels: int
) -> tuple[Int32Array, Int32Array]:
    """``(multiplier, shift)``, int32[channels] each, of FULLY_CONNECTED.

    With one scale TFLM multiplies input and weight scale in *float32*; per channel in double.
    """
    if len(weight_scales) > 1:
        return convolution_multipliers(input_scale, weight_scales, output_scale, channels)
    product = float(np.float32(input_scale) * np.float32(weight_scales[0]))
    return quantize_multipliers([product / output_scale] * channels)


def activation_range(
    activation: int, quantization: Quantization | None, dtype: DType
) -> tuple[int, int]:
    """Smallest and largest stored value that a fused activation lets through, both inclusive.

    Raises ModelError for types that are not quantized integers.
    """
    if dtype not in _RANGES:
        raise ModelError(f"a fused activation on {dtype.value} has no quantized range")
    low, high = _RANGES[dtype]
    if activation == Activation.RELU:
        return max(low, _quantize(0.0, quantization)), high
    if activation == Activation.RELU6:
        return max(low, _quantize(0.0, quantization)), min(high, _quantize(6.0, quantization))
    if activation == Activation.RELU_N1_TO_1:
        return max(low, _quantize(-1.0, quantization)), min(high, _quantize(1.0, quantization))
    return low, high


def _quantize(real: float, quantization: Quantization | None) -> int:
    if quantization is None or not quantization.scales:
        raise ModelError("a fused activation needs the scale of the output")
    quotient = float(np.float32(real) / np.float32(quantization.scale))
    return quantization.zero_point + int(math.copysign(math.floor(abs(quotient) + 0.5), quotient))


def multiply_by_quantized_multiplier(
    values: NDArray[Any], multiplier: NDArray[Any] | int, shift: NDArray[Any] | int
) -> Int32Array:
    """``values`` (int32) times ``multiplier * 2**(shift - 31)``, rounded twice as gemmlowp does.

    multiplier, shift: broadcast against ``values``; result int32 of the broadcast shape.
    """
    x = np.asarray(values).astype(np.int64)
    factor = np.asarray(multiplier).astype(np.int64)
    exponent = np.asarray(shift).astype(np.int64)
    x = (x << np.maximum(exponent, 0)).astype(np.int32).astype(np.int64)  # wraps as in C++
    product = x * factor
    product = product + np.where(product >= 0, 1 << 30, 1 - (1 << 30))
    high = np.where(product >= 0, product >> 31, -((-product) >> 31))  # C++ division truncates
    return _rounding_divide_by_pot(high, np.maximum(-exponent, 0))


def _rounding_divide_by_pot(values: NDArray[Any], exponent: NDArray[Any]) -> Int32Array:
    mask = (np.int64(1) << exponent) - 1
    threshold = (mask >> 1) + (values < 0)
    rounded = (values >> exponent) + ((values & mask) > threshold)
    return np.asarray(rounded, np.int32)
