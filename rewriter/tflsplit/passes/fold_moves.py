# SPDX-License-Identifier: Apache-2.0
"""Operators that only give the same bytes another shape: one instead of a chain, or none.

A device that has one head of an attention layer need not transpose it:

    before   q -- RESHAPE --> [1, 64, 1, 16] -- TRANSPOSE --> [1, 1, 64, 16] -- BATCH_MATMUL
             k -- RESHAPE --> [1, 64, 1, 16] -- TRANSPOSE, TRANSPOSE ---------------'
    after    q -- RESHAPE --> [1, 1, 64, 16] -- BATCH_MATMUL
             k -- RESHAPE --> [1, 1, 64, 16] -----'

- A TRANSPOSE of a TRANSPOSE that nothing else reads is one, of what the first reads.
- One that moves nothing but dimensions of extent 1 is a RESHAPE.
- A RESHAPE of a RESHAPE is one of the first's operand; one that changes nothing goes.

What a SEND or RECV names stays as it is.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from tflsplit.ir import Graph, Node, Value
from tflsplit.ops.dims import constant_integers, normal_axis
from tflsplit.ops.local import copied, int32_constant

_RESHAPES = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS")


def fold_moves(graph: Graph) -> Graph:
    """The graph with the fewest such operators that give the same bits; pure."""
    kept = {*graph.outputs, *_named(graph)}
    read_once = {value for value, readers in graph.consumers().items() if len(readers) == 1}
    makers: dict[Value, Node] = {}
    origins: dict[Value, Value] = {}
    same: dict[Value, Value] = {}
    nodes: list[Node] = []
    for node in graph.nodes:
        node = _reading(node, same)
        if node.op == "TRANSPOSE":
            node = _as_reshape(_as_one(node, makers, read_once - kept))
        if node.op in _RESHAPES and len(node.outputs) == 1:
            node = _of_origin(node, origins)
            if _changes_nothing(node) and node.output not in kept:
                same[node.output] = node.input(0)
                continue
        nodes.append(node)
        makers.update(dict.fromkeys(node.outputs, node))
    return replace(graph, nodes=_living(nodes, graph))


def _changes_nothing(node: Node) -> bool:
    """Neither the shape nor what values stand for (``fold_identities``)."""
    x, y = node.input(0), node.output
    return x.shape == y.shape and _scales(x) == _scales(y)


def _scales(value: Value) -> tuple[object, ...]:
    quantization = value.quantization
    return (quantization.scales, quantization.zero_points) if quantization else ((), ())


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
    """A TRANSPOSE, as a RESHAPE if that is all it does."""
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


def _as_one(node: Node, makers: Mapping[Value, Node], free: Collection[Value]) -> Node:
    """A TRANSPOSE, of what the TRANSPOSE before it has read.

    free: values that one node reads and nothing else needs.
    """
    x, order = node.input(0), _order(node)
    first = makers.get(x)
    before = _order(first) if first is not None and x in free else None
    if first is None or before is None or order is None:
        return node
    both = int32_constant(f"{node.output.name}/order", [before[dim] for dim in order])
    return replace(node, inputs=(first.input(0), both))


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
