# SPDX-License-Identifier: Apache-2.0
"""What passes share that give layers another constant in the place of one.

before   CONV_2D(x, weights, bias)    CONV_2D(y, weights, bias)
after    CONV_2D(x, weights, other)   CONV_2D(y, weights, other)     made once
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tflsplit.ir import Graph, Node, Value


def changed_constants(
    graph: Graph, place_of: Callable[[Node], int | None], changed: Callable[[Value], Value]
) -> Graph:
    """``graph`` with other constants; itself if no node has one to change.

    place_of: of the operand of a node that is to change, which must be there; None: of none.
    changed: what stands for a constant; asked once where several nodes share it.
    """
    made: dict[Value, Value] = {}

    def with_other(node: Node) -> Node:
        place = place_of(node)
        if place is None:
            return node
        old = node.input(place)
        if old not in made:
            made[old] = changed(old)
        return replace(node, inputs=(*node.inputs[:place], made[old], *node.inputs[place + 1 :]))

    nodes = [with_other(node) for node in graph.nodes]
    return replace(graph, nodes=nodes) if made else graph
