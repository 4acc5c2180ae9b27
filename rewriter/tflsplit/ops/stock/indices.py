# SPDX-License-Identifier: Apache-2.0
"""Tensors of indices: how far they may go.

TFLM's GATHER looks at an index in debug builds only, and reads wherever it points: an input of
words, as in front of an embedding, has a range that its element type does not tell.
"""

from __future__ import annotations

from tflsplit.ir import Graph, Node, Value
from tflsplit.ops.dims import normal_axis

_MOVES = frozenset(
    {"CAST", "CONCATENATION", "EXPAND_DIMS", "PACK", "RESHAPE", "SLICE", "SPLIT", "SQUEEZE"}
    | {"STRIDED_SLICE", "TRANSPOSE"}
)
"""Operators whose results are elements of their operands."""


def index_limit(graph: Graph, value: Value) -> int | None:
    """The least extent that ``value``, or what is moved of it, indexes; None: it is no index."""
    reached, limits = {value}, []
    for node in graph.nodes:
        if node.op in _MOVES and reached.intersection(node.operands):
            reached.update(node.outputs)
        limits += [extent for operand, extent in _indexed(node) if operand in reached]
    return min(limits, default=None)


def _indexed(node: Node) -> list[tuple[Value, int]]:
    """The indices that a node reads, and what they must stay below."""
    if node.op == "GATHER":
        table, indices = node.input(0), node.input(1)
        axis = normal_axis(node.attrs.integer("axis"), len(table.shape))
        return [(indices, table.shape[axis])]
    if node.op == "GATHER_ND":
        table, indices = node.input(0), node.input(1)
        return [(indices, min(table.shape[: indices.shape[-1]]))]
    if node.op == "EMBEDDING_LOOKUP":
        return [(node.input(0), node.input(1).shape[0])]
    return []
