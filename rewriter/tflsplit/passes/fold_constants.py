# SPDX-License-Identifier: Apache-2.0
"""Shapes that a model computes from shapes it already knows become constants.

Before                                          After

    x [1, 7, 7, 64]                                 x [1, 7, 7, 64]
    |        |                                      |
    |      SHAPE -> STRIDED_SLICE [0:1]             |     constant [1, 3136]
    |                     |                         |        |
    |     PACK (.., constant 3136)                  RESHAPE --
    |         |                                     |
    RESHAPE --                                      y [1, 3136]
    |
    y [1, 3136]

SHAPE reads a whole tensor, so that it would have to be gathered on one device; and TFLM takes the
shapes of all tensors from the file in any case.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from tflsplit.ir import Graph, Node, Value
from tflsplit.ops.stock.reference import evaluate_integers

# What these do is not (only) in their results.
_EFFECTS = ("ASSIGN_VARIABLE", "CALL_ONCE", "IF", "WHILE", "VAR_HANDLE", "READ_VARIABLE")

MAX_ELEMENTS = 1024
"""Results larger than this are no shapes: folding them would trade arithmetic for flash."""


def _as_it_is(node: Node) -> Node:
    return node


def fold_constants(graph: Graph, settle: Callable[[Node], Node] = _as_it_is) -> Graph:
    """``graph`` with small integer results of constants folded, and without dead nodes.

    Pure: values and nodes that do not change are shared with ``graph``, which stays as it is.
    Results of the graph are not folded, since a file needs a node that writes them.
    settle: gives a node other results, once its operands are known (``close_shapes``).
    """
    known: dict[Value, Value] = {}
    nodes: list[Node] = []
    for given in graph.nodes:
        node = settle(_with_known(given, known))
        changed = zip(given.outputs, node.outputs, strict=True)
        known.update((before, after) for before, after in changed if before is not after)
        constant = None if _is_result(given, graph) else _folded(node)
        if constant is None:
            nodes.append(node)
        else:
            known[given.output] = constant
    outputs = tuple(known.get(value, value) for value in graph.outputs)
    return replace(graph, nodes=_living(nodes, outputs), outputs=outputs)


def _with_known(node: Node, known: dict[Value, Value]) -> Node:
    if not any(value in known for value in node.operands):
        return node
    inputs = tuple(None if value is None else known.get(value, value) for value in node.inputs)
    return replace(node, inputs=inputs)


def _is_result(node: Node, graph: Graph) -> bool:
    return any(value in graph.outputs for value in node.outputs)


def _folded(node: Node) -> Value | None:
    if len(node.outputs) != 1 or node.output.size > MAX_ELEMENTS:
        return None
    data = evaluate_integers(node)
    return None if data is None else replace(node.output, data=data)


def _living(nodes: Sequence[Node], outputs: Sequence[Value]) -> list[Node]:
    """The nodes whose results are read, or that do more than write them."""
    read = set(outputs)
    living: list[Node] = []
    for node in reversed(nodes):
        if _has_effect(node) or any(value in read for value in node.outputs):
            read.update(node.operands)
            living.append(node)
    return living[::-1]


def _has_effect(node: Node) -> bool:
    return (
        node.is_custom
        or not node.outputs
        or node.op in _EFFECTS
        or any(value.is_variable for value in node.operands)
    )
