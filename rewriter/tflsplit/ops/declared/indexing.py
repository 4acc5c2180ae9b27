# SPDX-License-Identifier: Apache-2.0
"""Operators that take elements by index, repeat or count them: SLICE, GATHER, BROADCAST_TO, ...

TFLM: ``micro/kernels/{slice,strided_slice_common,gather,gather_nd,embedding_lookup,broadcast_to,
broadcast_args,fill,shape,cumsum,dynamic_update_slice}.cc``.  Indices that are computed are known
when the kernel runs, and not before.
"""

from __future__ import annotations

from tflsplit.ir import DType
from tflsplit.ops.declared.operation import INDICES, MAX_RANK, Operation, declares
from tflsplit.ops.stock.slices import strided_ranges

_F32, _I8, _I16, _I32 = DType.FLOAT32, DType.INT8, DType.INT16, DType.INT32
_I64, _BOOL = DType.INT64, DType.BOOL


@declares("SLICE")
def _slice(op: Operation) -> None:
    op.count(3)
    x, y = op.x(), op.y()
    op.dtype(x, _F32, _I8, _I16, _I32, _BOOL)
    op.same_dtype(y, x)
    op.rank(x, 1, 5)
    rank = len(x.shape)
    op.rank(y, rank)
    begins, sizes = op.indices(1, rank, *INDICES), op.indices(2, rank, *INDICES)
    op.same_dtype(op.x(2), op.x(1))
    if begins is None or sizes is None:
        return
    for begin, size, extent in zip(begins, sizes, x.shape, strict=True):
        inside = 0 <= begin < extent and -1 <= size <= extent - begin
        op.need(inside, op.x(1), f"takes {size} elements from {begin} on, of {extent} in {x!r}")
    op.shape(
        y,
        [n - a if size == -1 else size for n, a, size in zip(x.shape, begins, sizes, strict=True)],
    )


@declares("STRIDED_SLICE")
def _strided_slice(op: Operation) -> None:
    op.count(4)
    x, y = op.x(), op.y()
    op.dtype(x, _F32, _I8, _I16, _I32, _BOOL)
    op.same_dtype(y, x)
    op.rank(x, 1, 4)
    rank = len(x.shape)
    op.option("ellipsis_mask", 0, 0)
    op.option("new_axis_mask", 0, 0)
    shrunk = op.node.attrs.integer("shrink_axis_mask")
    given = [op.indices(index, rank) for index in (1, 2, 3)]
    op.need(0 not in (given[2] or ()), op.x(3), "has a stride of 0")
    ranges = strided_ranges(op.node)
    if ranges is None:
        return
    for extent, span in zip(x.shape, ranges, strict=True):
        inside = not len(span) or (0 <= span[0] < extent and 0 <= span[-1] < extent)
        op.need(inside, op.x(1), f"takes elements that {x!r} has not")
    op.shape(y, [len(span) for dim, span in enumerate(ranges) if not shrunk >> dim & 1])


@declares("GATHER")
def _gather(op: Operation) -> None:
    op.count(2)
    table, y = op.x(0), op.y()
    op.dtype(table, _F32, _I8)
    op.same_dtype(y, table)
    op.rank(table, 1, MAX_RANK)
    chosen = op.integers(1)
    indices = op.x(1)
    op.rank(indices, 0, MAX_RANK)
    axis = op.axis(op.node.attrs.integer("axis"), len(table.shape))
    batches = op.node.attrs.integer("batch_dims")
    batches += len(indices.shape) if batches < 0 else 0
    holds = 0 <= batches <= min(axis, len(indices.shape))
    op.need(holds, f"batch_dims = {batches}", f"does not fit {table!r} and {indices!r}")
    op.need(table.shape[:batches] == indices.shape[:batches], indices, f"has not {table!r}'s batch")
    extent = table.shape[axis]
    inside = all(0 <= index < extent for index in chosen or ())
    op.need(inside, indices, f"has an index outside 0 to {extent - 1}")
    op.shape(y, (*table.shape[:axis], *indices.shape[batches:], *table.shape[axis + 1 :]))


