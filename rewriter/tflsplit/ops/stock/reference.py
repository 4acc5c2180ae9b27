# SPDX-License-Identifier: Apache-2.0
"""NumPy semantics of the small integer operators that compute shapes inside a model.

Only what needs no quantization and no rounding is here; everything else is TFLM's business.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tflsplit.ir import Activation, DType, Node
from tflsplit.ops.dims import normal_axis
from tflsplit.ops.stock.slices import strided_ranges

Array = NDArray[Any]
_Semantics = Callable[[Node, Sequence[Array]], "Array | None"]

INTEGERS = (DType.INT32, DType.INT64)


def evaluate_integers(node: Node) -> Array | None:
    """The only result of a node on constant operands, of the result's shape and type.

    None if an operand is computed (of SHAPE any may be), the operator is not one of these, the
    result is no int32 or int64, or the model claims another shape than the operands give.
    """
    semantics = _SEMANTICS.get(node.op)
    if semantics is None or node.is_custom or len(node.outputs) != 1:
        return None
    output = node.output
    if output.dtype not in INTEGERS or any(value is None for value in node.inputs):
        return None
    arrays = [value.data for value in node.operands if value.data is not None]
    if len(arrays) != len(node.inputs) and node.op != "SHAPE":
        return None
    result = semantics(node, arrays)
    if result is None or result.shape != output.shape:
        return None
    return result.astype(output.dtype.numpy)


def _shape(node: Node, _: Sequence[Array]) -> Array | None:
    return np.array(node.input(0).shape, np.int64)


def _strided_slice(node: Node, arrays: Sequence[Array]) -> Array | None:
    ranges = strided_ranges(node)
    if ranges is None:
        return None
    part = arrays[0]
    for dim, span in enumerate(ranges):
        part = np.take(part, list(span), axis=dim)
    shrunk = node.attrs.integer("shrink_axis_mask")
    return np.squeeze(part, tuple(dim for dim in range(len(ranges)) if shrunk >> dim & 1))


def _slice(node: Node, arrays: Sequence[Array]) -> Array | None:
    x, begin, size = arrays
    spans = zip(begin.tolist(), size.tolist(), strict=True)
    return x[tuple(slice(b, None if s == -1 else b + s) for b, s in spans)]


def _pack(node: Node, arrays: Sequence[Array]) -> Array | None:
    return np.stack(arrays, node.attrs.integer("axis"))


def _concatenation(node: Node, arrays: Sequence[Array]) -> Array | None:
    return np.concatenate(arrays, node.attrs.integer("axis"))


def _gather(node: Node, arrays: Sequence[Array]) -> Array | None:
    table, indices = arrays
    axis = normal_axis(node.attrs.integer("axis"), table.ndim)
    if node.attrs.integer("batch_dims") or indices.min(initial=0) < 0:
        return None
    return None if indices.max(initial=0) >= table.shape[axis] else np.take(table, indices, axis)


def _cast(node: Node, arrays: Sequence[Array]) -> Array | None:
    return arrays[0] if node.input(0).dtype in INTEGERS else None


def _reshaped(node: Node, arrays: Sequence[Array]) -> Array | None:
    same_size = arrays[0].size == node.output.size
    return arrays[0].reshape(node.output.shape) if same_size else None


def _fill(node: Node, arrays: Sequence[Array]) -> Array | None:
    return np.full(tuple(arrays[0].tolist()), arrays[1])


def _product(node: Node, arrays: Sequence[Array]) -> Array | None:
    axes = tuple(int(axis) for axis in np.ravel(arrays[1]))
    return np.asarray(np.prod(arrays[0], axes, keepdims=len(node.output.shape) == arrays[0].ndim))


def _arithmetic(function: Callable[[Array, Array], Array]) -> _Semantics:
    def evaluate(node: Node, arrays: Sequence[Array]) -> Array | None:
        if node.attrs.integer("fused_activation_function", Activation.NONE):
            return None
        return np.asarray(function(arrays[0], arrays[1]))

    return evaluate


_SEMANTICS: dict[str, _Semantics] = {
    "ADD": _arithmetic(np.add),
    "CAST": _cast,
    "CONCATENATION": _concatenation,
    "EXPAND_DIMS": _reshaped,
    "FILL": _fill,
    "GATHER": _gather,
    "MAXIMUM": _arithmetic(np.maximum),
    "MINIMUM": _arithmetic(np.minimum),
    "MUL": _arithmetic(np.multiply),
    "PACK": _pack,
    "REDUCE_PROD": _product,
    "RESHAPE": _reshaped,
    "SHAPE": _shape,
    "SLICE": _slice,
    "SQUEEZE": _reshaped,
    "STRIDED_SLICE": _strided_slice,
    "SUB": _arithmetic(np.subtract),
}
