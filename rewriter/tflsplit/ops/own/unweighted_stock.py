# SPDX-License-Identifier: Apache-2.0
"""What operators without weights mean: in NumPy, and as the stock operators that they stand for.

ADD        ADD without activation -> MAXIMUM -> MINIMUM
MEAN       MEAN
POOL_2D    AVERAGE_POOL_2D or MAX_POOL_2D -> MAXIMUM -> MINIMUM
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tflsplit.errors import InternalError
from tflsplit.ir import Activation, Attrs, Node, Padding, Quantization, Value
from tflsplit.ops.local import int32_constant
from tflsplit.ops.own.custom_options import INT8_RANGE, activation_of, axes_of
from tflsplit.ops.own.mean_sums import mean_multiplier
from tflsplit.ops.own.unweighted import PoolOptions, scales_of, scaling_of
from tflsplit.ops.quantmath import (
    add_int8,
    add_multipliers,
    multiply_by_quantized_multiplier,
)
from tflsplit.wire import custom_ops as wire

Int8Array = NDArray[np.int8]


def added(node: Node, x: Int8Array, other: Int8Array) -> Int8Array:
    """The result of an ADD."""
    multipliers, zero_point = scales_of(node)
    zero_points = _quantization(node.input(0)).zero_point, zero_point, _zero_point(node)
    made = add_int8(x.ravel(), other.ravel(), zero_points, multipliers, activation_of(node))
    return np.asarray(made.reshape(node.output.shape), np.int8)


def averaged(node: Node, x: Int8Array) -> Int8Array:
    """The result of a MEAN."""
    offset = x.astype(np.int64) - _quantization(node.input(0)).zero_point
    sums = offset.sum(axis=tuple(range(*axes_of(node)))).astype(np.int32)
    scaled = multiply_by_quantized_multiplier(sums, *scaling_of(node))
    made = np.clip(scaled + np.int32(_zero_point(node)), *INT8_RANGE)
    return np.asarray(made.reshape(node.output.shape), np.int8)


def pooled(node: Node, x: Int8Array) -> Int8Array:
    """The result of a pool: averages divide by the values that are there, halves away from 0."""
    options = PoolOptions.of(node)
    made = np.empty(node.output.shape, np.int64)
    for row, column in np.ndindex(*node.output.shape[1:3]):
        rows, columns = (
            slice(max(begin, 0), begin + options.kernel[i])
            for i, begin in enumerate(
                at * options.stride[i] - options.pads[2 * i] for i, at in enumerate((row, column))
            )
        )
        window = x[:, rows, columns].astype(np.int64)
        if options.maximum:
            made[:, row, column] = window.max(axis=(1, 2))
            continue
        sums, count = window.sum(axis=(1, 2)), window.shape[1] * window.shape[2]
        half = np.where(sums > 0, count // 2, -(count // 2))
        made[:, row, column] = np.trunc((sums + half) / count)
    return np.asarray(np.clip(made, *options.activation), np.int8)


def _quantization(value: Value) -> Quantization:
    assert value.quantization is not None
    return value.quantization


def _zero_point(node: Node) -> int:
    return _quantization(node.output).zero_point


# ---- Stock operators: what makes them, and InternalError where none does


Clamp = Callable[[Node], tuple[Value, list[Node]]]
"""Where the unclamped result of a node goes, and what clamps it."""


def stock_add(node: Node, clamp: Clamp) -> list[Node]:
    """ADD with the multipliers that TFLM finds."""
    scales = [_quantization(value).scale for value in (*node.operands, node.output)]
    if add_multipliers(scales[0], scales[1], scales[2]) != scales_of(node)[0]:
        raise InternalError(f"{node!r}: 'scaling' does not follow from the tensors' scales")
    raw, after = clamp(node)
    attrs = Attrs(fused_activation_function=Activation.NONE)
    return [Node("ADD", tuple(node.operands), (raw,), attrs), *after]


def stock_mean(node: Node, clamp: Clamp) -> list[Node]:
    """MEAN with the multiplier that TFLM finds."""
    x, y, (first, stop) = node.input(0), node.output, axes_of(node)
    count = int(np.prod(x.shape[first:stop]))
    if mean_multiplier(node, count) != scaling_of(node):
        raise InternalError(f"{node!r}: 'scaling' does not follow from the tensors' scales")
    axes = int32_constant(f"{y.name}/axes", range(first, stop))
    keeps = len(y.shape) == len(x.shape)
    return [Node("MEAN", (x, axes), (y,), Attrs(keep_dims=keeps))]


def stock_pool(node: Node, clamp: Clamp) -> list[Node]:
    """A pool whose padding is one that options can say."""
    options, x = PoolOptions.of(node), node.input(0)
    padding = next(_paddings(options, x, node.output), None)
    if padding is None:
        raise InternalError(f"{node!r}: no stock pool has the pads {options.pads}")
    raw, after = clamp(node)
    attrs = Attrs(
        padding=padding,
        stride_h=options.stride[0],
        stride_w=options.stride[1],
        filter_height=options.kernel[0],
        filter_width=options.kernel[1],
        fused_activation_function=Activation.NONE,
    )
    op = "MAX_POOL_2D" if options.maximum else "AVERAGE_POOL_2D"
    return [Node(op, (x,), (raw,), attrs), *after]


def _paddings(options: PoolOptions, x: Value, y: Value) -> Iterator[int]:
    pads = options.pads[:2], options.pads[2:]
    for padding in (Padding.VALID, Padding.SAME):
        if all(
            axis.out_extent(padding, x.shape[dim]) == y.shape[dim]
            and axis.pads(padding, x.shape[dim]) == pads[dim - 1]
            for dim, axis in zip((1, 2), options.axes, strict=True)
        ):
            yield padding


STOCK: dict[str, Callable[[Node, Clamp], list[Node]]] = {
    wire.ADD: stock_add,
    wire.MEAN: stock_mean,
    wire.POOL_2D: stock_pool,
}
MEANING: dict[str, Callable[..., Any]] = {
    wire.ADD: added,
    wire.MEAN: averaged,
    wire.POOL_2D: pooled,
}
"""Of a node and its operands."""
