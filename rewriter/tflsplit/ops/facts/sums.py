# SPDX-License-Identifier: Apache-2.0
"""int8 layers with weights as sums of products, channel by channel: what their results can be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tflsplit.ir import DType, Node, Value
from tflsplit.ops.quantmath import (
    convolution_multipliers,
    fully_connected_multipliers,
    multiply_by_quantized_multiplier,
)
from tflsplit.ops.stock.conv import windows_of
from tflsplit.ops.stock.requantization import fused_range, has_scales, optional

Int64Array = NDArray[np.int64]
Ranges = tuple[Int64Array, Int64Array]
"""Smallest and largest stored value of every channel, both inclusive; int64[channels]."""

_INT32 = (-(2**31), 2**31 - 1)
_OTHER_ENGINES = 2.0**-8
"""How far from TFLM's the real value may be that another engine rounds: it may round once where
TFLM rounds twice, or multiply in float32.  More than 2**16 from 0 both are clamped."""


@dataclass(frozen=True)
class Sums:
    """``sum over taps t and channels i of weights[o, t, i] * (x[t, i] - x_zero_point) + bias[o]``.

    weights: int8 [O, taps, I]; of a depthwise convolution I is 1, and result channel o is made of
        x's channel ``o // step``.
    step: 0 where every channel of x is added up.
    padded: whether a window reaches over a border, where a product is 0.
    """

    weights: NDArray[np.int8]
    bias: Int64Array
    x_zero_point: int
    step: int
    padded: bool

    def bounds(self, x: Ranges) -> Ranges:
        """Smallest and largest sum of every result channel; int64[O]."""
        least, most = (each - self.x_zero_point for each in x)
        if self.padded:
            least, most = np.minimum(least, 0), np.maximum(most, 0)
        up = np.maximum(self.weights, 0).sum(axis=1, dtype=np.int64)
        down = np.minimum(self.weights, 0).sum(axis=1, dtype=np.int64)
        if self.step:
            made_of = np.arange(len(up)) // self.step
            up, down, least, most = up[:, 0], down[:, 0], least[made_of], most[made_of]
            return self.bias + up * least + down * most, self.bias + up * most + down * least
        return self.bias + up @ least + down @ most, self.bias + up @ most + down @ least


def sums_of(node: Node) -> Sums | None:
    """The sums of a CONV_2D of one group, DEPTHWISE_CONV_2D or FULLY_CONNECTED.

    None for any other operator; where the arithmetic is not TFLM's for int8 with known weights; and
    where shapes do not belong together.
    """
    make = {
        "CONV_2D": _of_conv,
        "DEPTHWISE_CONV_2D": _of_depthwise,
        "FULLY_CONNECTED": _of_dense,
    }.get(node.op)
    if make is None or node.is_custom or len(node.outputs) != 1 or len(node.inputs) < 2:
        return None
    x, weights, bias = node.inputs[0], node.inputs[1], optional(node.inputs, 2)
    if x is None or weights is None or not x.is_computed or not x.shape or weights.data is None:
        return None
    if x.dtype is not DType.INT8 or not node.output.shape:
        return None
    if bias is not None and (bias.data is None or bias.dtype is not DType.INT32):
        return None
    return make(node, x, weights, bias) if _scales_are_plain(node) else None


def finished(node: Node, sums: Ranges) -> Ranges:
    """The results of ``node`` for sums in those ranges; int64[O].

    Requantization keeps order, so that the ends are enough.  Where a sum or its shift could leave
    int32, a result can be anything that the activation lets through.
    """
    x, weights, y = node.input(0), node.input(1), node.output
    assert x.quantization is not None
    assert weights.quantization is not None
    assert y.quantization is not None
    multipliers = (
        fully_connected_multipliers if node.op == "FULLY_CONNECTED" else convolution_multipliers
    )
    multiplier, shift = multipliers(
        x.quantization.scale, weights.quantization.scales, y.quantization.scale, y.shape[-1]
    )
    least, most = fused_range(node)
    zero, left = y.quantization.zero_point, np.maximum(shift, 0).astype(np.int64)
    fits = (multiplier >= 0) & (shift <= 30) & in_int32(sums)
    ends = []
    for each, towards in zip(sums, (-1, 1), strict=True):
        safe = np.where(fits, each, 0)
        shifted = safe << np.minimum(left, 30)
        fits &= (shifted >= _INT32[0]) & (shifted <= _INT32[1])
        ours = multiply_by_quantized_multiplier(safe, multiplier, shift).astype(np.int64)
        real = safe * (multiplier * 2.0 ** (shift - 31.0)) + towards * (0.5 + _OTHER_ENGINES)
        # The last integer that something up to half a step away rounds to.
        other = (np.ceil(real) if towards < 0 else np.floor(real)).astype(np.int64)
        ends.append((np.minimum if towards < 0 else np.maximum)(ours, other) + zero)
    low, high = (np.clip(end, least, most) for end in ends)
    return np.where(fits, low, least), np.where(fits, high, most)


def in_int32(sums: Ranges) -> NDArray[np.bool_]:
    """Of which channels no sum leaves int32; bool[O]."""
    inside: NDArray[np.bool_] = (sums[0] >= _INT32[0]) & (sums[1] <= _INT32[1])
    return inside


def _scales_are_plain(node: Node) -> bool:
    """Whether TFLM's multipliers follow from scales as they must be: positive numbers."""
    if not has_scales(node, 3 if node.op == "DEPTHWISE_CONV_2D" else 0):
        return False
    scales = [
        scale
        for value in (node.input(0), node.input(1), node.output)
        if value.quantization is not None
        for scale in value.quantization.scales
    ]
    return all(0 < scale < np.inf for scale in scales)


