# SPDX-License-Identifier: Apache-2.0
"""Reductions: MEAN, SUM, REDUCE_MAX and their kin, ARG_MAX and ARG_MIN.

TFLM: ``micro/kernels/reduce_common.cc``, ``arg_min_max.cc``.
"""

from __future__ import annotations

from tflsplit.ir import DType
from tflsplit.ops.declared.operation import (
    LARGEST_MULTIPLIER,
    MAX_RANK,
    Operation,
    declares,
    scale_of,
)

_F32, _I8, _I16, _BOOL = DType.FLOAT32, DType.INT8, DType.INT16, DType.BOOL
_REDUCTIONS = {
    **dict.fromkeys(("MEAN", "SUM"), (_F32, _I8, _I16)),
    **dict.fromkeys(("REDUCE_MAX", "REDUCE_MIN"), (_F32, _I8)),
    "REDUCE_ALL": (_BOOL,),
}


@declares(*_REDUCTIONS)
def _reduce(op: Operation) -> None:
    op.count(2)
    x, y = op.x(), op.y()
    op.dtype(x, *_REDUCTIONS[op.node.op])
    op.same_dtype(y, x)
    op.rank(x, 0, MAX_RANK)
    if op.quantized(x):
        op.scale(x, y)
        op.ratio(y, scale_of(x) / scale_of(y), LARGEST_MULTIPLIER)
    op.rank(op.x(1), 0, 1)
    axes = op.integers(1)
    keep = op.option("keep_dims", 0, 1)
    if axes is None:
        return
    gone = {op.axis(axis, len(x.shape)) for axis in axes}
    kept = [extent for dim, extent in enumerate(x.shape) if dim not in gone]
    ones = [1 if dim in gone else extent for dim, extent in enumerate(x.shape)]
    # Kernels count elements, so files that say keep_dims of a shape without them work, too.
    op.shape(y, ones if keep or y.shape == tuple(ones) else kept)


_OF_INT32 = (
    "before you convert the model again, write tf.argmax(x, axis, output_type=tf.int32), or leave "
    "that out and look for the largest on the host"
)


@declares("ARG_MAX", "ARG_MIN")
def _arg_max(op: Operation) -> None:
    op.count(2)
    x, y = op.x(), op.y()
    op.dtype(x, _F32, _I8)
    holds = y.dtype is DType.INT32 or not op.types
    op.need(holds, y, "must be int32, which is what TFLM's kernel makes", _OF_INT32)
    op.rank(x, 1, MAX_RANK)
    op.size(op.x(1), 1)
    axes = op.integers(1)
    if axes is None:
        return
    axis = op.axis(axes[0], len(x.shape))
    op.shape(y, (*x.shape[:axis], *x.shape[axis + 1 :]))
