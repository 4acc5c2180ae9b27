# SPDX-License-Identifier: Apache-2.0
"""A better place for every activation than TFLM's greedy planner finds.

Greedy places by falling size, each in the first gap; on graphs whose large tensors live one after
the other this leaves holes::

    greedy:  | a        |   hole  | c      |        planned:  | a        | b     |
             | b     |            | c      |                  | c      |   | b     |

The same first-gap placement is tried in other orders: by how long and how early buffers live, and
then, again and again, with the one that reaches highest placed first.  Tensors that hold the same
bytes (``aliases.py``) are placed over each other, if that does not make the head larger: it saves a
copy too.  The best is written as ``OfflineMemoryAllocation`` (``offline.py``), which TFLM honours;
scratch buffers stay for TFLM to place around it.  Search orders by conflict: Sekiyama et al.,
"Profile-guided memory optimization for deep neural networks", 2018.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from tflsplit.errors import InternalError
from tflsplit.ir import Graph, Node, Value
from tflsplit.memory.abi import HOST_64
from tflsplit.memory.aliases import find_ties
from tflsplit.memory.buffers import ArenaPlan, Buffer
from tflsplit.memory.demand import Kernels, node_demand
from tflsplit.memory.greedy import greedy_plan
from tflsplit.memory.groups import Group, peak_bytes, place, single, tied
from tflsplit.memory.lifetimes import planned_buffers
from tflsplit.memory.offline import METADATA_NAME, offsets_blob
from tflsplit.memory.order import tensor_order
from tflsplit.memory.overlap import plan_violations

_FLAVOURS: tuple[Kernels, ...] = ("reference", "cmsis_nn")
_ROUNDS = 48

_Key = Callable[[Group], tuple[int, ...]]
_ORDERS: tuple[_Key, ...] = (
    lambda g: (-g.size_bytes, g.first),
    lambda g: (-g.size_bytes * (g.last - g.first + 1), g.first),
    lambda g: (g.first - g.last, -g.size_bytes),
    lambda g: (g.first, -g.size_bytes),
    lambda g: (-g.last, -g.size_bytes),
)


def plan_offline(graph: Graph) -> Graph:
    """The graph with planned offsets if they make the head smaller; else the graph itself.

    Smaller, or as small, with either flavour of kernels, whose scratch buffers differ; as small
    will do where tensors lie over each other.  InternalError if the plan is unsound (a bug).
    """
    if METADATA_NAME in graph.metadata:
        return graph
    order = tensor_order(graph)
    scratch = [_scratch(graph, flavour) for flavour in _FLAVOURS]
    heads = before = [_head_bytes(graph, order, each, {}) for each in scratch]
    largest = scratch[before.index(max(before))]
    places: dict[Value, int] = {}
    for groups in _groupings(graph, planned_buffers(graph, largest, order, {})):
        is_tied = any(len(group.members) > 1 for group in groups)
        if not is_tied and max(heads) <= peak_bytes(groups):
            continue
        tried = _places(best_plan(groups))
        after = [_head_bytes(graph, order, each, tried) for each in scratch]
        smaller = max(after) < max(heads) or (is_tied and max(after) == max(heads))
        if smaller and all(a <= b for a, b in zip(after, before, strict=True)):
            places, heads = tried, after
    if not places:
        return graph
    blob = offsets_blob(places, order)
    planned = replace(graph, metadata={**graph.metadata, METADATA_NAME: blob})
    _assert_sound(planned, order, largest, places)
    return planned


def _groupings(graph: Graph, buffers: Sequence[Buffer]) -> list[list[Group]]:
    """What to place: tied buffers as one, if any are; then every buffer by itself."""
    alone = single(buffers)
    together = tied(buffers, find_ties(graph))
    return [together, alone] if len(together) < len(alone) else [alone]


def best_plan(groups: Sequence[Group]) -> ArenaPlan:
    """The lowest plan of all orders that are tried."""
    bound = peak_bytes(groups)
    orders = [sorted(groups, key=key) for key in _ORDERS]
    plans = [place(order) for order in orders]
    best = min(range(len(plans)), key=lambda index: plans[index].head_bytes)
    order, plan = orders[best], plans[best]
    trial, tried = order, plan
    for _ in range(_ROUNDS):
        if plan.head_bytes <= bound:
            break
        top = max(trial, key=lambda group: _end(group, tried))
        trial = [top, *(group for group in trial if group is not top)]
        tried = place(trial)
        if tried.head_bytes < plan.head_bytes:
            plan = tried
    return plan


def _end(group: Group, plan: ArenaPlan) -> int:
    return max(plan.offsets[buffer] + buffer.size_bytes for buffer, _ in group.members)


def _places(plan: ArenaPlan) -> dict[Value, int]:
    return {buffer.value: at for buffer, at in plan.offsets.items() if buffer.value is not None}


def _assert_sound(
    graph: Graph,
    order: Sequence[Value],
    scratch: Mapping[Node, Sequence[int]],
    places: Mapping[Value, int],
) -> None:
    plan = greedy_plan(planned_buffers(graph, scratch, order, places))
    problems = plan_violations(graph, plan, plan.head_bytes)
    if problems:
        raise InternalError("the planned arena is unsound: " + "; ".join(problems[:3]))


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
