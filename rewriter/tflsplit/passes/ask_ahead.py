# SPDX-License-Identifier: Apache-2.0
"""What a RECV takes is asked for while the kernel before it still runs.

    before  RECV x   FUSED_BLOCK of x -> z   SEND z   RECV y, with what comes for y
                                                      '-- GRANT leaves, then the rows come
    after   ASK -> memory   RECV x   FUSED_BLOCK of x -> z   SEND z   RECV y, also of this memory
            '-- GRANT leaves; the rows may come from here on

A rank that is done sooner than its neighbour need not wait then for this one's GRANT: its rows are
here when the RECV runs, or on their way.  They come into memory of their own, which lives from ASK
to RECV because the RECV lists it; the RECV moves what has come to its place in ``y``, and lets the
rest come there.  Messages stay the same, and so does everything else.

A message is asked for one kernel ahead, and only where that takes no more memory than the device
has at its peak anyway.  Not asked for is what is added (the sums would be here, and not in ``y``),
and what the host gives, which it does in the order of its rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tflsplit.ir import DType, Graph, Node, Value
from tflsplit.memory.abi import HOST_64
from tflsplit.memory.demand import node_demand
from tflsplit.memory.lifetimes import live_bytes_over_time
from tflsplit.ops.own.custom import ask
from tflsplit.ops.own.custom_options import RecvOptions
from tflsplit.wire import custom_ops as wire

_MOST_OPERANDS = 64
"""Of a RECV in the firmware (``transfers.cc``)."""


def ask_ahead(graph: Graph, host_rank: int) -> Graph:
    """The graph with ASKs where they cost no memory; itself if there is none."""
    room = _Room.of(graph)
    asked: dict[int, list[Node]] = {}
    nodes = list(graph.nodes)
    for place, node in enumerate(graph.nodes):
        ahead = _place_of(graph.nodes, place, host_rank)
        if ahead is None:
            continue
        options = RecvOptions.of(node)
        size_bytes = sum(p.box.size for p in options.pieces) * node.output.dtype.itemsize
        if not room.takes(ahead, place, size_bytes):
            continue
        memory = Value(f"{node.output.name}/ahead", (size_bytes,), DType.INT8)
        asked.setdefault(ahead, []).append(
            ask(output=memory, tensor=options.tensor, pieces=options.pieces,
                name=f"{node.name}/ask")
        )  # fmt: skip
        nodes[place] = replace(node, inputs=(*node.inputs, memory))
    if not asked:
        return graph
    ordered = [each for at, node in enumerate(nodes) for each in (*asked.get(at, ()), node)]
    return replace(graph, nodes=ordered)


def _place_of(nodes: Sequence[Node], place: int, host_rank: int) -> int | None:
    """Where to ask for what a RECV takes: before the last kernel, and the RECV of its operand."""
    node = nodes[place]
    if node.op != wire.RECV or not node.outputs or len(node.inputs) >= _MOST_OPERANDS:
        return None
    options = RecvOptions.of(node)
    if options.add or not options.pieces or not node.output.dtype.itemsize:
        return None
    if any(piece.source == host_rank for piece in options.pieces):
        return None
    ahead = place
    while ahead > 0 and nodes[ahead - 1].op in (wire.SEND, wire.RECV):
        ahead -= 1
    if ahead == 0:
        return None
    ahead -= 1  # the kernel
    is_early = ahead > 0 and nodes[ahead - 1].op == wire.RECV
    return ahead - 1 if is_early else ahead


class _Room:
    """The bytes of the head while each node runs, and those at the peak."""

    def __init__(self, totals: list[int]) -> None:
        self._totals = totals
        self._peak = max(totals, default=0)

    @classmethod
    def of(cls, graph: Graph) -> _Room:
        scratch = (
            sum(node_demand(node, HOST_64, "reference").prepared.scratch) for node in graph.nodes
        )
        return cls([a + b for a, b in zip(live_bytes_over_time(graph), scratch, strict=True)])

    def takes(self, first: int, last: int, size_bytes: int) -> bool:
        """Whether so much more is no new peak from one node to another; taken if so."""
        if max(self._totals[first : last + 1]) + size_bytes > self._peak:
            return False
        for at in range(first, last + 1):
            self._totals[at] += size_bytes
        return True
