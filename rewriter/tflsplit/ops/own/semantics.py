# SPDX-License-Identifier: Apache-2.0
"""What tflsplit's custom compute operators mean, in NumPy, to the bit.

Sums are matrix products in float64: every product is below 2**15 and no sum of a convolution
that fits int32 reaches 2**53, so BLAS gives the exact integer, in any order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tflsplit.errors import InternalError
from tflsplit.ir import Node, Value
from tflsplit.ops.own.custom_options import WindowOptions, activation_of, axes_of
from tflsplit.ops.own.fused_options import FusedOptions
from tflsplit.ops.own.unweighted_stock import MEANING
from tflsplit.ops.quantmath import (
    Int32Array,
    add_int8,
    multiply_by_quantized_multiplier,
)
from tflsplit.ops.region import Box
from tflsplit.wire import custom_ops as wire

Array = NDArray[Any]
Int8Array = NDArray[np.int8]


def run_node(node: Node, computed: Sequence[Array]) -> Array:
    """The result of one of our compute operators (not SEND or RECV).

    computed: the operands that are no constants, in their order, of their dtypes and shapes.
    Raises ModelError if the options are malformed, InternalError for another operator.
    """
    function = _COMPUTE.get(node.op)
    if function is None:
        raise InternalError(f"{node!r} is none of tflsplit's compute operators")
    given = iter(computed)
    arrays = [
        None if value is None else value.data if value.data is not None else next(given)
        for value in node.inputs
    ]
    return function(node, arrays)


def copy_box(
    source: Array,
    source_origin: Sequence[int],
    box: Box,
    target: Array,
    target_origin: Sequence[int],
    add: bool = False,
) -> None:
    """Place elements ``box`` of a whole tensor, or add them (modulo 2**32, or 2**16 for int16).

    source, target: arrays whose element 0 has these coordinates in the whole tensor; the box lies
        inside both.  ``target`` is written to.
    """
    piece = source[box.relative_to(source_origin).slices]
    where = box.relative_to(target_origin).slices
    if add:
        target[where] += piece
    else:
        target[where] = piece


def convolution_sums(
    x: Int8Array, weights: Int8Array, zero_point: int, options: WindowOptions
) -> Int32Array:
    """Exact sums of ``(x - zero_point) * weights`` over the window; padding contributes 0.

    x: NHWC; weights: OHWI, grouped if I is a fraction of C; result: int32 NHWO.
    """
    taps, depth = weights.shape[1:3], weights.shape[3]
    rows, columns = options.output_extent(x.shape, (taps[0], taps[1]))
    padded = _padded(x, zero_point, options.pads).astype(np.float64)
    groups = x.shape[3] // depth
    kernel = weights.reshape(groups, -1, *weights.shape[1:]).astype(np.float64)
    sums = np.zeros((x.shape[0] * rows * columns, groups, kernel.shape[1]), np.float64)
    for i, j in np.ndindex(*taps):
        view = _tap(padded, i, j, rows, columns, options).reshape(-1, groups, depth)
        for group in range(groups):
            sums[:, group] += view[:, group] @ kernel[group, :, i, j].T
    return _int32(sums).reshape(x.shape[0], rows, columns, weights.shape[0])


def depthwise_sums(
    x: Int8Array, weights: Int8Array, zero_point: int, options: WindowOptions
) -> Int32Array:
    """The same, each channel of NHWC by its own weights [1, kh, kw, k * C]; result: NHW(k*C)."""
    taps, channels = weights.shape[1:3], weights.shape[3]
    rows, columns = options.output_extent(x.shape, (taps[0], taps[1]))
    padded = _padded(x, zero_point, options.pads)
    padded = np.repeat(padded, channels // x.shape[3], axis=3)
    sums = np.zeros((x.shape[0], rows, columns, channels), np.int32)
    for i, j in np.ndindex(*taps):
        sums += _tap(padded, i, j, rows, columns, options) * weights[0, i, j].astype(np.int32)
    return sums


def requantize(
    sums: Int32Array,
    bias: Int32Array | None,
    multiplier: Int32Array,
    shift: Int32Array,
    zero_point: int,
    activation: tuple[int, int],
) -> Int8Array:
    """int8 of complete sums [..., C]: per-channel bias added, scaled as TFLM does, clamped.

    Additions are modulo 2**32, as in TFLM's kernels.
    """
    total = sums if bias is None else sums + bias
    scaled = multiply_by_quantized_multiplier(total, multiplier, shift)
    clamped = np.clip(scaled + np.int32(zero_point), *activation)
    return np.asarray(clamped, np.int8)


def residual_add(p: Int8Array, residual: Int8Array, node: Node) -> Int8Array:
    """What the ADD of an explicit block makes of the projection's result (TFLM's add.cc)."""
    options = FusedOptions.of(node)
    assert options.add is not None
    zero_points = options.add.zero_point, options.add.residual_zero_point, _zero_point(node.output)
    return add_int8(p, residual, zero_points, options.add.multipliers, options.activation)


def _padded(x: Int8Array, zero_point: int, pads: Sequence[int]) -> Int32Array:
    """x minus its zero point, with rows and columns of 0 around it."""
    top, bottom, left, right = pads
    offset = x.astype(np.int32) - np.int32(zero_point)
    return np.pad(offset, ((0, 0), (top, bottom), (left, right), (0, 0)))


def _tap(padded: Array, i: int, j: int, rows: int, columns: int, options: WindowOptions) -> Array:
    """What tap (i, j) of the kernel sees at every position of the result."""
    (down, right), (stride_h, stride_w) = options.dilation, options.stride
    top, left = i * down, j * right
    return padded[
        :,
        top : top + (rows - 1) * stride_h + 1 : stride_h,
        left : left + (columns - 1) * stride_w + 1 : stride_w,
    ]


def _int32(sums: NDArray[np.float64]) -> Int32Array:
    """Wraps where the sum of the int32 that the kernels keep would."""
    return sums.astype(np.int64).astype(np.int32)


def _zero_point(value: Value) -> int:
    return 0 if value.quantization is None else value.quantization.zero_point


def _array(arrays: Sequence[Array | None], index: int) -> Array:
    array = arrays[index]
    if array is None:
        raise InternalError(f"operand {index} is missing")
    return array


def _requantized(node: Node, sums: Int32Array, arrays: Sequence[Array | None]) -> Array:
    """``sums`` finished with the operands bias, multiplier and shift."""
    bias, multiplier, shift = arrays[0], _array(arrays, 1), _array(arrays, 2)
    zero_point = _zero_point(node.output)
    return requantize(sums, bias, multiplier, shift, zero_point, activation_of(node))


def _conv_2d(node: Node, arrays: Sequence[Array | None]) -> Array:
    return _requantized(node, _partial_conv_2d(node, arrays), arrays[2:])


def _depthwise_conv_2d(node: Node, arrays: Sequence[Array | None]) -> Array:
    x, weights = _array(arrays, 0), _array(arrays, 1)
    sums = depthwise_sums(x, weights, _zero_point(node.input(0)), WindowOptions.of(node))
    return _requantized(node, sums, arrays[2:])


def _partial_conv_2d(node: Node, arrays: Sequence[Array | None]) -> Int32Array:
    x, weights = _array(arrays, 0), _array(arrays, 1)
    return convolution_sums(x, weights, _zero_point(node.input(0)), WindowOptions.of(node))


def _partial_fully_connected(node: Node, arrays: Sequence[Array | None]) -> Array:
    wire.decode(node)
    x, weights = _array(arrays, 0), _array(arrays, 1)
    offset = x.astype(np.float64) - _zero_point(node.input(0))
    return _int32(offset @ weights.astype(np.float64).T)


def _partial_sum(node: Node, arrays: Sequence[Array | None]) -> Array:
    x, axes = _array(arrays, 0), tuple(range(*axes_of(node)))
    offset = x.astype(np.int64) - _zero_point(node.input(0))
    sums = np.asarray(offset.sum(axis=axes), node.output.dtype.numpy)
    return sums.reshape(node.output.shape)


def _unweighted(node: Node, arrays: Sequence[Array | None]) -> Array:
    made: Array = MEANING[node.op](node, *(_array(arrays, i) for i in range(len(arrays))))
    return made


def _requantize(node: Node, arrays: Sequence[Array | None]) -> Array:
    return _requantized(node, _array(arrays, 0).astype(np.int32, copy=False), arrays[1:])


_COMPUTE: dict[str, Callable[[Node, Sequence[Array | None]], Array]] = {
    wire.CONV_2D: _conv_2d,
    wire.DEPTHWISE_CONV_2D: _depthwise_conv_2d,
    wire.PARTIAL_CONV_2D: _partial_conv_2d,
    wire.PARTIAL_FULLY_CONNECTED: _partial_fully_connected,
    wire.PARTIAL_SUM: _partial_sum,
    wire.REQUANTIZE: _requantize,
    **dict.fromkeys(MEANING, _unweighted),
}
