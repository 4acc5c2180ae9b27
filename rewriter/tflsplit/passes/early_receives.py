# SPDX-License-Identifier: Apache-2.0
"""A block begins with the rows that are here, while those of its neighbours are still under way.

    before  SEND x   RECV y, waits for it and until x is sent   FUSED_BLOCK of y   SEND z   RECV
    after   SEND x   RECV y, early: only asks for it            FUSED_BLOCK of y,  SEND z   RECV,
                                                                waits row by row            also x

A RECV is made early if the next node is a block that reads its result: that block ends only when
all pieces are here, so nothing else can meet what is not there yet.  What the RECV had to wait for
beside its pieces, the SENDs of ``pending``, the next RECV waits for if only SENDs lie between, else
a pure wait behind the block; until then these tensors stay alive because they are its operands.

Bits and messages stay the same, and so does their order: no SEND and no RECV lies between the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from tflsplit.ir import Graph, Node, Value
from tflsplit.ops.own.custom import recv
from tflsplit.ops.own.custom_options import RecvOptions
from tflsplit.wire import custom_ops as wire

_DIMENSIONS = 4


def early_receives(graph: Graph) -> Graph:
    """The graph with early RECVs where they can be; itself if there is none."""
    nodes = list(graph.nodes)
    places = [i for i, pair in enumerate(pairwise(nodes)) if may_be_early(*pair)]
    for place in reversed(places):
        _make_early(nodes, place)
    return replace(graph, nodes=nodes) if places else graph


def may_be_early(node: Node, after: Node) -> bool:
    """Whether a RECV that ``after`` follows at once may be early."""
    if node.op != wire.RECV or not node.outputs or after.op != wire.FUSED_BLOCK:
        return False
    options = RecvOptions.of(node)
    return (
        bool(options.pieces)
        and not options.add
        and after.input(0) is node.output
        and len(node.output.shape) == _DIMENSIONS
        and node.output.shape[0] == 1
    )


def _make_early(nodes: list[Node], place: int) -> None:
    node, first = nodes[place], int(RecvOptions.of(nodes[place]).local is not None)
    pending = node.operands[first:]
    options = {**wire.decode(node), "early": 1}
    nodes[place] = replace(node, inputs=node.inputs[:first], attrs=wire.encode(wire.RECV, options))
    _wait_later(nodes, place + 2, pending)


def _wait_later(nodes: list[Node], place: int, pending: Sequence[Value]) -> None:
    """Let the RECV that follows behind some SENDs wait for ``pending``, or else a pure wait."""
    later = place
    while later < len(nodes) and nodes[later].op == wire.SEND:
        later += 1
    if later < len(nodes) and nodes[later].op == wire.RECV:
        node = nodes[later]
        first = int(RecvOptions.of(node).local is not None)
        added = [value for value in pending if value not in node.operands[first:]]
        nodes[later] = replace(node, inputs=(*node.inputs, *added))
    elif pending:
        nodes.insert(place, _wait(nodes[place - 1].name, pending))


def _wait(name: str, pending: Sequence[Value]) -> Node:
    return recv(
        output=None, tensor="", origin=(), local=None, local_box=None, local_origin=(), pieces=[],
        pending=pending, name=f"{name}/sent",
    )  # fmt: skip
