# SPDX-License-Identifier: Apache-2.0
"""Results that may be written over an operand while their node runs, row by row or moved at once.

    x   |0|1|2|3|4|5|6|7|        row q of y may be written where rows of x lie that no later row
    y     |0|1|2|3|              of y needs: those below f(q), found from the block's windows

Where a tie says that two tensors hold the same, an overlay says that one is used up as the other is
made.  It holds at the one step at which the operand is read for the last time; the kernel goes from
top to bottom (``ops.own.sweep``), so the result may begin at any place that is low enough.  A RECV
moves its local shard before anything else is written to its result, so the two may lie anywhere: a
map of columns is made wider where it lies.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from tflsplit.ir import Graph, Node, Value
from tflsplit.memory.abi import align_up
from tflsplit.memory.aliases import find_ties
from tflsplit.memory.buffers import ALIGNMENT_BYTES
from tflsplit.memory.lifetimes import Span, in_head, lifetimes
from tflsplit.ops.dims import constant_integers
from tflsplit.ops.own.custom_options import RecvOptions
from tflsplit.ops.own.fused import residual_of
from tflsplit.ops.own.middle import first_value, middle_of
from tflsplit.ops.own.packed import unpacked
from tflsplit.ops.own.sweep import SweepStep, sweep_of
from tflsplit.wire import custom_ops as wire


@dataclass(frozen=True)
class Overlay:
    """``result`` may share bytes with ``operand`` at the node that makes it.

    low_bytes, high_bytes: from where to where byte 0 of the result may lie, from byte 0 of the
        operand; both included, multiples of 16.
    """

    result: Value
    operand: Value
    low_bytes: int
    high_bytes: int


def find_overlays(graph: Graph, spans: Mapping[Value, Span] | None = None) -> list[Overlay]:
    """Every overlay of a graph; ``spans``: its ``lifetimes``, if they are known.

    None over what an early RECV makes: its local part may still be sent when it is read for the
    last time, and rows that no window needs may come after that.
    """
    spans = lifetimes(graph) if spans is None else spans
    early = {
        node.output for node in graph.nodes if node.op == wire.RECV and node.attrs.get("early")
    }
    return [
        overlay
        for time, node in enumerate(graph.nodes, 1)
        for overlay in _of_node(node)
        if spans[overlay.operand][1] == time and overlay.operand not in graph.outputs
        if overlay.operand not in early
        if overlay.low_bytes <= overlay.high_bytes
    ]


def _of_node(node: Node) -> Iterator[Overlay]:
    if node.op == "QUANTIZE" and not node.is_custom:
        x, y = node.input(0), node.output
        if in_head(x) and in_head(y) and x.dtype.itemsize == y.dtype.itemsize == 1:
            yield Overlay(y, x, 0, 0)
    elif node.op == wire.ADD and in_head(node.output):
        for x in dict.fromkeys(node.operands):  # value by value
            if in_head(x):
                yield Overlay(node.output, x, -_aligned(x.size_bytes), 0)
    elif node.op == wire.FUSED_BLOCK and in_head(node.output):
        yield from _of_block(node)
    elif node.op == wire.RECV and moves_at_once(node):
        x, y = node.input(0), node.output
        yield Overlay(y, x, -_aligned(y.size_bytes), _aligned(x.size_bytes))
    elif node.op == "SLICE" and not node.is_custom:
        yield from _of_slice(node)


def moves_at_once(node: Node) -> bool:
    """Whether a RECV has read all of its local shard, for good, before its result is written to.

    Not so if a SEND of the shard may still be under way, nor if it adds.  A shard whose rows can
    lie in the result where they are (``aliases``) is tied to it.
    """
    options = RecvOptions.of(node)
    if options.local is None or options.add or node.input(0) in node.inputs[1:]:
        return False
    return in_head(node.input(0)) and not find_ties(Graph("", (), (), [node]))


def _of_slice(node: Node) -> Iterator[Overlay]:
    """TFLM's kernel copies value by value, in ascending order: downwards, or not at all."""
    x, y, begin = node.input(0), node.output, constant_integers(node.input(1))
    if begin is None or not (in_head(x) and in_head(y) and x.dtype.itemsize):
        return
    strides = [math.prod(x.shape[dim + 1 :]) for dim in range(len(x.shape))]
    first = sum(a * b for a, b in zip(begin, strides, strict=True)) * x.dtype.itemsize
    yield Overlay(y, x, -_aligned(y.size_bytes), first // ALIGNMENT_BYTES * ALIGNMENT_BYTES)


def _aligned(size_bytes: int) -> int:
    return align_up(size_bytes, ALIGNMENT_BYTES)


def _of_block(node: Node) -> Iterator[Overlay]:
    y, x, residual = node.output, node.input(0), residual_of(node)
    below, high = _aligned(y.size_bytes), _high_bytes_once(node, residual is x)
    if residual is not None and residual is not x and in_head(residual):
        yield Overlay(y, residual, 0 if high is None else -below, 0)
    if high is not None and in_head(x):
        yield Overlay(y, x, -below, high)


def _high_bytes_once(node: Node, adds_x: bool) -> int | None:
    """``_high_bytes``, found once for all blocks of the same options and shapes."""
    shapes = tuple((v.shape, v.dtype) if v is not None else None for v in node.inputs)
    key = node.attrs, node.output.shape, node.output.dtype, adds_x, shapes
    if key not in _KNOWN:
        if len(_KNOWN) >= _MOST_KNOWN:
            _KNOWN.clear()
        _KNOWN[key] = _high_bytes(node, adds_x)
    return _KNOWN[key]


_KNOWN: dict[tuple[object, ...], int | None] = {}
_MOST_KNOWN = 16384


def _high_bytes(node: Node, adds_x: bool) -> int | None:
    """Up to where in x byte 0 of y may lie; None where they may not share bytes."""
    y, x, steps = node.output, node.input(0), sweep_of(node)
    if not steps:
        return None
    high = _middle_bytes(node, x) if adds_x else x.size_bytes
    return min(high, _lead_bytes(steps, x, y)) // ALIGNMENT_BYTES * ALIGNMENT_BYTES


def _middle_bytes(node: Node, x: Value) -> int:
    """Byte of x that is added to byte 0 of y; later ones are no nearer to theirs."""
    place = middle_of(unpacked(node, sizes_only=True), x)
    return 0 if place is None else first_value(x, place)


def _lead_bytes(steps: list[SweepStep], x: Value, y: Value) -> int:
    """The highest place of y from which no step writes over what a later one reads."""
    row_bytes = x.size_bytes // x.shape[1]
    position_bytes = y.shape[3] * y.dtype.itemsize
    lead, lowest = x.size_bytes, x.shape[1]
    for before, step in reversed(list(pairwise(steps))):
        start, stop = step.reads
        if start < stop and start < lowest:  # those before it write less
            lowest = start
            lead = min(lead, lowest * row_bytes - before.writes[1] * position_bytes)
    return lead
