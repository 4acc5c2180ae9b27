# SPDX-License-Identifier: Apache-2.0
"""A better place for every activation than TFLM's greedy planner finds.

Greedy places by falling size, each in the first gap; on graphs whose large tensors live one after
the other this leaves holes::

    greedy:  | a        |   hole  | c      |        planned:  | a        | b     |
             | b     |            | c      |                  | c      |   | b     |

The same first-gap placement is tried in other orders: by how long and how early buffers live, and
then, again and again, with the buffer that reaches highest placed first.  The best is written as
``OfflineMemoryAllocation`` (``offline.py``), which TFLM honours; scratch buffers stay for TFLM to
place around it.  Search orders by conflict: Sekiyama et al., "Profile-guided memory optimization
for deep neural networks", 2018.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from tflsplit.errors import InternalError
from tflsplit.ir import Graph, Node, Value
from tflsplit.memory.abi import HOST_64
from tflsplit.memory.buffers import ArenaPlan, Buffer
from tflsplit.memory.demand import Kernels, node_demand
from tflsplit.memory.greedy import greedy_plan, placed_in_order
from tflsplit.memory.lifetimes import planned_buffers
from tflsplit.memory.offline import METADATA_NAME, offsets_blob
from tflsplit.memory.order import tensor_order
from tflsplit.memory.overlap import overlap_violations

_FLAVOURS: tuple[Kernels, ...] = ("reference", "cmsis_nn")
_ROUNDS = 48

_Key = Callable[[Buffer], tuple[int, ...]]
_ORDERS: tuple[_Key, ...] = (
    lambda b: (-b.size_bytes, b.first),
    lambda b: (-b.size_bytes * (b.last - b.first + 1), b.first),
    lambda b: (b.first - b.last, -b.size_bytes),
    lambda b: (b.first, -b.size_bytes),
    lambda b: (-b.last, -b.size_bytes),
)


def plan_offline(graph: Graph) -> Graph:
    """The graph with planned offsets if they make the head smaller; else the graph itself.

    Smaller, or as small, with either flavour of kernels, whose scratch buffers differ.
    """
    if METADATA_NAME in graph.metadata:
        return graph
    order = tensor_order(graph)
    scratch = [_scratch(graph, flavour) for flavour in _FLAVOURS]
    before = [_head_bytes(graph, order, each, {}) for each in scratch]
    largest = scratch[before.index(max(before))]
    buffers = planned_buffers(graph, largest, order, {})
    if max(before) <= peak_bytes(buffers):
        return graph
    plan = best_plan(buffers)
    places = {buffer.value: at for buffer, at in plan.offsets.items() if buffer.value is not None}
    after = [_head_bytes(graph, order, each, places) for each in scratch]
    if any(a > b for a, b in zip(after, before, strict=True)) or max(after) >= max(before):
        return graph
    blob = offsets_blob(places, order)
    return replace(graph, metadata={**graph.metadata, METADATA_NAME: blob})


def best_plan(buffers: Sequence[Buffer]) -> ArenaPlan:
    """The lowest plan of all orders that are tried; InternalError if it is unsound (a bug)."""
    bound = peak_bytes(buffers)
    orders = [sorted(buffers, key=key) for key in _ORDERS]
    plans = [placed_in_order(order) for order in orders]
    best = min(range(len(plans)), key=lambda index: plans[index].head_bytes)
    order, plan = orders[best], plans[best]
    trial, tried = order, plan
    for _ in range(_ROUNDS):
        if plan.head_bytes <= bound:
            break
        top = max(tried.offsets, key=lambda b: tried.offsets[b] + b.size_bytes)
        trial = [top, *(buffer for buffer in trial if buffer is not top)]
        tried = placed_in_order(trial)
        if tried.head_bytes < plan.head_bytes:
            plan = tried
    problems = overlap_violations(plan, plan.head_bytes)
    if problems:
        raise InternalError("the planned arena is unsound: " + "; ".join(problems[:3]))
    return plan


def peak_bytes(buffers: Sequence[Buffer]) -> int:
    """The most that is live at one time: no plan can do with less."""
    times = {buffer.first for buffer in buffers}
    return max(
        (sum(b.size_bytes for b in buffers if b.first <= t <= b.last) for t in times), default=0
    )


def _scratch(graph: Graph, flavour: Kernels) -> dict[Node, Sequence[int]]:
    # Scratch buffers do not depend on the size of pointers: any ABI will do.
    return {node: node_demand(node, HOST_64, flavour).prepared.scratch for node in graph.nodes}


def _head_bytes(
    graph: Graph,
    order: Sequence[Value],
    scratch: Mapping[Node, Sequence[int]],
    places: Mapping[Value, int],
) -> int:
    return greedy_plan(planned_buffers(graph, scratch, order, places)).head_bytes
