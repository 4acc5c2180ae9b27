# SPDX-License-Identifier: Apache-2.0
"""From the steps of a search to a whole plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tflsplit.cluster import Cluster
from tflsplit.ir import Graph, Value
from tflsplit.plan.cost import Prediction, predict
from tflsplit.plan.halos import recompute_halos
from tflsplit.plan.spec import Plan, without_extents
from tflsplit.planner.cost.evaluate import Step
from tflsplit.planner.searching.choices import Choices
from tflsplit.planner.ways.chains import chained_inside
from tflsplit.planner.ways.options import WHOLE, Layout, apply_option
from tflsplit.planner.ways.shares import SPEED
from tflsplit.planner.whole.placement import place
from tflsplit.planner.whole.planned import Planned, finish
from tflsplit.split.devices import DeviceGraph


@dataclass(frozen=True)
class Draft:
    """A whole plan whose time is predicted, but not yet what it needs of the devices."""

    plan: Plan
    steps: tuple[Step, ...]
    prediction: Prediction


def assemble(choices: Choices, cluster: Cluster, steps: list[Step]) -> Planned:
    """The whole plan, with halos chosen across units, and all that it comes to."""
    return complete(choices, cluster, draft(choices, cluster, placed(choices, cluster, steps)))


def complete(
    choices: Choices,
    cluster: Cluster,
    drafted: Draft,
    simulated_us: float | None = None,
    unpacked: Sequence[DeviceGraph] = (),
) -> Planned:
    """A draft with all that it comes to; the rest as for ``finish``."""
    steps, prediction = drafted.steps, drafted.prediction
    return finish(choices.graph, drafted.plan, cluster, steps, prediction, simulated_us, unpacked)


def draft(
    choices: Choices,
    cluster: Cluster,
    steps: Sequence[Step],
    across: bool = True,
    alone: int = 0,
    graph: Graph | None = None,
    overlap: bool = True,
) -> Draft:
    """The whole plan of some steps.

    across: halos are chosen anew, now across units: fewer bytes, more work; else they stay as the
        search found them unit by unit.
    alone: at so many borders between units, from the first one on, they are computed twice,
        whatever that costs.
    graph: what the steps are of, if not all of the model.
    overlap: of ``Plan``; it takes some RAM.
    """
    graph = graph or choices.graph
    splits = tuple(split for step in steps for split in step.plan.splits)
    reasons = {name: text for step in steps for name, text in step.plan.reasons.items()}
    shares = choices.vectors[SPEED]
    stream = any(step.plan.stream for step in steps)
    plan = Plan(
        cluster.world_size,
        splits,
        shares,
        reasons=reasons,
        fuse=True,
        overlap=overlap,
        stream=stream,
    )
    if across:
        received = frozenset[str]().union(*map(received_inside, steps))
        bare = replace(plan, splits=tuple(without_extents(split) for split in splits))
        first = {node.name for step in steps[:alone] for node in step.unit.nodes}
        inside = frozenset[str]().union(*(step.unit.inside for step in steps))
        always = (inside | chained_inside(splits) | first) - received
        plan = recompute_halos(graph, bare, always, never=received)
    return Draft(plan, tuple(steps), predict(graph, plan, cluster))


def received_inside(step: Step) -> frozenset[str]:
    """Names of the nodes of a unit whose halos are received although a block could hold them."""
    return step.unit.expansions if step.option.receive else frozenset()


def _has_places(cluster: Cluster, steps: Sequence[Step]) -> bool:
    """Whether no unit waits for one, and the flash suffices with the shares of the search."""
    if any(step.option.placed for step in steps):
        return False
    used = (sum(each) for each in zip(*(s.cost.weights_bytes for s in steps), strict=True))
    return all(b <= cluster.weights_room_bytes(rank) for rank, b in enumerate(used))


def placed(
    choices: Choices, cluster: Cluster, steps: list[Step], flash_slack_bytes: int = 0
) -> list[Step]:
    """The same decisions, every unit that waits for a place on a device of its own choice.

    flash_slack_bytes: of each device, to be left free.
    """
    if not choices.pooling or _has_places(cluster, steps):
        return steps  # with flash enough for all weights, where none waits for a place
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
        chosen = apply_option(unit, option, given, shares, home, choices.room_bytes)
        chosen = chosen or apply_option(unit, WHOLE, given, shares)
        assert chosen is not None
        result.append(choices.step(unit, chosen, given))
        known.update(zip(unit.outputs, chosen.layouts, strict=True))
    return result
