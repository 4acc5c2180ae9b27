# SPDX-License-Identifier: Apache-2.0
"""From the steps of a search to a whole plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tflsplit.cluster import Cluster
from tflsplit.ir import Value
from tflsplit.ops.fused import fused_inside
from tflsplit.plan.halos import recompute_halos
from tflsplit.plan.spec import Plan
from tflsplit.planner.choices import Choices
from tflsplit.planner.evaluate import Step
from tflsplit.planner.options import WHOLE, Layout, apply_option
from tflsplit.planner.placement import place
from tflsplit.planner.planned import Planned, finish
from tflsplit.planner.shares import SPEED


def assemble(
    choices: Choices, cluster: Cluster, steps: list[Step], flash_slack_bytes: int = 0
) -> Planned:
    """The whole plan: halos are chosen anew, now across units, and everything is predicted.

    flash_slack_bytes: of each device, to be left free where units are given a place.
    """
    if any(step.option.placed for step in steps) or not _fits_evenly(cluster, steps):
        steps = _placed(choices, cluster, steps, flash_slack_bytes)
    splits = tuple(replace(split, extents=()) for step in steps for split in step.plan.splits)
    reasons = {name: text for step in steps for name, text in step.plan.reasons.items()}
    shares = choices.vectors[SPEED]
    plan = Plan(cluster.world_size, splits, shares, reasons=reasons, fuse=True)
    plan = recompute_halos(choices.graph, plan, fused_inside(choices.graph))
    return finish(choices.graph, plan, cluster, tuple(steps))


def _fits_evenly(cluster: Cluster, steps: Sequence[Step]) -> bool:
    """Whether the flash suffices with the shares that the search took."""
    used = (sum(each) for each in zip(*(s.cost.weights_bytes for s in steps), strict=True))
    return all(b <= cluster.weights_room_bytes(rank) for rank, b in enumerate(used))


def _placed(
    choices: Choices, cluster: Cluster, steps: Sequence[Step], flash_slack_bytes: int
) -> list[Step]:
    """The same decisions, every placed unit on a device of its own choice."""
    rooms = [
        cluster.weights_room_bytes(rank) - flash_slack_bytes for rank in range(cluster.world_size)
    ]
    placement = place(rooms, steps, choices.vectors[SPEED])
    known: dict[Value, Layout] = {}
    result = []
    for index, step in enumerate(steps):
        unit, option = step.unit, step.option
        given = {value: known[value] for value in unit.inputs if value in known}
        if index in placement.ranks:
            shares, home = choices.vectors[SPEED], placement.ranks[index]
        elif index in placement.shares:
            shares, home = placement.shares[index], None
        else:
            shares, home = (
                choices.shares_of(unit, option, given) or choices.vectors[option.by],
                None,
            )
        chosen = apply_option(unit, option, given, shares, home)
        chosen = chosen or apply_option(unit, WHOLE, given, shares)
        assert chosen is not None
        result.append(choices.step(unit, chosen, given))
        known.update(zip(unit.outputs, chosen.layouts, strict=True))
    return result
