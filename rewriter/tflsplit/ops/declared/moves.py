# SPDX-License-Identifier: Apache-2.0
"""Operators that join, part and move elements: CONCATENATION, SPLIT, RESHAPE, PAD, TRANSPOSE, ...

TFLM: ``micro/kernels/{concatenation,pack,unpack,split,split_v,reshape_common,squeeze,expand_dims,
pad_common,mirror_pad,transpose_common,reverse,resize_*}.cc`` and the space, depth and batch ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from tflsplit.ir import Activation, DType, Value
from tflsplit.ops.declared.operation import (
    INDICES,
    MAX_RANK,
    MAX_STEP,
    Operation,
    declares,
    scale_of,
    zero_point_of,
)
from tflsplit.ops.dims import constant_integers
from tflsplit.ops.stock.concat import JOINED

_F32, _I8, _I16, _I32 = DType.FLOAT32, DType.INT8, DType.INT16, DType.INT32
_I64, _U8, _BOOL = DType.INT64, DType.UINT8, DType.BOOL
_MOST_JOINED = 10  # kMaxInputNum of concatenation.cc


@declares("CONCATENATION")
def _concatenation(op: Operation) -> None:
    op.count(1, _MOST_JOINED)
    operands, y = op.every(), op.y()
    op.option("fused_activation_function", Activation.NONE, Activation.NONE)
    op.dtype(y, *JOINED)
    op.rank(y, 1, MAX_RANK)
    axis = op.axis(op.node.attrs.integer("axis"), len(y.shape))
    for value in operands:
        op.same_dtype(value, y)
        op.rank(value, len(y.shape))
        op.shape(value, (*y.shape[:axis], value.shape[axis], *y.shape[axis + 1 :]))
        if y.dtype is _I8:
            _quantized_as(op, value, y)
    joined = sum(value.shape[axis] for value in operands)
    op.shape(y, (*y.shape[:axis], joined, *y.shape[axis + 1 :]))


@declares("PACK")
def _pack(op: Operation) -> None:
    op.count(1, max(1, len(op.node.inputs)))
    operands, y = op.every(), op.y()
    op.dtype(y, _F32, _I8, _I16, _I32, _I64)
    op.rank(y, 1, MAX_RANK)
    axis = op.axis(op.node.attrs.integer("axis"), len(y.shape))
    op.option("values_count", len(operands), len(operands))
    for value in operands:
        op.same_dtype(value, y)
        op.size(value, y.size // y.shape[axis])
    op.shape(y, (*y.shape[:axis], len(operands), *y.shape[axis + 1 :]))


@declares("UNPACK")
def _unpack(op: Operation) -> None:
    op.count(1, results=max(1, len(op.node.outputs)))
    x, results = op.x(), op.node.outputs
    op.dtype(x, _F32, _I8, _I16, _I32)
    op.rank(x, 1, MAX_RANK)
    axis = op.axis(op.node.attrs.integer("axis"), len(x.shape))
    op.option("num", len(results), len(results))
    op.shape(x, (*x.shape[:axis], len(results), *x.shape[axis + 1 :]))
    for value in results:
        op.same_dtype(value, x)
        op.shape(value, (*x.shape[:axis], *x.shape[axis + 1 :]))


@declares("SPLIT")
def _split(op: Operation) -> None:
    op.count(2, results=max(1, len(op.node.outputs)))
    axis = _parted_axis(op, op.x(1), 0)
    op.option("num_splits", len(op.node.outputs), len(op.node.outputs))
    if axis is not None:
        _parts(op, op.x(1), axis, [op.x(1).shape[axis] // len(op.node.outputs)])


@declares("SPLIT_V")
def _split_v(op: Operation) -> None:
    op.count(3, results=max(1, len(op.node.outputs)))
    sizes, parts = op.integers(1, *INDICES), len(op.node.outputs)
    axis = _parted_axis(op, op.x(0), 2)
    op.option("num_splits", parts, parts)
    op.shape(op.x(1), (parts,))
    if axis is None:
        return
    _parts(op, op.x(0), axis, [])
    for size, value in zip(sizes or (), op.node.outputs, strict=False):
        op.need(size in (-1, value.shape[axis]), value, f"must have {size} elements along {axis}")


def _parted_axis(op: Operation, x: Value, index: int) -> int | None:
    """The axis in operand ``index``; None where it is computed."""
    op.dtype(x, _F32, _I8, _I16, _I32)
    op.rank(x, 1, MAX_RANK)
    op.size(op.x(index), 1)
    axes = op.integers(index)
    return None if axes is None else op.axis(axes[0], len(x.shape))


def _parts(op: Operation, x: Value, axis: int, extents: Sequence[int]) -> None:
    """``extents``: how much of the axis every part has, if that is known."""
    for value in op.node.outputs:
        op.same_dtype(value, x)
        op.rank(value, len(x.shape))
        extent = extents[0] if extents else value.shape[axis]
        op.shape(value, (*x.shape[:axis], extent, *x.shape[axis + 1 :]))
    parts = sum(value.shape[axis] for value in op.node.outputs)
    op.shape(x, (*x.shape[:axis], parts, *x.shape[axis + 1 :]))


@declares("RESHAPE")
def _reshape(op: Operation) -> None:
    op.count(1, 2)
    x, y = op.x(), op.y()
    op.same_dtype(y, x)
    wanted = None
    if op.optional(1) is not None:
        op.dtype(op.x(1), *INDICES)
        wanted = _resolved(op.x(1), x.size)
    op.size(y, x.size, wanted)


def _resolved(shape: Value, size: int) -> tuple[int, ...] | None:
    """What an operand of RESHAPE says for ``size`` elements; None where it is computed or wrong."""
    extents = constant_integers(shape)
    if extents is None:
        return None
    known = math.prod(extent for extent in extents if extent != -1)
    if known and extents.count(-1) == 1:
        extents = tuple(size // known if extent == -1 else extent for extent in extents)
    return extents if math.prod(extents) == size and min(extents, default=1) > 0 else None


@declares("SQUEEZE")
def _squeeze(op: Operation) -> None:
    op.count(1)
    x, y = op.x(), op.y()
    op.same_dtype(y, x)
    rank = len(x.shape)
    gone = {op.axis(dim, rank) for dim in op.node.attrs.integers("squeeze_dims")}
    gone = gone or {dim for dim, extent in enumerate(x.shape) if extent == 1}
    op.need(all(x.shape[dim] == 1 for dim in gone), x, "has other extents than 1 to be squeezed")
    op.shape(y, [extent for dim, extent in enumerate(x.shape) if dim not in gone])


@declares("EXPAND_DIMS")
def _expand_dims(op: Operation) -> None:
    op.count(2)
    x, y = op.x(), op.y()
    op.dtype(x, _F32, _I8, _I16, _I32)
    op.same_dtype(y, x)
    op.rank(op.x(1), 0, 1)
    op.size(op.x(1), 1)
    axes = op.integers(1)
    op.size(y, x.size)
    if axes is not None:
        axis = op.axis(axes[0], len(x.shape) + 1)
        op.shape(y, (*x.shape[:axis], 1, *x.shape[axis:]))


@declares("PAD", "PADV2", "MIRROR_PAD")
def _pad(op: Operation) -> None:
    mirrored = op.node.op == "MIRROR_PAD"
    op.count(2, 2 if mirrored else 3)
    x, y, value = op.x(), op.y(), op.optional(2)
    op.dtype(x, _F32, _I8, *(() if mirrored else (_I16, _I32)))
    op.same_dtype(y, x)
    op.rank(x, 1, MAX_RANK if mirrored else 5)
    rank = len(x.shape)
    op.rank(y, rank)
    op.size(op.x(1), 2 * rank)
    if value is not None:
        op.same_dtype(value, x)
        op.size(value, 1)
    if x.dtype is _I8 and value is None and not mirrored:
        _quantized_as(op, y, x)
    pads = op.integers(1, *INDICES)
    if pads is None:
        return
    pairs = list(zip(pads[::2], pads[1::2], strict=True))
    most = [extent - op.option("mode", 0, 1) if mirrored else 2**31 for extent in x.shape]
    holds = all(0 <= pad <= n for pair, n in zip(pairs, most, strict=True) for pad in pair)
    op.need(holds, op.x(1), f"pads {x!r} with what it has not: {[list(pair) for pair in pairs]}")
    op.shape(y, [n + before + after for n, (before, after) in zip(x.shape, pairs, strict=True)])


@declares("TRANSPOSE")
def _transpose(op: Operation) -> None:
    op.count(2)
    x, y = op.x(), op.y()
    op.dtype(x, _F32, _I8, _I16)
    op.same_dtype(y, x)
    op.rank(x, 0, 5)
    rank = len(x.shape)
    order = op.indices(1, rank)
    op.size(y, x.size)
    if order is not None:
        op.need(sorted(order) == list(range(rank)), op.x(1), f"is no order of {rank} dimensions")
        op.shape(y, [x.shape[dim] for dim in order])


@declares("REVERSE_V2")
def _reverse(op: Operation) -> None:
    op.count(2)
    x, y = op.x(), op.y()
    op.dtype(x, _F32, _I8, _I16, _I32, _I64, _U8, _BOOL)
    op.same_dtype(y, x)
    op.rank(x, 1, MAX_RANK)
    op.rank(op.x(1), 1)
    op.shape(y, x.shape)
    for axis in op.integers(1) or ():
        op.axis(axis, len(x.shape))


@declares("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR")
def _resize(op: Operation) -> None:
    op.count(2)
    x, y = op.x(), op.y()
    nearest = op.node.op == "RESIZE_NEAREST_NEIGHBOR"
    op.dtype(x, _F32, _I8, *((_I16,) if nearest else ()))
    op.same_dtype(y, x)
    op.rank(x, 4)
    op.rank(y, 4)
    corners, half = op.option("align_corners", 0, 1), op.option("half_pixel_centers", 0, 1)
    op.need(nearest or not (corners and half), "half_pixel_centers", "excludes align_corners")
    size = op.indices(1, 2)
    op.shape(y, (x.shape[0], *(y.shape[1:3] if size is None else size), x.shape[3]))


@declares("SPACE_TO_DEPTH", "DEPTH_TO_SPACE")
def _depth_space(op: Operation) -> None:
    op.count(1)
    x, y = op.x(), op.y()
    op.dtype(x, _F32, _I8)
    op.same_dtype(y, x)
    op.rank(x, 4)
    op.rank(y, 4)
    block = op.option("block_size", 1, MAX_STEP)
    wide, narrow = (x, y) if op.node.op == "SPACE_TO_DEPTH" else (y, x)
    batch, rows, columns, channels = narrow.shape
    op.need(channels % (block * block) == 0, narrow, f"has no whole blocks of {block} x {block}")
    op.shape(wide, (batch, rows * block, columns * block, channels // (block * block)))


@declares("SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND")
def _batch_space(op: Operation) -> None:
    op.count(3)
    x, y = op.x(), op.y()
    op.dtype(x, _F32, _I8)
    op.same_dtype(y, x)
    op.rank(x, 3, 4)
    op.rank(y, len(x.shape))
    spatial = len(x.shape) - 2
    op.shape(op.x(1), (spatial,))
    op.shape(op.x(2), (spatial, 2))
    blocks, edges = op.integers(1), op.integers(2)
    if blocks is None or edges is None:
        return
    op.need(all(1 <= block <= MAX_STEP for block in blocks), op.x(1), "has blocks out of range")
    op.need(all(0 <= edge < 2**31 for edge in edges), op.x(2), "has negative edges")
    around = [sum(edges[2 * dim : 2 * dim + 2]) for dim in range(spatial)]
    # Both are one relation: blocks of the narrow one, less what is cut off, are the wide one.
    wide, narrow = (x, y) if op.node.op == "SPACE_TO_BATCH_ND" else (y, x)
    middle = [
        extent * block - edge
        for extent, block, edge in zip(narrow.shape[1:-1], blocks, around, strict=True)
    ]
    op.shape(wide, (wide.shape[0], *middle, narrow.shape[-1]))
    op.shape(narrow, (wide.shape[0] * math.prod(blocks), *narrow.shape[1:]))


def _quantized_as(op: Operation, value: Value, other: Value) -> None:
    alike = scale_of(value) == scale_of(other) and zero_point_of(value) == zero_point_of(other)
    op.need(alike or not op.types, value, f"must be quantized as {other!r}")
