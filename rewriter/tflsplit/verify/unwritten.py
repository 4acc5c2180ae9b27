# SPDX-License-Identifier: Apache-2.0
"""Elements that TFLM itself leaves unwritten, and all that depends on them.

SignalEnergy fills ``[start_index, end_index)`` of its result; the rest is whatever was in the arena
before, on one device and on another.  Such elements are no part of what a model computes, so they
are no difference either.  What depends on them is found by doing it: the unsplit model is run
twice, with two different numbers in them, and what comes out differently is not compared.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tflsplit.ir import Graph, Node, Value
from tflsplit.runtime.engines import Array
from tflsplit.tflite.flexmap import decode_map

Mask = NDArray[np.bool_]

FILLINGS = (0, 0xFF)
"""The bytes of unwritten elements in either run."""


def unwritten(graph: Graph) -> dict[Value, Mask]:
    """For each result of which a kernel writes a part, the elements that it does not write."""
    return {value: mask for node in graph.nodes for value, mask in _of_node(node) if mask.any()}


def _of_node(node: Node) -> Iterator[tuple[Value, Mask]]:
    if node.op != "SignalEnergy" or not node.is_custom or len(node.outputs) != 1:
        return
    raw = node.attrs.get("custom_options")
    options = decode_map(raw) if isinstance(raw, bytes) else node.attrs
    start, stop = (options.get(key) if options else None for key in ("start_index", "end_index"))
    if isinstance(start, int) and isinstance(stop, int):
        mask = np.ones(node.output.size, bool)
        mask[max(0, start) : max(0, stop)] = False
        yield node.output, mask.reshape(node.output.shape)


def filled(array: Array, mask: Mask, byte: int) -> Array:
    """A copy of ``array`` whose elements under ``mask`` consist of this byte."""
    result: Array = array.copy()
    result[mask] = np.frombuffer(bytes([byte]) * array.itemsize, array.dtype)[0]
    return result
