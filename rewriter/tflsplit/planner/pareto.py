# SPDX-License-Identifier: Apache-2.0
"""The front between RAM and time: no plan on it is better than another in both."""

from __future__ import annotations

from dataclasses import replace

from tflsplit.errors import ClusterError
from tflsplit.planner.planned import Planned
from tflsplit.planner.planner import Planner

_POINTS = 12


def pareto_front(planner: Planner, points: int = _POINTS) -> list[Planned]:
    """Plans from least RAM to least time; ClusterError if nothing fits.

    The fastest plan comes first; then each next limit on the arena is a step below what the last
    plan needed, down to the least that any plan needs.
    """
    fastest = planner.best("latency")
    smallest = planner.best("ram")
    step = max(1, (fastest.arena_bytes - smallest.arena_bytes) // points)
    front = [fastest]
    while front[-1].arena_bytes - step >= smallest.arena_bytes:
        try:
            front.append(_limited(planner, front[-1].arena_bytes - step).best("latency"))
        except ClusterError:
            break
    front.append(smallest)
    return _undominated(front)


def _limited(planner: Planner, arena_bytes: int) -> Planner:
    """The same planner, its steps with it, for devices with less RAM for the arena."""
    devices = tuple(
        replace(device, arena_limit_bytes=arena_bytes) for device in planner.cluster.devices
    )
    cluster = replace(planner.cluster, devices=devices)
    return Planner(planner.graph, cluster, planner.choices)


def _undominated(plans: list[Planned]) -> list[Planned]:
    front: list[Planned] = []
    for plan in sorted(plans, key=lambda p: (p.arena_bytes, p.prediction.latency_us)):
        if not front or plan.prediction.latency_us < front[-1].prediction.latency_us:
            front.append(plan)
    return front
