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

from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass, replace

from tflsplit.ir import Graph, Node, Value
from tflsplit.memory.kernels import tensor_bytes
from tflsplit.memory.lifetimes import in_head, live_bytes_over_time
from tflsplit.wire import custom_ops as wire


def order_nodes(graph: Graph) -> Graph:
    """The graph in an order with less live memory at its peak; itself if none is found."""
    first = order = _Order.of(graph)
    for node in graph.nodes:
        if _may_move(node):
            order = _with_earlier(order, node)
    return order.graph if order.peak < first.peak else graph


@dataclass(frozen=True)
class _Order:
    """A graph and what its order means.

    places: of the nodes; uses: of the nodes that make or read a value, in ascending order.
    live: bytes while each node runs.
    """

    graph: Graph
    places: dict[Node, int]
    uses: dict[Value, list[int]]
    live: list[int]

    @classmethod
    def of(cls, graph: Graph) -> _Order:
        uses: dict[Value, list[int]] = defaultdict(list)
        for place, node in enumerate(graph.nodes):
            for value in {*node.operands, *node.outputs}:
                uses[value].append(place)
        places = {node: place for place, node in enumerate(graph.nodes)}
        return cls(graph, places, uses, live_bytes_over_time(graph))

    @property
    def peak(self) -> int:
        """Most bytes at one time."""
        return max(self.live, default=0)

    def used_before(self, value: Value, place: int) -> int:
        """The last place before ``place`` of a node that makes or reads a value; -1 if none."""
        uses = self.uses[value]
        before = bisect_left(uses, place)
        return uses[before - 1] if before else -1


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


def _with_earlier(order: _Order, node: Node) -> _Order:
    """The order with ``node`` moved over the peak, if that frees memory there."""
    graph, at = order.graph, order.places[node]
    freed = {
        value
        for value in node.operands
        if in_head(value) and order.uses[value][-1] == at and value not in graph.outputs
    }
    if sum(map(tensor_bytes, freed)) <= _made_bytes(node):
        return order
    place = 1 + max(order.used_before(v, at) for v in node.operands if not v.is_constant)
    sends = [p for p in range(place, at) if graph.nodes[p].op == wire.SEND]
    place = max([place, *(p + 1 for p in sends)])
    if order.peak not in order.live[place:at]:
        return order
    nodes = [*graph.nodes[:place], node, *graph.nodes[place:at], *graph.nodes[at + 1 :]]
    moved = _Order.of(replace(graph, nodes=nodes))
    return moved if moved.peak <= order.peak else order
