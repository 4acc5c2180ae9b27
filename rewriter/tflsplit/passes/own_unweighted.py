# SPDX-License-Identifier: Apache-2.0
"""ADD, MEAN and pools of int8 as operators of our own: fewer instructions, less arena.

    before   a, b -- ADD --> y                  77 instructions a value, 80 bytes of arena
    after    a, b -- TFLSPLIT_ADD --> y         10, 12 and y may lie over a or b

What our kernels do not take stays TFLM's: other dtypes, broadcasts, several scales, means over
dimensions that do not lie side by side, windows without values.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from tflsplit.ir import DType, Graph, Node, Value
from tflsplit.ops.dims import constant_integers, normal_axis
from tflsplit.ops.own.custom_options import MOST_SUMMED
from tflsplit.ops.own.mean_sums import have_one_scale, mean_multiplier, summed_axes
from tflsplit.ops.own.unweighted import (
    ADD_SHIFT,
    MEAN_SHIFT,
    PoolOptions,
    add,
    is_scale,
    mean,
    pool_2d,
)
from tflsplit.ops.quantmath import add_multipliers
from tflsplit.ops.stock.pooling import windows_of
from tflsplit.ops.stock.requantization import fused_range


def own_unweighted(graph: Graph) -> Graph:
    """The graph with every such operator that our kernels take in our own form."""
    return replace(graph, nodes=[own_form(node) for node in graph.nodes])


def own_form(node: Node) -> Node:
    """A stock operator as our own; any other node as it is."""
    make = None if node.is_custom else _OWN.get(node.op)
    if make is None or len(node.outputs) != 1:
        return node
    return make(node) or node


def _takes(*values: Value) -> bool:
    return all(value.dtype is DType.INT8 for value in values) and have_one_scale(*values)


def _scale(value: Value) -> float:
    assert value.quantization is not None
    return value.quantization.scale


def _add(node: Node) -> Node | None:
    values = *node.operands, node.output
    if len(node.inputs) != 2 or len(values) != 3 or not _takes(*values):
        return None
    x, other, y = values
    if {v.shape for v in values} != {y.shape} or not y.size or not x.is_computed:
        return None
    multipliers = add_multipliers(_scale(x), _scale(other), _scale(y))
    if not all(is_scale(multiplier, ADD_SHIFT) for multiplier in multipliers):
        return None
    return add(x, other, y, multipliers=multipliers, activation=fused_range(node), name=node.name)


def _mean(node: Node) -> Node | None:
    x, y, axes = node.input(0), node.output, constant_integers(node.inputs[1])
    if axes is None or not x.is_computed or not _takes(x, y) or not y.shape:
        return None
    run = summed_axes(len(x.shape), [normal_axis(axis, len(x.shape)) for axis in axes])
    if run is None:
        return None
    count = math.prod(x.shape[slice(*run)])
    kept = *x.shape[: run[0]], *x.shape[run[1] :]
    if (
        not 0 < count <= MOST_SUMMED
        or tuple(n for n in y.shape if n != 1) != tuple(n for n in kept if n != 1)
        or len(y.shape) not in (len(kept), len(x.shape))
    ):
        return None
    scaling = mean_multiplier(node, count)
    return (
        mean(x, y, axes=run, scaling=scaling, name=node.name)
        if is_scale(scaling, MEAN_SHIFT)
        else None
    )


def _pool(node: Node) -> Node | None:
    x, y = node.input(0), node.output
    if len(x.shape) != 4 or not x.is_computed or not _takes(x, y):
        return None
    windows = windows_of(node)
    if not windows.fits(x, y) or x.shape[3] != y.shape[3]:
        return None
    (top, bottom), (left, right) = windows.pads(x)
    rows, columns = windows.axes
    options = PoolOptions(
        (rows.kernel, columns.kernel), (rows.stride, columns.stride), (top, bottom, left, right),
        fused_range(node), node.op == "MAX_POOL_2D",
    )  # fmt: skip
    if options.has_empty_windows or math.prod(options.kernel) > MOST_SUMMED:
        return None
    made = options.out_extent(x.shape)
    return pool_2d(x, y, options, node.name) if made == y.shape[1:3] else None


_OWN: dict[str, Callable[[Node], Node | None]] = {
    "ADD": _add,
    "MEAN": _mean,
    "AVERAGE_POOL_2D": _pool,
    "MAX_POOL_2D": _pool,
}
