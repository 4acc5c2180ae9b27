# SPDX-License-Identifier: Apache-2.0
"""Why a plan is as it is: for each unit, what was compared and what decided."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tflsplit.plan.spec import Plan
from tflsplit.planner.cost.evaluate import Step
from tflsplit.planner.searching.searcher import Searcher
from tflsplit.planner.ways.options import Layout
from tflsplit.planner.whole.planned import Planned


def explain(planned: Planned, searcher: Searcher) -> list[dict[str, Any]]:
    """One entry per unit, in execution order; per layer for a plan that was not searched.

    alternatives: every other option from the same layouts, with its cost.
    why: what the chosen one is better at, or what ruled the better ones out.
    """
    if not planned.steps:
        return _by_layer(planned, searcher)
    return [
        {
            "node": step.unit.nodes[-1].name,
            "output_shape": list(step.unit.outputs[0].shape),
            "nodes": len(step.unit.nodes),
            "option": step.option.name,
            **_figures(step),
            "why": _why(step, others, searcher),
            "alternatives": [{"option": o.option.name, **_figures(o)} for o in others],
        }
        for step, others in _compared(planned, searcher)
    ]


def _compared(planned: Planned, searcher: Searcher) -> Iterator[tuple[Step, list[Step]]]:
    """By unit, the step that was chosen, and every other option from the same layouts."""
    layouts: tuple[Layout, ...] = ()
    for index, step in enumerate(planned.steps):
        choices = searcher.choices
        given = choices.given(index, layouts)
        layouts = step.layouts
        others = [o for o in choices.expand(index, given) if not o.is_like(step)]
        others = [choices.plainest(index, given, other) for other in others]
        yield choices.plainest(index, given, step), others


def reasoned(planned: Planned, searcher: Searcher) -> Plan:
    """The plan, with reasons of the search: for each layer what its unit was decided by."""
    if not planned.steps:
        return planned.plan
    reasons: dict[str, str] = {}
    for step, others in _compared(planned, searcher):
        reason = f"{step.option.name}: {_why(step, others, searcher)}"
        reasons.update(dict.fromkeys((node.name for node in step.unit.nodes), reason))
    return replace(planned.plan, reasons=reasons)


def _by_layer(planned: Planned, searcher: Searcher) -> list[dict[str, Any]]:
    """What the policy, or whoever wrote the plan, says of each layer."""
    return [
        {
            "node": node.name,
            "output_shape": list(node.outputs[0].shape) if node.outputs else [],
            "nodes": 1,
            "option": split.way.value,
            "time_us": step.exchange_us + step.compute_us,
            "wire_bytes": None,
            "head_bytes": None,
            "weights_bytes": sum(v.size_bytes for v in node.operands if v.is_constant),
            "why": planned.plan.reasons.get(node.name, ""),
            "alternatives": [],
        }
        for node, split, step in zip(
            searcher.graph.nodes, planned.plan.splits, planned.prediction.steps, strict=True
        )
    ]


def _figures(step: Step) -> dict[str, Any]:
    return {
        "time_us": step.cost.time_us,
        "wire_bytes": step.cost.wire_bytes,
        "head_bytes": max(step.cost.head_bytes),
        "weights_bytes": max(step.cost.weights_bytes),
    }


def _why(step: Step, others: list[Step], searcher: Searcher) -> str:
    if not others:
        return "the only way"
    rooms = [searcher.cluster.arena_room_bytes(r) for r in range(searcher.cluster.world_size)]
    faster = [other for other in others if other.cost.time_us < step.cost.time_us]
    if not faster:
        best = min(others, key=lambda other: other.cost.time_us)
        how_long = longer(best.cost.time_us, step.cost.time_us)
        return f"fastest; {_apart(best, step)} would take {how_long}"
    best = min(faster, key=lambda other: other.cost.time_us)
    name = best.option.name
    if any(head > room for head, room in zip(best.cost.head_bytes, rooms, strict=True)):
        return f"{name} would be faster but needs {max(best.cost.head_bytes):,} B of RAM"
    if max(best.cost.weights_bytes) > max(step.cost.weights_bytes):
        return f"{name} would be faster but repeats {max(best.cost.weights_bytes):,} B of weights"
    return f"{name} would be faster here, but not with its neighbours"


def _apart(other: Step, step: Step) -> str:
    """An option's name, so that it reads as another one than the step's."""
    name = other.option.name
    return f"{name} sized by speed" if step.option.name.startswith(f"{name} sized by ") else name


def longer(other_us: float, fastest_us: float) -> str:
    """How long another option takes, in times of the fastest: ``1.24 times as long``."""
    if other_us < 1.005 * fastest_us or other_us <= 0:
        return "about as long"
    if fastest_us <= 0:
        return "longer"
    times = other_us / fastest_us
    if times > 100:
        return "over 100 times as long"
    return f"{times:.2f} times as long" if times < 1.95 else f"{times:.1f} times as long"
