# SPDX-License-Identifier: Apache-2.0
"""In which order a graph's tensors stand in its file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tflsplit.ir import Graph, Value
from tflsplit.tflite.extras import UNUSED_TENSORS
from tflsplit.tflite.operators import INTERMEDIATES
from tflsplit.tflite.tensors import INDEX


def tensor_order(graph: Graph) -> tuple[Value, ...]:
    """Every tensor that ``write_model`` writes for the graph, in its order.

    TFLM's planner breaks ties between buffers of equal size by this order, and keeps a struct for
    each tensor.  (tests/memory/test_order.py holds it against the written file.)
    """
    order = list(dict.fromkeys(_mentioned(graph)))
    hints = [value.file_extra.get(INDEX) for value in order]
    if None not in hints and len(set(hints)) == len(hints):
        order.sort(key=lambda value: value.file_extra.integer(INDEX))
    return tuple(order)


def _mentioned(graph: Graph) -> Iterator[Value]:
    yield from graph.values()
    for node in graph.nodes:
        yield from _present(node.file_extra.get(INTERMEDIATES, ()))
    yield from _present(graph.file_extra.get(UNUSED_TENSORS, ()))


def _present(values: Any) -> Iterator[Value]:
    return (value for value in values if value is not None)
