# SPDX-License-Identifier: Apache-2.0
"""The front between RAM, bytes on the wires and time: no plan on it is beaten in all three."""

from __future__ import annotations

from dataclasses import replace

from tflsplit.planner.planner import Planner
from tflsplit.planner.whole.planned import Planned

_POINTS = 12
_FREE = ("latency", "bytes")
"""Objectives that a limit on the arena is combined with."""


def pareto_front(planner: Planner, points: int = _POINTS) -> list[Planned]:
    """Plans by falling latency from least RAM on; ClusterError if nothing fits.

    The plans of least time and of least bytes come first; then each next limit on the arena is a
    step below what the last plan needed, down to the least that any plan needs.
    """
    smallest = planner.best("ram")
    least, found = smallest.arena_bytes, [smallest]
    for objective in _FREE:
        best = planner.best(objective)
        found.append(best)
        step = max(1, (best.arena_bytes - least) // points)
        while (limit := found[-1].arena_bytes - step) >= least:
            limited = _limited(planner, limit).find(objective)
            if limited is None:
                break
            found.append(limited)
    return undominated(found)


def _limited(planner: Planner, arena_bytes: int) -> Planner:
    """The same planner, its steps with it, for devices with less RAM for the arena."""
    devices = tuple(
        replace(device, arena_limit_bytes=arena_bytes) for device in planner.cluster.devices
    )
    return Planner(planner.graph, replace(planner.cluster, devices=devices), planner.choices)


def undominated(plans: list[Planned]) -> list[Planned]:
    """Those that no other beats or equals in arena, latency and bytes; by these, in this order."""
    front: list[Planned] = []
    for plan in sorted(plans, key=figures):
        if not any(_is_as_good(other, plan) for other in front):
            front.append(plan)
    return front


def figures(plan: Planned) -> tuple[float, float, float]:
    """What the front is of: arena bytes, microseconds, bytes on the wires."""
    return float(plan.arena_bytes), plan.latency_us, float(plan.wire_bytes)


def _is_as_good(plan: Planned, other: Planned) -> bool:
    return all(a <= b for a, b in zip(figures(plan), figures(other), strict=True))
