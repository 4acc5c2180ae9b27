# SPDX-License-Identifier: Apache-2.0
"""Layers: convolutions, FULLY_CONNECTED, BATCH_MATMUL, pooling.

TFLM: ``micro/kernels/{conv,depthwise_conv,fully_connected}_common.cc``, ``transpose_conv.cc``,
``batch_matmul.cc``, ``pooling_common.cc``, ``l2_pool_2d.cc``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tflsplit.ir import Activation, DType, Padding, Value
from tflsplit.ops.declared.operation import (
    LARGEST_MULTIPLIER,
    MAX_STEP,
    QUANTIZED,
    Operation,
    declares,
    scale_of,
    zero_point_of,
)
from tflsplit.ops.window import Windows

_LAST_ACTIVATION = Activation.SIGN_BIT
_BIASES = {
    DType.INT8: (DType.INT32,),
    DType.INT16: (DType.INT32, DType.INT64),
    DType.FLOAT32: (DType.FLOAT32,),
}

# What the kernel casts its bias to without a look (``passes.wide_biases`` widens int32).
_BIASES_OF_INT16 = {
    "DEPTHWISE_CONV_2D": (DType.INT64,),
    "TRANSPOSE_CONV": (DType.INT64, DType.INT16),
}


@declares("CONV_2D")
def _conv_2d(op: Operation) -> None:
    op.count(2, 3)
    x, weights, y = _layer(op, 0)
    channels, rows, columns, depth = weights.shape
    groups = x.shape[3] // depth
    op.need(
        x.shape[3] == groups * depth and channels % groups == 0,
        weights,
        f"cannot be applied to {x!r}: its channels do not divide into groups",
    )
    _bias(op, 2, channels)
    op.shape(y, (x.shape[0], *_extents(op, x, (rows, columns)), channels))


@declares("DEPTHWISE_CONV_2D")
def _depthwise_conv_2d(op: Operation) -> None:
    op.count(2, 3)
    x, weights, y = _layer(op, 3)
    one, rows, columns, channels = weights.shape
    op.need(
        one == 1 and channels % x.shape[3] == 0,
        weights,
        f"must be [1, rows, columns, a multiple of the {x.shape[3]} channels of {x!r}]",
    )
    multiplier = op.node.attrs.integer("depth_multiplier")
    made = f"makes other channels of {x!r} than {weights!r} has"
    op.need(multiplier * x.shape[3] == channels, f"depth_multiplier = {multiplier}", made)
    if len(op.node.inputs) > 2:
        op.x(2)  # the kernel lets go of its bias without a look at whether there is one
    _bias(op, 2, channels)
    op.shape(y, (x.shape[0], *_extents(op, x, (rows, columns)), channels))


@declares("TRANSPOSE_CONV")
def _transpose_conv(op: Operation) -> None:
    op.count(3, 4)
    x, weights, y = op.x(2), op.x(1), op.y()
    _types(op, x, weights, y, 0)
    wanted = op.indices(0, 4)
    channels, rows, columns, depth = weights.shape
    op.need(depth == x.shape[3], weights, f"must have the input channels of {x!r}")
    _bias(op, 3, channels)
    _check_windows(op, (rows, columns))
    op.shape(y, (x.shape[0], y.shape[1], y.shape[2], channels))
    if wanted is not None:
        op.shape(y, wanted)


@declares("FULLY_CONNECTED")
def _fully_connected(op: Operation) -> None:
    op.count(2, 3)
    x, weights, y = op.x(0), op.x(1), op.y()
    op.rank(weights, 2)
    op.rank(x, 1, 6)
    op.rank(y, 1, 6)
    _quantities(op, x, weights, y)
    channels, depth = weights.shape
    op.need(y.shape[-1] == channels, y, f"must have {channels} channels, as {weights!r}")
    op.need(x.size % depth == 0, x, f"is not made of rows of {depth} elements, for {weights!r}")
    rows = x.size // depth
    kept = op.node.attrs.get("keep_num_dims") and x.shape[-1] == depth
    made = (*x.shape[:-1], channels) if kept else (rows, channels)
    op.size(y, rows * channels, made)
    if op.quantized(x):
        op.need(zero_point_of(weights) == 0, weights, "must have the zero point 0")
        _multipliers(op, x, weights, y, 0)
        _bias_scale(op, x, weights, y)
    _bias(op, 2, channels)
    _activation(op)


def _bias_scale(op: Operation, x: Value, weights: Value, y: Value) -> None:
    """With one scale for all weights, the bias has that of the sums (kernel_util.cc)."""
    bias, scales = op.optional(2), weights.quantization.scales if weights.quantization else ()
    if bias is not None and len(scales) == 1:
        product = scale_of(x) * scales[0]
        holds = abs(product - scale_of(bias)) / scale_of(y) <= 0.02
        op.need(holds, bias, f"must have the scale {product:.6g} of the sums that it is added to")


@declares("BATCH_MATMUL")
def _batch_matmul(op: Operation) -> None:
    op.count(2)
    a, b, y = op.x(0), op.x(1), op.y()
    for value in (a, b):
        op.dtype(value, DType.FLOAT32, *QUANTIZED)
        op.rank(value, 2, 5)
    op.same_dtype(b, a)
    op.same_dtype(y, a)
    if op.quantized(a):
        op.scale(a, b, y)
        op.ratio(y, scale_of(a) * scale_of(b) / scale_of(y), LARGEST_MULTIPLIER)
    rows, inner = _matrix(a, bool(op.option("adj_x", 0, 1)))
    other, columns = _matrix(b, bool(op.option("adj_y", 0, 1)))
    op.need(inner == other, b, f"cannot be multiplied with {a!r}")
    try:
        batches = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    except ValueError:
        op.need(False, b, f"does not broadcast with {a!r}")
        return
    op.shape(y, (*batches, rows, columns))


@declares("AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D")
def _pool(op: Operation) -> None:
    op.count(1)
    x, y = op.x(), op.y()
    floats = op.node.op == "L2_POOL_2D"
    op.dtype(x, DType.FLOAT32, *(() if floats else QUANTIZED))
    op.same_dtype(y, x)
    op.rank(x, 4)
    op.rank(y, 4)
    if op.quantized(x):
        op.scale(x, y)
        alike = abs(scale_of(x) - scale_of(y)) <= 1e-6 and zero_point_of(x) == zero_point_of(y)
        op.need(alike, y, f"must be quantized as {x!r}: pooling does not requantize")
    kernel = op.option("filter_height", 1, MAX_STEP), op.option("filter_width", 1, MAX_STEP)
    op.shape(y, (x.shape[0], *_extents(op, x, kernel), x.shape[3]))
    _activation(op)


def _layer(op: Operation, channel_dim: int) -> tuple[Value, Value, Value]:
    """x, weights and y of a convolution; ``channel_dim``: of the weights."""
    x, weights, y = op.x(0), op.x(1), op.y()
    _types(op, x, weights, y, channel_dim)
    return x, weights, y


def _types(op: Operation, x: Value, weights: Value, y: Value, channel_dim: int) -> None:
    for value in (x, weights, y):
        op.rank(value, 4)
    _quantities(op, x, weights, y)
    if op.quantized(x):
        _multipliers(op, x, weights, y, channel_dim)
    _activation(op)


def _quantities(op: Operation, x: Value, weights: Value, y: Value) -> None:
    op.dtype(x, *_BIASES)
    op.same_dtype(y, x)
    if x.dtype is DType.FLOAT32:
        op.same_dtype(weights, x)
        return
    op.dtype(weights, DType.INT8, *((DType.INT4,) if x.dtype is DType.INT8 else ()))
    op.scale(x, weights, y)


def _multipliers(op: Operation, x: Value, weights: Value, y: Value, channel_dim: int) -> None:
    """One scale, or one per output channel: TFLM takes scale i for channel i."""
    scales = weights.quantization.scales if weights.quantization else ()
    channels = weights.shape[channel_dim]
    op.need(
        len(scales) in (1, channels),
        weights,
        f"has {len(scales)} scales for {channels} output channels",
    )
    for scale in (min(scales), max(scales)):
        # Channels that are always zero have tiny scales: a multiplier of 0 is no fault.
        op.ratio(weights, scale_of(x) * scale / scale_of(y), LARGEST_MULTIPLIER)


def _bias(op: Operation, index: int, channels: int) -> None:
    bias = op.optional(index)
    if bias is not None:
        x = op.x(2 if op.node.op == "TRANSPOSE_CONV" else 0)
        special = _BIASES_OF_INT16.get(op.node.op) if x.dtype is DType.INT16 else None
        op.dtype(bias, *(special or _BIASES.get(x.dtype, ())))
        op.size(bias, channels)


def _activation(op: Operation) -> None:
    op.option("fused_activation_function", Activation.NONE, _LAST_ACTIVATION)


def _extents(op: Operation, x: Value, kernel: tuple[int, int]) -> Sequence[int]:
    """Rows and columns of the result (ComputeOutSize)."""
    windows = _check_windows(op, kernel)
    return [
        axis.out_extent(windows.padding, x.shape[dim])
        for dim, axis in zip((1, 2), windows.axes, strict=True)
    ]


def _check_windows(op: Operation, kernel: tuple[int, int]) -> Windows:
    op.option("padding", Padding.SAME, Padding.VALID)
    for name in ("stride_h", "stride_w"):
        op.option(name, 1, MAX_STEP)
    for name in ("dilation_h_factor", "dilation_w_factor"):
        op.option(name, 1, MAX_STEP, default=1)
    windows = Windows.of(op.node, kernel)
    for axis, name in zip(windows.axes, ("rows", "columns"), strict=True):
        reach = f"a window of {axis.reach} {name}"
        op.need(axis.reach < 2**30, reach, "does not fit the arithmetic of 32 bits")
    return windows


def _matrix(value: Value, adjoint: bool) -> tuple[int, int]:
    rows, columns = value.shape[-2:]
    return (columns, rows) if adjoint else (rows, columns)
