# SPDX-License-Identifier: Apache-2.0
"""A CONCATENATION with state writes its next state: its last elements, by a SLICE.

    before   (state), new --CONCATENATION--> window
    after    (state), new --CONCATENATION--> window --SLICE--> (state)

The state is a variable tensor, which is an operand and, later, a result: the next inference reads
what this one wrote.  See ``stream_states``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tflsplit.ir import Graph, Node, Value
from tflsplit.ops.local import sliced


def write_states(graph: Graph) -> Graph:
    """``graph`` with a SLICE behind every CONCATENATION with state; itself if there is none."""
    nodes = list(_written(graph))
    return graph if len(nodes) == len(graph.nodes) else replace(graph, nodes=nodes)


def written_states(graph: Graph) -> frozenset[Value]:
    """The state that is a result of ``graph``, too, as ``write_states`` makes it."""
    makers = {v: node for node in graph.nodes for v in node.outputs if v.is_variable}
    return frozenset(v for node in graph.nodes for v in node.operands if v in makers)


def _written(graph: Graph) -> Iterator[Node]:
    done = written_states(graph)
    for node in graph.nodes:
        yield node
        if node.op == "CONCATENATION" and not node.is_custom:
            for state in node.operands:
                if state.is_variable and state not in done:
                    window = node.output.shape
                    begin = [a - b for a, b in zip(window, state.shape, strict=True)]
                    yield replace(sliced(node.output, begin, state), name=f"{state.name}/next")
