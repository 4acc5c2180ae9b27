# SPDX-License-Identifier: Apache-2.0
"""A better place for every activation than TFLM's greedy planner finds.

Greedy places by falling size, each in the first gap; on graphs whose large tensors live one after
the other this leaves holes::

    greedy:  | a        |   hole  | c      |        planned:  | a        | b     |
             | b     |            | c      |                  | c      |   | b     |

The same first-gap placement is tried in other orders: by how long and how early buffers live, and
then, again and again, with the one that reaches highest placed first.  Tensors that hold the same
bytes (``aliases.py``) are placed over each other, if that does not make the head larger: it saves a
copy too; results that may be written over an operand (``overlays.py``) are, where that makes it
smaller.  The best is written as ``OfflineMemoryAllocation`` (``offline.py``), which TFLM honours;
scratch buffers stay for TFLM to place around it.  Search orders by conflict: Sekiyama et al.,
"Profile-guided memory optimization for deep neural networks", 2018.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from operator import le
from types import MappingProxyType

from tflsplit.errors import InternalError
from tflsplit.ir import Graph, Node, Value
from tflsplit.memory.aliases import find_ties
from tflsplit.memory.buffers import ArenaPlan, Buffer
from tflsplit.memory.demand import Kernels, node_scratch
from tflsplit.memory.greedy import greedy_plan
from tflsplit.memory.groups import (
    Group,
    Meeting,
    Over,
    bytes_by_time,
    lying_over,
    meeting,
    peak_bytes,
    place,
    single,
    tied,
)
from tflsplit.memory.lifetimes import lifetimes, planned_buffers
from tflsplit.memory.offline import METADATA_NAME, offsets_blob
from tflsplit.memory.order import tensor_order
from tflsplit.memory.overlap import plan_violations
from tflsplit.memory.overlays import find_overlays

_FLAVOURS: tuple[Kernels, ...] = ("reference", "cmsis_nn")
_ROUNDS = 48
_FEW_ROUNDS = 16
_WORK = 2_000_000
"""Rounds times groups squared, at most: unrolled recurrent layers have hundreds of tensors."""

_Key = Callable[[Group], tuple[int, ...]]
_ORDERS: tuple[_Key, ...] = (
    lambda g: (-g.size_bytes, g.first),
    lambda g: (-g.size_bytes * (g.last - g.first + 1), g.first),
    lambda g: (g.first - g.last, -g.size_bytes),
    lambda g: (g.first, -g.size_bytes),
    lambda g: (-g.last, -g.size_bytes),
)


def plan_offline(graph: Graph, checked: bool = True, head: Head | None = None) -> Graph:
    """The graph with planned offsets if they make the head smaller; else the graph itself.

    Smaller, or as small, with either flavour of kernels, whose scratch buffers differ; as small
    will do where tensors lie over each other.  checked: by ``plan_violations``; a search compares
    hundreds of graphs, and what is written is made again.  InternalError if it is unsound (a bug).
    head: the graph's, if it is there.
    """
    if METADATA_NAME in graph.metadata:
        return graph
    head = head or Head(graph)
    before = best = head.laid_out({})
    places: dict[Value, int] = {}
    choices, over = head.groupings(before.index(max(before, key=_bytes)))
    for groups in choices:
        is_tied = any(len(group.members) > 1 for group in groups)
        if not is_tied and _largest(best) <= peak_bytes(groups, over):
            continue
        tried = places_of(best_plan(groups, over))
        after = head.laid_out(tried)
        limit = _largest(best) - (0 if is_tied else 1)
        if _largest(after) <= limit and all(map(le, map(_bytes, after), map(_bytes, before))):
            places, best = tried, after
    if not places:
        return graph
    problems = plan_violations(graph, best[0], _bytes(best[0])) if checked else []
    if problems:
        raise InternalError("the planned arena is unsound: " + "; ".join(problems[:3]))
    blob = offsets_blob(places, head.order)
    return replace(graph, metadata={**graph.metadata, METADATA_NAME: blob})


def live_bytes(graph: Graph) -> list[int]:
    """The least that a plan of the head could take, by step; node ``i`` runs at step ``i + 1``.

    Tensors that can lie over each other share what they can, scratch is that of the reference
    kernels.
    """
    by_time = Head(graph, ("reference",)).bytes_by_time(0)
    totals, live = [], 0
    for time in range(len(graph.nodes) + 1):
        live = by_time.get(time, live)
        totals.append(live)
    return totals


class Head:
    """A graph's head as TFLM lays it out, for every flavour of kernels that differs."""

    def __init__(self, graph: Graph, flavours: Sequence[Kernels] = _FLAVOURS) -> None:
        self.order = tensor_order(graph)
        self._graph, self._spans = graph, lifetimes(graph)
        self.overlays = find_overlays(graph, self._spans)
        self._scratch: list[dict[Node, Sequence[int]]] = []
        self._indices: dict[Kernels, int] = {}
        self._groupings: dict[int, tuple[list[list[Group]], Over]] = {}
        for flavour in flavours:  # they often ask for the same
            scratch = _scratch(graph, flavour)
            if scratch not in self._scratch:
                self._scratch.append(scratch)
            self._indices[flavour] = self._scratch.index(scratch)

    def buffers(
        self, index: int, places: Mapping[Value, int] = MappingProxyType({})
    ) -> list[Buffer]:
        """What one of the flavours wants to be placed, some of it at ``places``."""
        return planned_buffers(self._graph, self._scratch[index], self.order, places, self._spans)

    def groupings(self, index: int) -> tuple[list[list[Group]], Over]:
        """What to place for one of the flavours, in which ways, and what may lie over what."""
        if index not in self._groupings:
            buffers = self.buffers(index)
            groups = groupings(self._graph, buffers)
            self._groupings[index] = groups, lying_over(buffers, self.overlays)
        return self._groupings[index]

    def bytes_by_time(self, index: int) -> dict[int, int]:
        """What is live for one of the flavours, from each time at which that changes."""
        groups, over = self.groupings(index)
        return bytes_by_time(groups[0], over)

    def least_bytes(self, kernels: Kernels) -> int:
        """No plan of the head takes less; found without placing anything.

        kernels: those whose scratch is counted.
        """
        if kernels not in self._indices:
            return Head(self._graph, (kernels,)).least_bytes(kernels)
        return max(self.bytes_by_time(self._indices[kernels]).values(), default=0)

    def laid_out(self, places: Mapping[Value, int]) -> list[ArenaPlan]:
        """What TFLM makes of ``places``, by flavour."""
        return [greedy_plan(self.buffers(index, places)) for index in range(len(self._scratch))]


