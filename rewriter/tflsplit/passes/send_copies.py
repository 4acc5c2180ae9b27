# SPDX-License-Identifier: Apache-2.0
"""SENDs copy what leaves, so that the rest of their operand is free at once.

    before   x -- SEND, columns 0 and 6             x -- RECV, pending x --> y, columns -1..7
    after    x -- SEND --> copy of columns 0, 6     x -- RECV, pending copy --> y

A map of columns lies in its rows, so a halo on its left and right moves every byte of it.  With
``x`` free when RECV runs, ``y`` is made where ``x`` lies (memory/overlays.py): a copy of two
columns instead of a second map.  Elsewhere a tensor stays only for a SEND that has not left; then
its copy does.

Only where the device's peak of memory gets smaller; bits, messages and their order stay the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tflsplit.ir import DType, Graph, Node, Value
from tflsplit.memory.better import live_bytes
from tflsplit.memory.lifetimes import in_head
from tflsplit.ops.own.custom import send
from tflsplit.ops.own.custom_options import RecvOptions, SendOptions
from tflsplit.wire import custom_ops as wire


def send_copies(graph: Graph) -> Graph:
    """The graph with such copies; itself where none makes its peak smaller."""
    if not _all_sent(graph):
        return graph
    changed, totals = graph, live_bytes(graph)
    before = max(totals, default=0)
    while (found := _at_peak(changed, totals)) is not None:
        changed = _copied(changed, found)
        totals = live_bytes(changed)
    return changed if max(totals, default=0) < before else graph


@dataclass(frozen=True)
class _Sent:
    """A tensor of which a part is sent; places of nodes.

    sends: the SENDs; until: the RECV that waits for them; used: the last other use.
    """

    x: Value
    sends: tuple[int, ...]
    until: int
    used: int

    @property
    def span(self) -> range:
        """When a copy instead of the tensor is less."""
        return range(self.used, self.until + 1)


def _at_peak(graph: Graph, totals: Sequence[int]) -> _Sent | None:
    """The largest tensor at the peak that copies would free; ``totals``: as of ``live_bytes``."""
    if not totals:
        return None
    peak = totals.index(max(totals)) - 1
    found = [sent for sent in _all_sent(graph) if peak in sent.span]
    return max(found, key=lambda sent: sent.x.size_bytes, default=None)


def _all_sent(graph: Graph) -> list[_Sent]:
    sends: dict[Value, list[int]] = {}
    until: dict[Value, int] = {}
    used: dict[Value, int] = {}
    for place, node in enumerate(graph.nodes):
        if node.op == wire.SEND and node.is_custom and not node.outputs:
            sends.setdefault(node.input(0), []).append(place)
            continue
        first = _first_pending(node)
        for value in node.inputs[:first]:
            if value is not None:
                used[value] = place
        for value in node.inputs[first:]:
            if value is not None:
                until.setdefault(value, place)
        used.update(dict.fromkeys(node.outputs, place))
    return [
        _Sent(x, tuple(places), until[x], used[x])
        for x, places in sends.items()
        if x in until and used.get(x, len(graph.nodes)) <= until[x]
        if places[-1] < until[x] and x not in graph.outputs and in_head(x)
        if _is_worth_it(graph, x, places, until[x], used[x])
    ]


def _first_pending(node: Node) -> int:
    """Of a RECV's operands, the number of the first that it waits for; of others there is none."""
    if node.op != wire.RECV or not node.is_custom:
        return len(node.inputs)
    return 0 if RecvOptions.of(node).local is None else 1


def _is_worth_it(graph: Graph, x: Value, places: Sequence[int], until: int, used: int) -> bool:
    """Whether a copy is smaller, and frees the tensor for something."""
    sizes = [_copy_bytes(graph.nodes[place]) for place in places]
    if sum(sizes) >= x.size_bytes:
        return False
    return used < until or not RecvOptions.of(graph.nodes[until]).add


def _copy_bytes(node: Node) -> int:
    x = node.input(0)
    return sum(box.size for box in SendOptions.of(node).different) * (x.dtype.itemsize or 1)


def _copied(graph: Graph, sent: _Sent) -> Graph:
    """The graph with copies in the SENDs of one tensor."""
    nodes = list(graph.nodes)
    copies = []
    for place in sent.sends:
        node = nodes[place]
        options = SendOptions.of(node)
        copies.append(Value(f"{node.name}/copy", (_copy_bytes(node),), DType.INT8))
        nodes[place] = send(
            sent.x, channel=options.channel, to=options.to, tensor=options.tensor,
            boxes=options.boxes, origin=options.origin, copy=copies[-1], name=node.name,
        )  # fmt: skip
    node = nodes[sent.until]
    first = _first_pending(node)
    rest = [value for value in node.inputs[first:] if value is not sent.x]
    nodes[sent.until] = replace(node, inputs=(*node.inputs[:first], *rest, *copies))
    return replace(graph, nodes=nodes)
