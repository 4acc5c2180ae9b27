# SPDX-License-Identifier: Apache-2.0
"""Layers that give back every byte that they read, under another scale, become a RESHAPE.

    before   x, 1/255 -- MUL by 2 --> 2/255 -- SUB 1 --> y, 2/255, zero point 127 higher -- CONV_2D
    after    x, 1/255 -- RESHAPE ----------------------> y, the same ------------------- CONV_2D

Many models begin so: they scale their image to -1..1, which says what bytes stand for, and changes
none.  What a MUL, an ADD or a SUB with a constant makes of each of the 256 values is known
(``ops.facts.value_tables``), so it is what several of them make one after the other.  A RESHAPE
copies bytes; it costs no memory, since its result lies where its operand does (``memory.aliases``),
and an operator that takes the input row by row reads through it (``chain_units``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tflsplit.ir import Graph, Node, Value
from tflsplit.ops.facts.value_tables import VALUES, Table, table_of
from tflsplit.ops.local import copied


@dataclass(frozen=True)
class _Made:
    """What a value is made of: ``table`` says of which of its values which is made."""

    x: Value
    table: Table


def fold_identities(graph: Graph) -> Graph:
    """``graph`` with every such run of layers as a RESHAPE; pure, itself if there is none."""
    readers, made, nodes = graph.consumers(), dict[Value, _Made](), list[Node]()
    for node in graph.nodes:
        found = _made_by(node, made)
        if found is not None:
            if readers[node.output] and node.output not in graph.outputs:
                made[node.output] = found
            if np.all(found.table == VALUES):
                node = replace(copied(found.x, node.output), name=node.name)
        nodes.append(node)
    if nodes == graph.nodes:
        return graph
    return replace(graph, nodes=_read(nodes, graph))


def _made_by(node: Node, made: dict[Value, _Made]) -> _Made | None:
    table = table_of(node)
    if table is None:
        return None
    (x,) = (value for value in node.operands if value.is_computed)
    before = made.get(x)
    if before is None:
        return _Made(x, table)
    first, second = np.broadcast_arrays(before.table, table)
    return _Made(before.x, np.take_along_axis(second, first.astype(np.intp) + 128, axis=0))


def _read(nodes: list[Node], graph: Graph) -> list[Node]:
    """Without the layers of such runs that nobody reads any more."""
    tabled = {node.output for node in graph.nodes if table_of(node) is not None}
    read, living = set(graph.outputs), list[Node]()
    for node in reversed(nodes):
        if node.outputs and node.outputs[0] in tabled - read:
            continue
        read.update(node.operands)
        living.append(node)
    return living[::-1]
