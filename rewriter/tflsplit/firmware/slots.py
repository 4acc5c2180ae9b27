# SPDX-License-Identifier: Apache-2.0
"""How many transfers a device has under way at once: the sizes of split_core's tables.

Counted from the graphs, not guessed, so that no inference fails for want of a slot
(``NodeConfig`` in split_core; docs/wire_format.md, "Rendezvous").
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tflsplit.errors import ClusterError
from tflsplit.ir import Graph, Node, Value
from tflsplit.ops.own.custom_options import AskOptions, RecvOptions, sent_from
from tflsplit.split.devices import DeviceGraph
from tflsplit.wire import custom_ops as wire

_MOST = 255


@dataclass(frozen=True)
class Slots:
    """Of one device.

    send: SENDs posted and perhaps not gone, one for each box of a scatter.
    recv: boxes of one RECV and what is asked for meanwhile, or inputs.
    grant: grants of others that may come before their SEND is posted.
    """

    send: int
    recv: int
    grant: int


def slots_of(devices: Sequence[DeviceGraph], ahead: bool = False) -> tuple[Slots, ...]:
    """For each rank.  ClusterError if a device would need more than 255 of a kind.

    ahead: the input of the next inference arrives while this one computes.
    """
    asked = [_most_pieces_by_source(device.graph) for device in devices]
    result = []
    for device in devices:
        graph = device.graph
        # Each other rank stands in at most one RECV at a time, and has asked for some more; the
        # host asks for all outputs, of this inference and of the next.
        grants = sum(pieces.get(device.rank, 0) for pieces in asked) + 2 * len(graph.outputs)
        next_inputs = len(graph.inputs) if ahead else 0
        slots = Slots(
            send=max(1, most_posted(graph)),
            recv=max(1, len(graph.inputs), _most_pieces(graph)) + next_inputs,
            grant=max(1, grants),
        )
        for kind, count in vars(slots).items():
            if count > _MOST:
                raise ClusterError(
                    f"rank {device.rank} needs {count} {kind} slots; a device has at most {_MOST}: "
                    "use fewer devices, or another way to split"
                )
        result.append(slots)
    return tuple(result)


def most_posted(graph: Graph) -> int:
    """The most boxes that are posted at one time: until the RECV that lists their tensor."""
    posted: dict[Value, int] = {}
    most = 0
    for node in graph.nodes:
        if node.op == wire.SEND:
            read = sent_from(node)
            posted[read] = posted.get(read, 0) + _boxes_of(node)
        most = max(most, sum(posted.values()))
        if node.op == wire.RECV:
            # The local shard of an early RECV is still being sent (passes/early_receives.py).
            first = 1 if node.attrs.integers("local") else 0
            for value in node.operands[first:]:
                posted.pop(value, None)
    return max(most, sum(posted.values()) + len(graph.outputs))


def _boxes_of(send: Node) -> int:
    """One for a multicast, one for each rank of a scatter."""
    dims = len(send.input(0).shape)
    boxes = send.attrs.integers("boxes") or ()
    return max(1, len(boxes) // (2 * dims)) if dims else 1


def _most_pieces(graph: Graph) -> int:
    return max((len(sources) for sources in _wanted(graph)), default=0)


def _most_pieces_by_source(graph: Graph) -> dict[int, int]:
    most: dict[int, int] = {}
    for sources in _wanted(graph):
        for source, count in Counter(sources).items():
            most[source] = max(most.get(source, 0), count)
    return most


def _wanted(graph: Graph) -> Iterator[list[int]]:
    """While each RECV runs: the sources of what it takes, and of what was asked for before."""
    ahead: dict[tuple[int, int], int] = {}
    for node in graph.nodes:
        if node.op == wire.ASK:
            ahead.update({(channel, source): source
                          for channel, source, _ in AskOptions.of(node).messages})  # fmt: skip
        elif node.op == wire.RECV:
            options = RecvOptions.of(node)
            at_once = options.pieces[:1] if options.rolling else options.pieces
            taken = {(p.channel, p.source): p.source for p in at_once}
            yield list({**ahead, **taken}.values())
            ahead = {key: source for key, source in ahead.items() if key not in taken}
