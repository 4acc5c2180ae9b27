# SPDX-License-Identifier: Apache-2.0
"""Channels (the last dimension): which of them an operator keeps apart, and what they can hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tflsplit.ir import DType, Graph, Node, Value
from tflsplit.ops.dims import broadcasts_to, constant_integers, normal_axis
from tflsplit.ops.facts.sums import Ranges, finished, sums_of
from tflsplit.ops.stock.pad import paddings_of, stored_value
from tflsplit.ops.stock.requantization import fused_range
from tflsplit.ops.window import Windows

Sources = NDArray[np.intp]
"""For every channel of a result the channel of an operand that it is made of; -1 where of none."""

_SAME_SHAPE = (
    "RELU",
    "RELU6",
    "RELU_N1_TO_1",
    "LEAKY_RELU",
    "HARD_SWISH",
    "LOGISTIC",
    "TANH",
    "QUANTIZE",
)
_RESIZES = ("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR")
_PADS = ("PAD", "PADV2")
_POOLS = ("AVERAGE_POOL_2D", "MAX_POOL_2D")
_RESHAPES = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS")
_SUMS = ("ADD", "SUB", "MUL")
_ZERO_MAKES_ZERO = (
    "RELU",
    "RELU6",
    "RELU_N1_TO_1",
    "LEAKY_RELU",
    "HARD_SWISH",
    "QUANTIZE",
    "MEAN",
    *_SUMS,
)
"""Where operands at their zero points give the zero point in any engine: scales meet only 0."""


def has_channels(value: Value) -> bool:
    """Whether a tensor is one whose channels are followed: int8, with one scale."""
    quantization = value.quantization
    return (
        value.dtype is DType.INT8
        and bool(value.shape)
        and value.size > 0
        and quantization is not None
        and len(quantization.scales) == 1
        and len(set(quantization.zero_points)) <= 1
    )


def links_of(node: Node) -> dict[int, Sources] | None:
    """By operand that keeps its channels apart: what the result's channels are made of.

    ``result[..., c]`` depends on ``operand[..., sources[c]]`` alone of that operand.  Empty for a
    layer that adds up all channels of its operand 0.  None where channels are not followed.
    """
    if node.is_custom or len(node.outputs) != 1 or not has_channels(node.output):
        return None
    if any(value.is_variable for value in node.operands) or not node.operands:
        return None
    x, count = node.inputs[0], node.output.shape[-1]
    if x is None or not has_channels(x):
        return None
    sums = sums_of(node)
    if sums is not None:
        if not sums.step or (x.shape[-1] == 1 and count > 1):
            return {}
        return {0: np.arange(count) // sums.step}
    if node.op in _SUMS:
        return _of_elements(node)
    if node.op == "CONCATENATION":
        return _of_concatenation(node)
    kept_apart = x.is_computed and _keeps_apart(node, x)
    return {0: np.arange(count) % x.shape[-1]} if kept_apart else None


def _keeps_apart(node: Node, x: Value) -> bool:
    y = node.output
    if node.op in _RESHAPES:
        return x.size == y.size and y.shape[-1] % x.shape[-1] == 0
    if x.shape[-1] != y.shape[-1]:
        return False
    if node.op in _SAME_SHAPE:
        return x.shape == y.shape
    if node.op in _RESIZES:
        return len(x.shape) == len(y.shape) == 4
    if node.op in _POOLS:
        return _windows(node).fits(x, y)
    if node.op in _PADS:
        pairs = paddings_of(node)
        value = node.inputs[2] if len(node.inputs) > 2 else None
        return pairs is not None and pairs[-1] == (0, 0) and (value is None or value.is_constant)
    if node.op == "MEAN":
        axes = constant_integers(node.inputs[1]) if len(node.inputs) > 1 else None
        last = len(x.shape) - 1
        return axes is not None and all(normal_axis(a, last + 1) != last for a in axes)
    return False


def _windows(node: Node) -> Windows:
    kernel = node.attrs.integer("filter_height"), node.attrs.integer("filter_width")
    return Windows.of(node, kernel)


def _of_elements(node: Node) -> dict[int, Sources] | None:
    """Two operands, one of which may be broadcast; along the channels it is then read whole."""
    count = node.output.shape[-1]
    if len(node.operands) != 2 or not broadcasts_to(node.inputs, node.output):
        return None
    if not all(has_channels(value) for value in node.operands):
        return None
    return {
        index: np.arange(count)
        for index, value in enumerate(node.operands)
        if value.shape[-1] == count
    }


def _of_concatenation(node: Node) -> dict[int, Sources] | None:
    rank, count = len(node.output.shape), node.output.shape[-1]
    operands = node.operands
    if len(operands) != len(node.inputs) or not all(
        has_channels(value) and value.is_computed and len(value.shape) == rank for value in operands
    ):
        return None
    if normal_axis(node.attrs.integer("axis"), rank) != rank - 1:
        return dict.fromkeys(range(len(operands)), np.arange(count))
    links, start = {}, 0
    for index, value in enumerate(operands):
        sources = np.full(count, -1)
        sources[start : start + value.shape[-1]] = np.arange(value.shape[-1])
        links[index], start = sources, start + value.shape[-1]
    return links if start == count else None


def channel_ranges(graph: Graph) -> dict[Value, Ranges]:
    """What every channel of every tensor with channels can hold, whatever the inputs are.

    By induction over the nodes: an input can be anything that int8 can; a layer's sums follow from
    bounds on its products (``Sums.bounds``); pooling, moving and clamping stay between the ends of
    what they read; and of anything else nothing is known.
    """
    ranges: dict[Value, Ranges] = {}
    for value in graph.values():
        if has_channels(value):
            ranges[value] = _constant_range(value) if value.is_constant else _anything(value)
    for node in graph.nodes:
        links = links_of(node)
        if links is not None:
            ranges[node.output] = _results(node, links, ranges)
    return ranges


def _anything(value: Value) -> Ranges:
    return np.full(value.shape[-1], -128), np.full(value.shape[-1], 127)


def _constant_range(value: Value) -> Ranges:
    assert value.data is not None
    rows = value.data.reshape(-1, value.shape[-1]).astype(np.int64)
    return rows.min(axis=0), rows.max(axis=0)


def _results(node: Node, links: Mapping[int, Sources], ranges: Mapping[Value, Ranges]) -> Ranges:
    sums = sums_of(node)
    if sums is not None:
        return finished(node, sums.bounds(ranges[node.input(0)]))
    read = [
        (sources, ranges[value])
        for index, sources in links.items()
        if (value := node.inputs[index]) is not None
    ]
    if node.op in (*_RESHAPES, *_PADS, *_POOLS, "CONCATENATION"):
        low, high = _hull(node.output, read)
        if node.op in _PADS:
            border = int(stored_value(node))
            return np.minimum(low, border), np.maximum(high, border)
        if node.op in _POOLS:
            least, most = fused_range(node)
            return np.clip(low, least, most), np.clip(high, least, most)
        return low, high
    low, high = _anything(node.output)
    if node.op in _ZERO_MAKES_ZERO:
        at_zero = _at_zero(node, links, ranges)
        zero = _zero_point(node.output)
        low, high = np.where(at_zero, zero, low), np.where(at_zero, zero, high)
    return low, high


def _hull(y: Value, read: Sequence[tuple[Sources, Ranges]]) -> Ranges:
    """Between the least and the most that is read for each channel."""
    low, high = np.full(y.shape[-1], 127), np.full(y.shape[-1], -128)
    for sources, (least, most) in read:
        low = np.minimum(low, np.where(sources < 0, 127, least[sources]))
        high = np.maximum(high, np.where(sources < 0, -128, most[sources]))
    return low, high


def _at_zero(
    node: Node, links: Mapping[int, Sources], ranges: Mapping[Value, Ranges]
) -> NDArray[np.bool_]:
    """Which channels are made of zero points alone; of a product, of one zero point at least."""
    found = []
    for index, sources in links.items():
        value = node.input(index)
        low, high = ranges[value]
        zero = _zero_point(value)
        found.append(((low == zero) & (high == zero))[sources])
    if len(found) < (2 if node.op in ("ADD", "SUB") else 1):  # one is the same for all channels
        return np.zeros(node.output.shape[-1], bool)
    together = np.logical_or if node.op == "MUL" else np.logical_and
    at_zero: NDArray[np.bool_] = together.reduce(found)
    return at_zero


def _zero_point(value: Value) -> int:
    assert value.quantization is not None
    return value.quantization.zero_point
