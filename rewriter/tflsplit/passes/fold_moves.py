# SPDX-License-Identifier: Apache-2.0
"""Operators that only give the same bytes another shape: one instead of a chain, or none.

A device that has one head of an attention layer need not transpose it:

    before   q [1, 64, 16] -- RESHAPE --> [1, 64, 1, 16] -- TRANSPOSE --> [1, 1, 64, 16] -- BATCH_
             k [1, 64, 16] -- RESHAPE --> [1, 64, 1, 16] -- TRANSPOSE --> [1, 1, 16, 64] -- MATMUL
    after    q [1, 64, 16] -- RESHAPE --> [1, 1, 64, 16] -- BATCH_MATMUL (adj_y)
             k [1, 64, 16] -- RESHAPE --> [1, 1, 64, 16] -----'

- A TRANSPOSE that moves nothing but dimensions of extent 1 is a RESHAPE.
- A RESHAPE of a RESHAPE is one of the first's operand; one that changes nothing goes.
- A TRANSPOSE in front of BATCH_MATMUL's second operand that would be such a RESHAPE without its
  last swap is left to BATCH_MATMUL, which would transpose it back: with adj_y it takes it as it is,
  and keeps no transposed copy in the arena's tail.

What a SEND or RECV names stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tflsplit.ir import Graph, Node, Value
from tflsplit.ops.dims import constant_integers, normal_axis
from tflsplit.ops.local import copied

_RESHAPES = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS")


def fold_moves(graph: Graph) -> Graph:
    """The graph with the fewest such operators that give the same bits; pure."""
    read_once = {value for value, readers in graph.consumers().items() if len(readers) == 1}
    kept = {*graph.outputs, *_named(graph)}
    makers: dict[Value, Node] = {}
    origins: dict[Value, Value] = {}
    same: dict[Value, Value] = {}
    nodes: list[Node] = []
    for node in graph.nodes:
        node = _as_reshape(_reading(node, same))
        if node.op == "BATCH_MATMUL":
            node, reshapes = _without_swap(node, makers, read_once - kept)
            nodes += [_of_origin(reshape, origins) for reshape in reshapes]
        elif node.op in _RESHAPES and len(node.outputs) == 1:
            node = _of_origin(node, origins)
            if node.input(0).shape == node.output.shape and node.output not in kept:
                same[node.output] = node.input(0)
                continue
        nodes.append(node)
        makers.update(dict.fromkeys(node.outputs, node))
    return replace(graph, nodes=_living(nodes, graph))


def _named(graph: Graph) -> set[Value]:
    """What operators of our own read or make: some of them say which tensor that is."""
    return {
        value for node in graph.nodes if node.is_custom for value in (*node.operands, *node.outputs)
    }


def _reading(node: Node, same: dict[Value, Value]) -> Node:
    if not any(value in same for value in node.operands):
        return node
    inputs = tuple(None if value is None else same.get(value, value) for value in node.inputs)
    return replace(node, inputs=inputs)


def _of_origin(node: Node, origins: dict[Value, Value]) -> Node:
    """A RESHAPE, of what the RESHAPE before it has read; noted for those that come."""
    x, y = node.input(0), node.output
    origin = origins.get(x, x)
    origins[y] = origin
    return node if origin is x else replace(copied(origin, y), name=node.name)


def _as_reshape(node: Node) -> Node:
    order = _order(node)
    if order is None or not _moves_only_ones(order, node.input(0).shape):
        return node
    return replace(copied(node.input(0), node.output), name=node.name)


def _order(node: Node) -> list[int] | None:
    """For every dimension of a TRANSPOSE's result, that of its operand; None of another node."""
    if node.op != "TRANSPOSE":
        return None
    order, rank = constant_integers(node.inputs[1]), len(node.input(0).shape)
    dims = [normal_axis(dim, rank) for dim in order or ()]
    return dims if sorted(dims) == list(range(rank)) else None


def _moves_only_ones(order: Sequence[int], shape: Sequence[int]) -> bool:
    longer = [dim for dim in order if shape[dim] > 1]
    return longer == sorted(longer)


def _without_swap(
    node: Node, makers: dict[Value, Node], free: set[Value]
) -> tuple[Node, list[Node]]:
    """BATCH_MATMUL of an operand as it was before a TRANSPOSE, and the RESHAPE that makes that.

    free: values that nothing else reads.
    """
    y = node.input(1)
    maker = makers.get(y)
    if maker is None or y not in free or y is node.inputs[0] or node.attrs.integer("adj_y"):
        return node, []
    order = _order(maker)
    if order is None or len(order) < 2:
        return node, []
    straight = [*order[:-2], order[-1], order[-2]]
    x = maker.input(0)
    if not _moves_only_ones(straight, x.shape):
        return node, []
    shape = tuple(x.shape[dim] for dim in straight)
    rows = Value(f"{y.name}/rows", shape, y.dtype, y.quantization)
    attrs = node.attrs.replace(adj_y=True)
    matmul = replace(node, inputs=(node.inputs[0], rows), attrs=attrs)
    return matmul, [replace(copied(x, rows), name=maker.name)]


def _living(nodes: Sequence[Node], graph: Graph) -> list[Node]:
    """Without RESHAPEs and TRANSPOSEs that nobody reads any more."""
    read = set(graph.outputs)
    living: list[Node] = []
    for node in reversed(nodes):
        moves = node.op in (*_RESHAPES, "TRANSPOSE")
        if not moves or any(value in read for value in node.outputs):
            read.update(node.operands)
            living.append(node)
    return living[::-1]