def _of_conv(node: Node, x: Value, weights: Value, bias: Value | None) -> Sums | None:
    assert weights.data is not None
    if len(weights.shape) != 4 or len(x.shape) != 4 or weights.shape[3] != x.shape[3]:
        return None
    windows = windows_of(node)
    if not windows.fits(x, node.output):
        return None
    table = weights.data.reshape(weights.shape[0], -1, weights.shape[3])
    return _sums(node, x, table, bias, 0, any(map(any, windows.pads(x))))


def _of_depthwise(node: Node, x: Value, weights: Value, bias: Value | None) -> Sums | None:
    assert weights.data is not None
    if len(weights.shape) != 4 or len(x.shape) != 4 or weights.shape[3] % x.shape[3]:
        return None
    windows = windows_of(node)
    if not windows.fits(x, node.output) or weights.shape[0] != 1:
        return None
    table = weights.data.reshape(-1, weights.shape[3]).T[:, :, None]
    step = weights.shape[3] // x.shape[3]
    return _sums(node, x, table, bias, step, any(map(any, windows.pads(x))))


def _of_dense(node: Node, x: Value, weights: Value, bias: Value | None) -> Sums | None:
    """Column k of the weights meets channel ``k % C`` of x, which is read flat."""
    assert weights.data is not None
    if len(weights.shape) != 2 or weights.shape[1] % x.shape[-1]:
        return None
    if node.attrs.integer("weights_format"):
        return None
    table = weights.data.reshape(weights.shape[0], -1, x.shape[-1])
    return _sums(node, x, table, bias, 0, padded=False)


def _sums(
    node: Node, x: Value, table: NDArray[np.int8], bias: Value | None, step: int, padded: bool
) -> Sums | None:
    count = len(table)
    if node.output.shape[-1] != count or (bias is not None and bias.size != count):
        return None
    assert x.quantization is not None
    data = np.zeros(count) if bias is None or bias.data is None else bias.data.reshape(-1)
    return Sums(table, data.astype(np.int64), x.quantization.zero_point, step, padded)