@declares("GATHER_ND")
def _gather_nd(op: Operation) -> None:
    op.count(2)
    table, y, indices = op.x(0), op.y(), op.x(1)
    op.dtype(table, _F32, _I8)
    op.same_dtype(y, table)
    op.rank(table, 1, MAX_RANK)
    op.rank(indices, 1, MAX_RANK)
    depth = indices.shape[-1]
    op.need(1 <= depth <= min(5, len(table.shape)), indices, f"has too many indices for {table!r}")
    chosen = op.integers(1) or ()
    for place, index in enumerate(chosen):
        extent = table.shape[place % depth]
        op.need(0 <= index < extent, indices, f"has an index outside 0 to {extent - 1}")
    op.shape(y, (*indices.shape[:-1], *table.shape[depth:]))


@declares("EMBEDDING_LOOKUP")
def _embedding_lookup(op: Operation) -> None:
    op.count(2)
    table, y = op.x(1), op.y()
    op.dtype(table, _F32, _I8)
    op.dtype(y, _F32, *((_I8,) if table.dtype is _I8 else ()))
    op.rank(table, 2, MAX_RANK)
    op.rank(op.x(0), 1)
    rows = table.shape[0]
    inside = all(0 <= index < rows for index in op.integers(0) or ())
    op.need(inside, op.x(0), f"has an index outside 0 to {rows - 1}")
    op.shape(y, (op.x(0).shape[0], *table.shape[1:]))


@declares("BROADCAST_TO")
def _broadcast_to(op: Operation) -> None:
    op.count(2)
    x, y = op.x(), op.y()
    op.same_dtype(y, x)
    op.need(x.dtype.itemsize > 0, x, "has elements that cannot be repeated")
    op.rank(y, 0, 5)
    op.rank(x, 0, len(y.shape))
    shape = op.indices(1, len(y.shape), *INDICES)
    behind = y.shape[len(y.shape) - len(x.shape) :]
    fits = all(own in (1, extent) for own, extent in zip(x.shape, behind, strict=True))
    op.need(fits, y, f"is nothing that {x!r} broadcasts to")
    if shape is not None:
        op.shape(y, shape)


@declares("BROADCAST_ARGS")
def _broadcast_args(op: Operation) -> None:
    op.count(2)
    a, b, y = op.x(0), op.x(1), op.y()
    op.dtype(a, *INDICES)
    for value in (a, b, y):
        op.same_dtype(value, a)
        op.rank(value, 1)
    op.shape(y, (max(a.shape[0], b.shape[0]),))


@declares("FILL")
def _fill(op: Operation) -> None:
    op.count(2)
    value, y = op.x(1), op.y()
    op.dtype(value, _F32, _I8, _I16, _I32)
    op.same_dtype(y, value)
    op.rank(value, 0)
    shape = op.indices(0, len(y.shape), *INDICES)
    if shape is not None:
        op.shape(y, shape)


@declares("SHAPE")
def _shape(op: Operation) -> None:
    op.count(1)
    op.dtype(op.y(), *INDICES)
    op.shape(op.y(), (len(op.x().shape),))


@declares("CUMSUM")
def _cumsum(op: Operation) -> None:
    op.count(2)
    x, y = op.x(), op.y()
    op.dtype(x, _F32, _I8)
    op.same_dtype(y, x)
    op.rank(x, 1, MAX_RANK)
    op.shape(y, x.shape)
    op.scale(x, y)
    op.size(op.x(1), 1)
    for axis in op.integers(1) or ():
        op.axis(axis, len(x.shape))


@declares("DYNAMIC_UPDATE_SLICE")
def _dynamic_update_slice(op: Operation) -> None:
    op.count(3)
    x, update, y = op.x(0), op.x(1), op.y()
    op.dtype(x, _F32, _I8, _I16, _I32)
    op.same_dtype(update, x)
    op.same_dtype(y, x)
    op.rank(x, 1, MAX_RANK)
    op.rank(update, len(x.shape))
    fits = all(own <= extent for own, extent in zip(update.shape, x.shape, strict=True))
    op.need(fits, update, f"does not lie within {x!r}")
    op.indices(2, len(x.shape), *INDICES)
    op.shape(y, x.shape)
