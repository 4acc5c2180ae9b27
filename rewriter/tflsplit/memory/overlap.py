# SPDX-License-Identifier: Apache-2.0
"""A checker of arena plans that shares no code with the planners.

It walks through time: at each step it takes what is live, sorts it by address and looks at
neighbours, where a planner reasons about gaps.  Tensors that share bytes while both are live must
hold the same in each of them: that is found by moving identities (``identity.py``), and nobody who
planned them is believed.  Or one of them is written over the other by the only node at which both
are live, which must have read each byte before: ``progress.py``.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from tflsplit.ir import Graph, Value
from tflsplit.memory.buffers import ALIGNMENT_BYTES, ArenaPlan, Buffer
from tflsplit.memory.identity import Identities
from tflsplit.memory.progress import is_read_before_written, may_still_arrive


def plan_violations(graph: Graph, plan: ArenaPlan, head_bytes: int | None = None) -> list[str]:
    """Every way in which ``plan`` would let ``graph`` read wrong data; empty if it is sound."""
    return [
        *missing_values(graph, plan),
        *short_spans(graph, plan),
        *overlap_violations(plan, head_bytes, Witnesses(Identities(graph), graph)),
    ]


@dataclass(frozen=True)
class Witnesses:
    """Who knows of two tensors whether they may share bytes."""

    identities: Identities
    graph: Graph

    def agree(self, plan: ArenaPlan, a: Buffer, b: Buffer) -> bool:
        """Whether two buffers that are live together may lie where they do."""
        if a.value is None or b.value is None:
            return False
        return (
            self._is_used_up(plan, a, b)
            or self._is_used_up(plan, b, a)
            or _hold_the_same(plan, a, b, self.identities)
        )

    def _is_used_up(self, plan: ArenaPlan, operand: Buffer, result: Buffer) -> bool:
        """Whether one ends at the node that makes the other, which has read what it overwrites."""
        time, nodes = result.first, self.graph.nodes
        if operand.last != time or not 0 < time <= len(nodes):
            return False
        if operand.value in self.graph.outputs or operand.value in may_still_arrive(self.graph):
            return False
        assert operand.value is not None
        assert result.value is not None
        distance_bytes = plan.offsets[result] - plan.offsets[operand]
        node = nodes[time - 1]
        return is_read_before_written(node, operand.value, result.value, distance_bytes)


def overlap_violations(
    plan: ArenaPlan, head_bytes: int | None = None, witnesses: Witnesses | None = None
) -> list[str]:
    """Every collision of buffers, by the spans that they claim.

    Buffers that are live together may not share a byte, unless ``witnesses`` say that it does no
    harm; each starts on a 16-byte boundary at or above 0, and none reaches beyond ``head_bytes`` if
    that is given.
    """
    problems = []
    for buffer, start in plan.offsets.items():
        if start < 0 or start % ALIGNMENT_BYTES:
            problems.append(f"{buffer.label} starts at {start}, not on a 16-byte boundary")
        if head_bytes is not None and start + buffer.size_bytes > head_bytes:
            problems.append(f"{buffer.label} ends at {start + buffer.size_bytes}, after the head")
    return problems + _collisions(plan, witnesses)


def _collisions(plan: ArenaPlan, witnesses: Witnesses | None) -> list[str]:
    found: dict[tuple[Buffer, Buffer], str] = {}
    starting: dict[int, list[tuple[int, Buffer]]] = defaultdict(list)
    for buffer, at in plan.offsets.items():
        starting[buffer.first].append((at, buffer))
    live: list[tuple[int, Buffer]] = []
    for time in sorted(starting):
        # Two buffers are live together only if one of them is when the other begins.
        live = [pair for pair in (*live, *starting[time]) if _is_live(pair[1], time)]
        live.sort(key=lambda pair: pair[0])
        for i, (at, buffer) in enumerate(live):
            for other_at, other in live[i + 1 :]:
                if other_at >= at + buffer.size_bytes:
                    break
                if other.size_bytes and buffer.size_bytes:
                    found.setdefault((buffer, other), _describe(buffer, at, other, other_at, time))
    return [
        text
        for (a, b), text in found.items()
        if witnesses is None or not witnesses.agree(plan, a, b)
    ]


def _hold_the_same(plan: ArenaPlan, a: Buffer, b: Buffer, identities: Identities) -> bool:
    """Whether two tensors are the same wherever they lie over each other, and do so at all."""
    assert a.value is not None
    assert b.value is not None
    numbers_a, numbers_b = identities.of(a.value), identities.of(b.value)
    start_a, start_b = plan.offsets[a], plan.offsets[b]
    start = max(start_a, start_b)
    stop = min(start_a + len(numbers_a), start_b + len(numbers_b))
    return start < stop and np.array_equal(
        numbers_a[start - start_a : stop - start_a], numbers_b[start - start_b : stop - start_b]
    )


def _is_live(buffer: Buffer, time: int) -> bool:
    return buffer.first <= time <= buffer.last


def _describe(buffer: Buffer, at: int, other: Buffer, other_at: int, time: int) -> str:
    return (
        f"{buffer.label} [{at}, {at + buffer.size_bytes}) and "
        f"{other.label} [{other_at}, {other_at + other.size_bytes}) share bytes at step {time}"
    )


def missing_values(graph: Graph, plan: ArenaPlan) -> list[str]:
    """Computed values of the graph that the plan gives no place, or too small a one."""
    placed = {buffer.value: buffer for buffer in plan.offsets if buffer.value is not None}
    problems = []
    for value in graph.values():
        if not value.is_computed or value.size_bytes == 0:
            continue
        buffer = placed.get(value)
        if buffer is None:
            problems.append(f"{value!r} has no place")
        elif buffer.size_bytes < value.size_bytes:
            problems.append(f"{value!r} has {buffer.size_bytes} of {value.size_bytes} bytes")
    return problems


def short_spans(graph: Graph, plan: ArenaPlan) -> list[str]:
    """Buffers whose span leaves out a node that reads or writes their value.

    A graph input must be live from step 0, before the first node; an output until the last step.
    """
    spans = {buffer.value: buffer for buffer in plan.offsets if buffer.value is not None}
    return [
        f"{value!r} is used by {node!r} at step {time}, outside its span"
        for time, node in enumerate(graph.nodes, 1)
        for value in (*node.operands, *node.outputs)
        if _leaves_out(spans.get(value), time)
    ] + _ends_too_short(graph, spans)


def _leaves_out(buffer: Buffer | None, time: int) -> bool:
    return buffer is not None and not _is_live(buffer, time)


def _ends_too_short(graph: Graph, spans: dict[Value, Buffer]) -> list[str]:
    ends = [(value, 0) for value in graph.inputs]
    ends += [(value, len(graph.nodes)) for value in graph.outputs]
    return [
        f"{value!r} may be overwritten at step {time}, where it crosses the graph's border"
        for value, time in ends
        if _leaves_out(spans.get(value), time)
    ]