def _bytes(plan: ArenaPlan) -> int:
    return plan.head_bytes


def _largest(plans: Iterable[ArenaPlan]) -> int:
    return max(map(_bytes, plans))


def groupings(graph: Graph, buffers: Sequence[Buffer]) -> list[list[Group]]:
    """What to place: tied buffers as one, if any are; then every buffer by itself."""
    alone = single(buffers)
    together = tied(buffers, find_ties(graph))
    return [together, alone] if len(together) < len(alone) else [alone]


def best_plan(groups: Sequence[Group], over: Over = MappingProxyType({})) -> ArenaPlan:
    """The lowest plan of all orders that are tried."""
    bound, meets = peak_bytes(groups, over), meeting(groups)
    order = sorted(groups, key=_ORDERS[0])
    plan = place(order, meets, over)
    for key in _ORDERS[1:]:
        if plan.head_bytes <= bound:
            return plan
        other = sorted(groups, key=key)
        tried = place(other, meets, over)
        if tried.head_bytes < plan.head_bytes:
            order, plan = other, tried
    plan = _improved(order, plan, bound, _ROUNDS, meets, over)
    # Where a result may lie over x, or beside it: from all, and with results before their operands.
    for key in (*_ORDERS, _results_first(over)) if over else ():
        if plan.head_bytes <= bound:
            break
        order = sorted(groups, key=key)
        first = place(order, meets, over)
        improved = _improved(order, first, bound, _FEW_ROUNDS, meets, over)
        if improved.head_bytes < plan.head_bytes:
            plan = improved
    return plan


def _results_first(over: Over) -> _Key:
    """A result that must begin below its operand has no room there once that lies at 0."""
    results = {result for result, _ in over}

    def key(group: Group) -> tuple[int, ...]:
        is_result = any(buffer in results for buffer, _ in group.members)
        return -int(is_result), -group.size_bytes

    return key


def _improved(
    order: Sequence[Group], plan: ArenaPlan, bound: int, rounds: int, meets: Meeting, over: Over
) -> ArenaPlan:
    """The lowest plan found by placing first, again and again, what ends highest."""
    tried = plan
    for _ in range(min(rounds, _WORK // len(order) ** 2)):
        if plan.head_bytes <= bound:
            break
        ends = {id(group): _end(group, tried) for group in order}
        top = max(order, key=lambda group: ends[id(group)])
        order = [top, *(group for group in order if group is not top)]
        tried = place(order, meets, over)
        if tried.head_bytes < plan.head_bytes:
            plan = tried
    return plan


def _end(group: Group, plan: ArenaPlan) -> int:
    return max(plan.offsets[buffer] + buffer.size_bytes for buffer, _ in group.members)


def places_of(plan: ArenaPlan) -> dict[Value, int]:
    """Where a plan puts tensors."""
    return {buffer.value: at for buffer, at in plan.offsets.items() if buffer.value is not None}


def _scratch(graph: Graph, flavour: Kernels) -> dict[Node, Sequence[int]]:
    return {node: node_scratch(node, flavour) for node in graph.nodes}
