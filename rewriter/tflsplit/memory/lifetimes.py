# SPDX-License-Identifier: Apache-2.0
"""When every activation is live, as TFLM's AllocationInfoBuilder sees it.

Source: ``micro/micro_allocation_info.cc`` of TFLM at commit 90b983c.  Time 0 is before the first
node and node ``i`` runs at time ``i + 1``::

    graph inputs      [0, last reader]        the input of no node: [0, 0]
    results           [producer, last reader] read by nobody: [producer, producer]
    graph outputs     [producer, end]         a graph input among them: [0, end]
    scratch buffers   [node, node]
    constants, variables, empty tensors: not in the head
    other tensors of the file [-1, -1]        TFLM gives room to what no node mentions
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tflsplit.ir import Graph, Node, Value
from tflsplit.memory.abi import align_up
from tflsplit.memory.buffers import ALIGNMENT_BYTES, Buffer, covered_bytes
from tflsplit.memory.kernels import tensor_bytes
from tflsplit.memory.offline import offline_offsets
from tflsplit.memory.order import tensor_order

Span = tuple[int, int]

_NEVER = (-1, -1)


def lifetimes(graph: Graph) -> dict[Value, Span]:
    """First and last time step of every value that lives in the head, both included."""
    spans: dict[Value, Span] = dict.fromkeys(graph.inputs, (0, 0))
    for time, node in enumerate(graph.nodes, 1):
        for value in (*node.operands, *node.outputs):
            first, _ = spans.get(value, (time, time))
            spans[value] = (first, time)
    end = len(graph.nodes)
    for value in graph.outputs:
        spans[value] = (spans.get(value, (end, end))[0], end)
    return {value: span for value, span in spans.items() if in_head(value)}


def in_head(value: Value) -> bool:
    """Whether TFLM plans room for the value in the head."""
    return value.is_computed and tensor_bytes(value) > 0


def planned_buffers(
    graph: Graph,
    scratch: Mapping[Node, Sequence[int]],
    order: Iterable[Value],
    fixed: Mapping[Value, int],
    spans: Mapping[Value, Span] | None = None,
) -> list[Buffer]:
    """Everything that wants a place in the head, in the order in which TFLM lists it.

    scratch: the scratch buffers in bytes that each node asks for; nodes may be missing.
    order: the graph's tensors as the file lists them (ties between equal sizes depend on it).
    fixed: offsets that are planned already.
    spans: ``lifetimes(graph)``, if they are known.
    """
    spans = lifetimes(graph) if spans is None else spans
    buffers = [
        Buffer(
            align_up(tensor_bytes(value), ALIGNMENT_BYTES),
            *spans.get(value, _NEVER),
            value=value,
            label=value.name,
            offset_bytes=fixed.get(value),
        )
        for value in order
        if in_head(value)
    ]
    for time, node in enumerate(graph.nodes, 1):
        buffers += [
            Buffer(align_up(size, ALIGNMENT_BYTES), time, time, None, f"scratch {i} of {node.name}")
            for i, size in enumerate(scratch.get(node, ()))
        ]
    return buffers


def live_bytes_over_time(graph: Graph) -> list[int]:
    """The bytes of live activations while each node runs, without alignment, gaps and scratch.

    Bytes that two of them share, by the offsets that the graph's metadata plans, count once.
    One number per node; a graph without nodes has none.  Raises ModelError for broken metadata.
    """
    changes = [0] * (len(graph.nodes) + 2)
    planned: list[tuple[Span, Span]] = []
    offsets = offline_offsets(graph, tensor_order(graph))
    for value, (first, last) in lifetimes(graph).items():
        size, at = tensor_bytes(value), offsets.get(value)
        if at is not None:
            planned.append(((first, last), (at, at + size)))
            continue
        changes[first] += size
        changes[last + 1] -= size
    totals, live = [], changes[0]
    for time, change in enumerate(changes[1:-1], 1):
        live += change
        spans = (place for (first, last), place in planned if first <= time <= last)
        totals.append(live + covered_bytes(spans))
    return totals


def peak_live_bytes(graph: Graph) -> int:
    """The largest of ``live_bytes_over_time``: the head cannot be smaller, as it is planned."""
    return max(live_bytes_over_time(graph), default=0)
