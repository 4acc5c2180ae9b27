# SPDX-License-Identifier: Apache-2.0
"""Operators that work element by element, and those along the last dimension.

TFLM: ``micro/kernels/{add,sub,mul,div,activations,elementwise,comparisons,...}.cc``; the result has
the shape of the operand, or the one that the operands broadcast to.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tflsplit.ir import Activation, DType, Value
from tflsplit.ops.declared.operation import (
    LARGEST_MULTIPLIER,
    MAX_RANK,
    Operation,
    declares,
    scale_of,
)

_F32, _I8, _I16, _I32 = DType.FLOAT32, DType.INT8, DType.INT16, DType.INT32
_I64, _U8, _U32, _BOOL = DType.INT64, DType.UINT8, DType.UINT32, DType.BOOL

# What goes in and comes out alike.
_UNARY = {
    **dict.fromkeys(("CEIL", "COS", "EXP", "FLOOR", "LOG", "NEG", "ROUND", "SIN"), (_F32,)),
    **dict.fromkeys(("SQRT", "SQUARE"), (_F32,)),
    **dict.fromkeys(("ABS", "RSQRT", "RELU", "RELU6", "LOGISTIC", "TANH"), (_F32, _I8, _I16)),
    **dict.fromkeys(("ELU", "HARD_SWISH"), (_F32, _I8)),
    "LOGICAL_NOT": (_BOOL,),
    "ZEROS_LIKE": (_F32, _I8, _I32, _I64),
}
_ARITHMETIC = {
    **dict.fromkeys(("ADD", "SUB", "MUL", "SQUARED_DIFFERENCE"), (_F32, _I8, _I16, _I32)),
    "DIV": (_F32, _I8, _I32),
    **dict.fromkeys(("FLOOR_DIV", "FLOOR_MOD"), (_F32,)),
    **dict.fromkeys(("MAXIMUM", "MINIMUM"), (_F32, _I8, _I16, _I32, _I64)),
    **dict.fromkeys(("LOGICAL_AND", "LOGICAL_OR"), (_BOOL,)),
}
_COMPARISONS = {
    **dict.fromkeys(("EQUAL", "NOT_EQUAL"), (_BOOL, _F32, _I32, _I64, _I8)),
    "GREATER": (_F32, _I32, _I64, _I8, _I16),
    **dict.fromkeys(("GREATER_EQUAL", "LESS", "LESS_EQUAL"), (_F32, _I32, _I64, _I8)),
}
# Left shift of the operands of an addition (add_common.cc), which its multiplier makes up for.
_ADDITION_BITS = {_I8: 20, _I16: 15}


@declares(*_UNARY)
def _unary(op: Operation) -> None:
    op.count(1)
    x, y = op.x(), op.y()
    op.dtype(x, *_UNARY[op.node.op])
    op.same_dtype(y, x)
    op.rank(x, 0, MAX_RANK)
    op.shape(y, x.shape)
    if op.node.op != "ZEROS_LIKE":
        op.scale(x, y)
    if op.node.op in ("ABS", "RSQRT", "RELU", "RELU6") and op.quantized(x):
        op.ratio(y, scale_of(x) / scale_of(y), LARGEST_MULTIPLIER)


@declares("LEAKY_RELU")
def _leaky_relu(op: Operation) -> None:
    op.count(1)
    x, y = op.x(), op.y()
    op.dtype(x, _F32, _I8, _I16)
    op.same_dtype(y, x)
    op.scale(x, y)
    op.rank(x, 0, MAX_RANK)
    op.shape(y, x.shape)
    alpha = op.number("alpha")
    if op.quantized(x):
        ratio = scale_of(x) / scale_of(y)
        op.ratio(y, max(ratio, abs(ratio * alpha)), LARGEST_MULTIPLIER)


@declares("CAST")
def _cast(op: Operation) -> None:
    op.count(1)
    op.dtype(op.x(), _F32, _I8, _I16, _I32, _U32, _BOOL)
    op.dtype(op.y(), _F32, _I8, _I16, _I32, _U32)
    op.rank(op.x(), 0, MAX_RANK)
    op.shape(op.y(), op.x().shape)


@declares("QUANTIZE")
def _quantize(op: Operation) -> None:
    op.count(1)
    x, y = op.x(), op.y()
    op.rank(x, 0, MAX_RANK)
    op.shape(y, x.shape)
    if not op.types:
        return
    op.dtype(x, *_REQUANTIZED)
    op.dtype(y, *_REQUANTIZED[x.dtype])
    for value in (y,) if x.dtype is _F32 else (x, y):
        op.need(scale_of(value) > 0, value, "must have a quantization scale")
    if x.dtype is not _F32:
        op.ratio(y, scale_of(x) / scale_of(y), LARGEST_MULTIPLIER)


_REQUANTIZED = {
    _F32: (_I8, _I16),
    _I8: (_I8, _U8, _I16, _I32),
    _I16: (_I8, _I16, _I32),
    _I32: (_I8, _I16),
    _U8: (_I8,),
}


@declares("DEQUANTIZE")
def _dequantize(op: Operation) -> None:
    op.count(1)
    op.dtype(op.x(), _I8, _I16, _U8)
    op.dtype(op.y(), _F32)
    op.rank(op.x(), 0, MAX_RANK)
    op.shape(op.y(), op.x().shape)
    op.need(scale_of(op.x()) > 0 or not op.types, op.x(), "must have a quantization scale")


@declares(*_ARITHMETIC)
def _arithmetic(op: Operation) -> None:
    op.count(2)
    a, b, y = op.x(0), op.x(1), op.y()
    op.dtype(a, *_ARITHMETIC[op.node.op])
    op.same_dtype(b, a)
    op.same_dtype(y, a)
    broadcast(op, (a, b), y)
    if op.node.op in ("MAXIMUM", "MINIMUM"):
        return
    op.scale(a, b, y)
    op.option("fused_activation_function", Activation.NONE, Activation.SIGN_BIT)
    if not op.quantized(a):
        return
    if op.node.op in ("ADD", "SUB"):
        _sum_scales(op, (a, b), y)
    elif op.node.op == "SQUARED_DIFFERENCE":
        twice = 2 * max(scale_of(a), scale_of(b))
        op.ratio(y, twice * twice / scale_of(y), LARGEST_MULTIPLIER)
    elif op.node.op == "DIV":
        op.ratio(y, scale_of(a) / (scale_of(b) * scale_of(y)), LARGEST_MULTIPLIER)
    else:
        op.ratio(y, scale_of(a) * scale_of(b) / scale_of(y), LARGEST_MULTIPLIER)


@declares("ADD_N")
def _add_n(op: Operation) -> None:
    op.count(2, max(2, len(op.node.inputs)))
    operands, y = op.every(), op.y()
    op.dtype(operands[0], _F32, _I8)
    for value in (*operands[1:], y):
        op.same_dtype(value, operands[0])
        op.shape(value, operands[0].shape)
    op.scale(*operands, y)
    if op.quantized(y):
        _sum_scales(op, operands, y)


@declares(*_COMPARISONS)
def _comparison(op: Operation) -> None:
    op.count(2)
    a, b, y = op.x(0), op.x(1), op.y()
    op.dtype(a, *_COMPARISONS[op.node.op])
    op.same_dtype(b, a)
    op.dtype(y, _BOOL)
    broadcast(op, (a, b), y)
    op.scale(*(value for value in (a, b) if value.dtype is _I8))
    for value in (a, b):
        if op.types and value.dtype is _I8:  # QuantizeMultiplierSmallerThanOneExp
            op.ratio(value, scale_of(value), 1.0, positive=True)


@declares("PRELU")
def _prelu(op: Operation) -> None:
    op.count(2)
    x, slopes, y = op.x(0), op.x(1), op.y()
    op.dtype(x, _F32, _I8, _I16)
    op.dtype(slopes, _F32 if x.dtype is _F32 else _I8)
    op.same_dtype(y, x)
    broadcast(op, (x, slopes), y, most_dims=4)
    op.scale(x, slopes, y)
    if op.quantized(x):
        ratio = scale_of(x) / scale_of(y)
        op.ratio(y, max(ratio, ratio * scale_of(slopes)), LARGEST_MULTIPLIER)


@declares("SELECT_V2")
def _select(op: Operation) -> None:
    op.count(3)
    condition, a, b, y = op.x(0), op.x(1), op.x(2), op.y()
    op.dtype(condition, _BOOL)
    op.dtype(a, _F32, _I8, _I16)
    op.same_dtype(b, a)
    op.same_dtype(y, a)
    broadcast(op, (condition, a, b), y)


@declares("SOFTMAX", "LOG_SOFTMAX", "L2_NORMALIZATION")
def _last_dim(op: Operation) -> None:
    op.count(1)
    x, y = op.x(), op.y()
    softmax = op.node.op == "SOFTMAX"
    op.dtype(x, _F32, _I8, *((_I16,) if softmax else ()))
    narrow = softmax and x.dtype is _I8 and y.dtype is _I16
    if not narrow:
        op.same_dtype(y, x)
    op.rank(x, 1, 4 if op.node.op == "L2_NORMALIZATION" else MAX_RANK)
    op.shape(y, x.shape)
    op.scale(x, y)
    if op.node.op == "L2_NORMALIZATION":
        op.option("fused_activation_function", Activation.NONE, Activation.NONE)
        return
    beta = op.number("beta") if softmax else 1.0
    op.need(beta > 0, f"beta = {beta}", "is not positive")
    if op.types and x.dtype is _I8:
        _steep_enough(op, x, beta)


def _steep_enough(op: Operation, x: Value, beta: float) -> None:
    """PreprocessSoftmaxScaling: Q5.26, of which QuantizeMultiplierGreaterThanOne wants more than 1.

    Converters give such a scale to what was next to nothing for all data of the calibration.
    """
    scale = scale_of(x)
    text = f"has the scale {scale:.3g}, and TFLM's kernel takes none up to {2.0**-26 / beta:.3g}"
    op.need(beta * scale * 2**26 > 1, x, text, _CALIBRATE)


_CALIBRATE = (
    "the layer in front of it made nothing but zeros when the model was calibrated: with trained "
    "weights and a representative dataset of real inputs, convert the model again"
)


def broadcast(
    op: Operation, operands: Sequence[Value], y: Value, most_dims: int = MAX_RANK
) -> None:
    """The result has the shape that the operands broadcast to, aligned at the last dimension.

    most_dims: that the kernel's loops have, if anything must be broadcast at all.
    """
    for value in (*operands, y):
        op.rank(value, 0, MAX_RANK)
    try:
        shape = np.broadcast_shapes(*(value.shape for value in operands))
    except ValueError:
        op.need(False, operands[-1], f"does not broadcast with {operands[0]!r}")
        return
    if any(value.shape != y.shape for value in operands):
        op.rank(y, 0, most_dims)
    op.shape_but_ones(y, shape)


def _sum_scales(op: Operation, operands: Sequence[Value], y: Value) -> None:
    """QuantizeMultiplierSmallerThanOneExp of the result's multiplier (add_common.cc)."""
    twice = 2 * max(scale_of(value) for value in operands)
    ratio = twice / ((1 << _ADDITION_BITS[y.dtype]) * scale_of(y))
    op.ratio(y, ratio, 1.0, positive=True)
