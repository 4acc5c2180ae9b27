# SPDX-License-Identifier: Apache-2.0
"""Tensors that may lie inside others, because they hold the same bytes whenever both matter.

An operator that only moves bytes need not move them where its operand already lies in its result,
or its result in its operand::

    RECV            shard  rows 4..8             CONCATENATION   [ a | b | c ]
                           |||||||||             along rows      '--- y ---'
                    y    rows 3..8, one received

    SLICE, SPLIT    '------ x ------'            RESHAPE         [    x    ]
    along rows        [ y0 ] [ y1 ]                              [    y    ]

*Rows* are the elements of the outermost dimension that is not 1: only those are contiguous.  A
shard may overhang the result; what both hold is then exactly the local box, which no piece touches.
Nothing writes to a tensor after the operator that makes it, so equal bytes stay equal.

What the kernels do when source and destination are one address, at TFLM 90b983c: RESHAPE compares
the pointers; EXPAND_DIMS, SLICE, STRIDED_SLICE, SPLIT and SPLIT_V copy element by element;
CONCATENATION and SQUEEZE call memcpy(p, p, n), which compilers themselves emit for assignments and
therefore ask of every C library (GCC's manual, "Language Standards Supported by GCC").  Ours:
``begin_result`` in ``split_device/transfer.cc`` skips the copy.

Here is only what may be; ``groups`` puts it together, ``overlap`` proves the result without this.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tflsplit.ir import Activation, Graph, Node, Value
from tflsplit.memory.buffers import ALIGNMENT_BYTES
from tflsplit.memory.lifetimes import in_head
from tflsplit.ops import Box
from tflsplit.ops.dims import constant_integers, normal_axis
from tflsplit.ops.own.custom_options import RecvOptions
from tflsplit.ops.stock.slices import strided_ranges
from tflsplit.wire import custom_ops as wire


@dataclass(frozen=True)
class Tie:
    """``inner`` may lie in the memory of ``outer``.

    offset_bytes: where byte 0 of ``inner`` lies, from byte 0 of ``outer``; negative where it
        overhangs the front.
    op: the operator that then moves nothing.
    """

    inner: Value
    outer: Value
    offset_bytes: int
    op: str


def find_ties(graph: Graph) -> list[Tie]:
    """Every tie between an operand and a result of one node, in execution order.

    Both live in the arena's head and are of one dtype; ``inner`` starts on a 16-byte boundary, as
    every tensor does (vector loads of some targets want that).  One value may have several.
    """
    return [
        tie
        for node in graph.nodes
        if node.op in _FINDERS
        for tie in _FINDERS[node.op](node)
        if _is_possible(tie)
    ]


def _is_possible(tie: Tie) -> bool:
    return (
        in_head(tie.inner)
        and in_head(tie.outer)
        and tie.inner.dtype is tie.outer.dtype
        and bool(tie.inner.dtype.itemsize)  # int4 is planned unpacked, but copied packed
        and tie.offset_bytes % ALIGNMENT_BYTES == 0
    )


def _received(node: Node) -> Iterator[Tie]:
    options = RecvOptions.of(node)
    if not node.outputs or options.local is None or options.add:
        return
    x, y = node.input(0), node.output
    axis = _row_axis(x.shape, y.shape)
    shard, result = Box.at(options.local_origin, x.shape), Box.at(options.origin, y.shape)
    alike = all(
        mine == whole
        for dim, (mine, whole) in enumerate(zip(shard.intervals, result.intervals, strict=True))
        if dim != axis
    )
    # A smaller local box would let a piece be written over rows of the shard.
    if alike and options.local == shard.intersect(result):
        row = shard.origin[axis] - result.origin[axis]
        yield Tie(x, y, row * _row_bytes(y, axis), node.op)


def _row_axis(*shapes: tuple[int, ...]) -> int:
    """The first dimension that is not 1 everywhere; the last if all are."""
    extents = enumerate(zip(*shapes, strict=True))
    return next((dim for dim, each in extents if set(each) != {1}), len(shapes[0]) - 1)


def _row_bytes(value: Value, axis: int) -> int:
    return math.prod(value.shape[axis + 1 :]) * value.dtype.itemsize


def _concatenated(node: Node) -> Iterator[Tie]:
    y = node.output
    axis = normal_axis(node.attrs.integer("axis"), len(y.shape))
    if node.attrs.integer("fused_activation_function", Activation.NONE):
        return
    if math.prod(y.shape[:axis]) != 1:
        return
    offset_bytes = 0
    for x in node.operands:
        if node.operands.count(x) == 1 and x.quantization == y.quantization:
            yield Tie(x, y, offset_bytes, node.op)
        offset_bytes += x.size_bytes


def _reshaped(node: Node) -> Iterator[Tie]:
    x, y = node.input(0), node.output
    if x.size_bytes == y.size_bytes:
        yield Tie(x, y, 0, node.op)


def _sliced(node: Node) -> Iterator[Tie]:
    begin = constant_integers(node.input(1))
    if begin is not None:
        yield from _view(node, begin)


def _strided(node: Node) -> Iterator[Tie]:
    ranges = strided_ranges(node)
    if ranges is not None and all(span.step == 1 for span in ranges):
        yield from _view(node, [span.start for span in ranges])


def _view(node: Node, begin: list[int] | tuple[int, ...]) -> Iterator[Tie]:
    x, y = node.input(0), node.output
    if len(x.shape) != len(y.shape) or not x.shape:
        return
    axis = _row_axis(x.shape)
    if x.shape[axis + 1 :] == y.shape[axis + 1 :]:
        yield Tie(y, x, begin[axis] * _row_bytes(x, axis), node.op)


def _split(node: Node) -> Iterator[Tie]:
    yield from _parts(node, node.input(1), node.input(0))


def _split_v(node: Node) -> Iterator[Tie]:
    yield from _parts(node, node.input(0), node.input(2))


def _parts(node: Node, x: Value, axis_value: Value) -> Iterator[Tie]:
    axes = constant_integers(axis_value)
    if not axes or math.prod(x.shape[: normal_axis(axes[0], len(x.shape))]) != 1:
        return
    offset_bytes = 0
    for y in node.outputs:
        yield Tie(y, x, offset_bytes, node.op)
        offset_bytes += y.size_bytes


_FINDERS: dict[str, Callable[[Node], Iterator[Tie]]] = {
    "CONCATENATION": _concatenated,
    "EXPAND_DIMS": _reshaped,
    "RESHAPE": _reshaped,
    "SLICE": _sliced,
    "SPLIT": _split,
    "SPLIT_V": _split_v,
    "SQUEEZE": _reshaped,
    "STRIDED_SLICE": _strided,
    wire.RECV: _received,
}
