# SPDX-License-Identifier: Apache-2.0
"""Which bytes of a graph's tensors are copies of which others, found by moving identities.

Every byte that an operator computes gets a number of its own.  Operators that only move bytes are
then *run*, on these numbers in the place of data::

    x = [10 11 12 13]   RECV: local 1:3, one element from elsewhere   y = [11 12 97]
    y = [11 12 97]      CONCATENATION with z = [50]                   w = [11 12 97 50]

Two tensors may lie over each other while both matter if, and only if, the numbers that fall on one
address are equal.  Nothing here knows of offsets, rows or what is contiguous: NumPy moves the
elements.  The witness against ``aliases.py``, with which it shares no code.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tflsplit.ir import Activation, Graph, Node, Value
from tflsplit.ops.own.custom_options import RecvOptions
from tflsplit.ops.stock.slices import strided_ranges
from tflsplit.wire import custom_ops as wire

Numbers = NDArray[np.int64]
_Elements = Callable[[Value], Numbers]
_Mover = Callable[[Node, _Elements], list[Numbers]]


class Identities:
    """The numbers of a graph's tensors, each found when it is first asked for."""

    def __init__(self, graph: Graph) -> None:
        makers = graph.producers()  # state that is written is read by the next inference only
        self._producers = {value: node for value, node in makers.items() if value.is_computed}
        self._found: dict[Value, Numbers] = {}
        self._next = 0

    def of(self, value: Value) -> Numbers:
        """int64, one for each byte of ``value`` as TFLM keeps it, in the order of memory.

        Raises ModelError if the options of a RECV cannot be read.
        """
        step = np.arange(_item_bytes(value))
        return np.asarray((self._elements(value)[..., None] + step).reshape(-1))

    def _elements(self, value: Value) -> Numbers:
        """The number of the first byte of each element, in the tensor's shape."""
        if value not in self._found:
            node = self._producers.get(value)
            made = (value,) if node is None else node.outputs
            results = None if node is None else self._moved(node)
            self._found.update(zip(made, results or map(self._fresh, made), strict=True))
        return self._found[value]

    def _fresh(self, value: Value) -> Numbers:
        item_bytes = _item_bytes(value)
        first, self._next = self._next, self._next + value.size * item_bytes
        return np.arange(first, self._next, item_bytes).reshape(value.shape)

    def _moved(self, node: Node) -> list[Numbers] | None:
        """The results of a node that only moves; None of any other, or a malformed one."""
        mover = self._received if node.op == wire.RECV else _MOVERS.get(node.op)
        if mover is None or not node.outputs or not node.outputs[0].dtype.itemsize:
            return None

        def elements(value: Value) -> Numbers:
            if value.dtype is not node.outputs[0].dtype:
                raise ValueError("bytes of one type are no bytes of another")
            return self._elements(value)

        try:
            results = mover(node, elements)
        except (IndexError, TypeError, ValueError):  # what NumPy says of what does not fit
            return None
        shapes = [value.shape for value in node.outputs]
        return results if [each.shape for each in results] == shapes else None

    def _received(self, node: Node, elements: _Elements) -> list[Numbers]:
        options, y = RecvOptions.of(node), self._fresh(node.output)
        if options.local is not None and not options.add:
            source = options.local.relative_to(options.local_origin)
            target = options.local.relative_to(options.origin)
            y[target.slices] = elements(node.input(0))[source.slices]
        return [y]


def _item_bytes(value: Value) -> int:
    return value.dtype.itemsize or 1


def _concatenation(node: Node, elements: _Elements) -> list[Numbers]:
    if node.attrs.integer("fused_activation_function", Activation.NONE):
        raise ValueError("it computes")
    parts = [elements(value) for value in node.operands]
    return [np.concatenate(parts, node.attrs.integer("axis"))]


def _reshape(node: Node, elements: _Elements) -> list[Numbers]:
    return [elements(node.input(0)).reshape(node.output.shape)]


def _slice(node: Node, elements: _Elements) -> list[Numbers]:
    begin, size = _constant(node, 1), _constant(node, 2)
    spans = zip(begin, size, strict=True)
    cut = tuple(slice(start, None if count < 0 else start + count) for start, count in spans)
    return [elements(node.input(0))[cut]]


def _strided_slice(node: Node, elements: _Elements) -> list[Numbers]:
    part, ranges = elements(node.input(0)), strided_ranges(node)
    if ranges is None:
        raise ValueError("its bounds are computed")
    for dim, span in enumerate(ranges):
        part = np.take(part, list(span), axis=dim)
    return [part.reshape(node.output.shape)]


def _split(node: Node, elements: _Elements) -> list[Numbers]:
    (axis,) = _constant(node, 0)
    return np.split(elements(node.input(1)), len(node.outputs), axis)


def _split_v(node: Node, elements: _Elements) -> list[Numbers]:
    sizes, (axis,) = _constant(node, 1), _constant(node, 2)
    return np.split(elements(node.input(0)), np.cumsum(sizes)[:-1].tolist(), axis)


def _constant(node: Node, index: int) -> list[int]:
    data = node.input(index).data
    if data is None:
        raise ValueError("a parameter is computed")
    return [int(number) for number in np.ravel(data)]


_MOVERS: dict[str, _Mover] = {
    "CONCATENATION": _concatenation,
    "EXPAND_DIMS": _reshape,
    "RESHAPE": _reshape,
    "SLICE": _slice,
    "SPLIT": _split,
    "SPLIT_V": _split_v,
    "SQUEEZE": _reshape,
    "STRIDED_SLICE": _strided_slice,
}
