# SPDX-License-Identifier: Apache-2.0
"""Nothing meets what an early RECV still has to bring, or what was asked for ahead.

An early RECV may be done before its pieces are there.  Sound is only: its next node is a
FUSED_BLOCK whose x is its result, for that reads rows when they have come, and ends when all have.
So the two are, for all others, one step that ends with the pieces: no SEND or RECV lies between,
and the proof that the schedule ends (``schedule``) takes an early RECV like any other.

A rolling RECV has memory for some of its pieces: its next node is a chain that takes them all, one
by one, as it needs them.  Again the two are one step for all others.

What an ASK asks for, one later RECV takes: messages of its own, all of them, which are not added.
It lists the ASK's result, and nobody else does; so that memory is the messages' alone from the one
to the other, by the same proof of the arena as for every tensor.
"""

from __future__ import annotations

from collections.abc import Sequence

from tflsplit.ir import Graph, Node
from tflsplit.ops.own.chain_check import rolling_boxes
from tflsplit.ops.own.chain_options import ChainOptions
from tflsplit.ops.own.custom_options import AskOptions, RecvOptions
from tflsplit.split.devices import DeviceGraph
from tflsplit.wire.custom_ops import ASK, CHAIN, FUSED_BLOCK, RECV


def check_early(devices: Sequence[DeviceGraph]) -> list[str]:
    """Every early RECV whose result is not read by such a block at once."""
    problems = []
    for device in devices:
        nodes = device.graph.nodes
        for place, node in enumerate(nodes):
            if node.op != RECV or not node.outputs:
                continue
            options = RecvOptions.of(node)
            after = nodes[place + 1] if place + 1 < len(nodes) else None
            if options.rolling and not _takes(after, node, options):
                problems.append(
                    f"rank {device.rank}: the next node does not take the pieces of {node.name!r}"
                )
            if not options.early:
                continue
            if after is None or after.op != FUSED_BLOCK or after.inputs[0] is not node.output:
                problems.append(
                    f"rank {device.rank}: {node.name!r} is an early RECV, but the next node does "
                    "not wait for its pieces"
                )
            elif node.output.shape[0] != 1:
                problems.append(f"rank {device.rank}: {node.name!r} is early and of several images")
    return problems


def _takes(after: Node | None, node: Node, options: RecvOptions) -> bool:
    """Whether a chain takes the pieces of a rolling RECV, these and no others, in this order."""
    if after is None or after.op != CHAIN or after.inputs[0] is not node.output:
        return False
    if ChainOptions.of(after).rolling is None:
        return False
    boxes = [piece.box.relative_to(options.origin).intervals for piece in options.pieces]
    return boxes == rolling_boxes(after)


def check_asked(devices: Sequence[DeviceGraph]) -> list[str]:
    """Every ASK whose messages no single later RECV takes, or whose memory others use."""
    return [
        f"rank {device.rank}: {node.name!r} {problem}"
        for device in devices
        for place, node in enumerate(device.graph.nodes)
        if node.op == ASK and (problem := _asked_in_vain(device.graph, place, node))
    ]


def _asked_in_vain(graph: Graph, place: int, node: Node) -> str | None:
    memory = node.output
    readers = [at for at, other in enumerate(graph.nodes) if memory in other.operands]
    if len(readers) != 1 or memory in graph.outputs:
        return "asks into memory that not one RECV alone lists"
    (at,) = readers
    reader = graph.nodes[at]
    if at < place or reader.op != RECV or not reader.outputs:
        return "asks for what no RECV behind it takes"
    options, itemsize = RecvOptions.of(reader), reader.output.dtype.itemsize
    local = options.local is not None and reader.inputs[0] is memory
    taken = [(p.channel, p.source, p.box.size * itemsize) for p in options.pieces]
    if local or options.add or list(AskOptions.of(node).messages) != taken:
        return f"asks for other messages than {reader.name!r} places"
    return None
