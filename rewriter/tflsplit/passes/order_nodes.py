# SPDX-License-Identifier: Apache-2.0
"""A node that frees more memory than it takes runs as early as it can.

In a model the order matters little; on a device that has gathered the whole of a tensor to make a
small part of the next one, it does.  Here x is all positions, and v one head of four:

    before   q, k <- x    scores <- q, k    weights <- scores    v <- x    y <- weights, v
                  x lies here all the while, beside the scores
    after    q, k <- x    v <- x    scores <- q, k    weights <- scores    y <- weights, v

SENDs and RECVs keep their order, and nothing moves in front of a SEND: others wait for it.
"""

from __future__ import annotations

from dataclasses import replace

from tflsplit.ir import Graph, Node, Value
from tflsplit.memory.kernels import tensor_bytes
from tflsplit.memory.lifetimes import in_head, peak_live_bytes
from tflsplit.wire import custom_ops as wire


def order_nodes(graph: Graph) -> Graph:
    """The graph in an order with less live memory at its peak; itself if none is found."""
    ordered = graph
    for node in graph.nodes:
        if _may_move(node):
            ordered = _with_earlier(ordered, node)
    if ordered is graph or peak_live_bytes(ordered) >= peak_live_bytes(graph):
        return graph
    return ordered


def _may_move(node: Node) -> bool:
    """Whether a node does nothing but make its results, smaller than its largest operand."""
    if node.op in (wire.SEND, wire.RECV) or not node.outputs:
        return False
    if any(value.is_variable for value in node.operands):
        return False
    largest = max((tensor_bytes(v) for v in node.operands if in_head(v)), default=0)
    return _made_bytes(node) < largest


def _made_bytes(node: Node) -> int:
    return sum(tensor_bytes(value) for value in node.outputs)


def _with_earlier(graph: Graph, node: Node) -> Graph:
    """The graph with ``node`` moved, if that frees memory and makes the peak no higher."""
    at = graph.nodes.index(node)
    used = _used_before(graph, at)
    freed = {v for v in node.operands if in_head(v) and v not in graph.outputs}
    freed -= {v for later in graph.nodes[at + 1 :] for v in later.operands}
    if sum(map(tensor_bytes, freed)) <= _made_bytes(node):
        return graph
    sends = (place for place in range(at) if graph.nodes[place].op == wire.SEND)
    place = 1 + max(max(sends, default=-1), *(used.get(v, -1) for v in node.operands), -1)
    if place >= at:
        return graph
    nodes = [*graph.nodes[:place], node, *graph.nodes[place:at], *graph.nodes[at + 1 :]]
    tried = replace(graph, nodes=nodes)
    return tried if peak_live_bytes(tried) <= peak_live_bytes(graph) else graph


def _used_before(graph: Graph, at: int) -> dict[Value, int]:
    """By value, the last place before ``at`` where a node makes it or reads it."""
    return {
        value: place
        for place, node in enumerate(graph.nodes[:at])
        for value in (*node.operands, *node.outputs)
        if not value.is_constant
    }
