# SPDX-License-Identifier: Apache-2.0
"""What one board would need, and what each objective would cost, on the cluster of a report."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tflsplit.cluster import Cluster
from tflsplit.errors import UserError
from tflsplit.ir import Graph
from tflsplit.memory.arena import predict_arena
from tflsplit.planner import OBJECTIVES, THROUGHPUT, Planned, Planner
from tflsplit.planner.cost.memories import kernels_of
from tflsplit.planner.teams import best_teams
from tflsplit.rewriting.rewrite import splittable

OBJECTIVE_WORDS = {
    "latency": "shortest time",
    "ram": "least RAM",
    "bytes": "fewest bytes",
    THROUGHPUT: "most inferences a second",
}


@dataclass(frozen=True)
class Choice:
    """One plan's cost; amounts of the fullest device, of the wires all together.

    name: what it is called on the page; teams: so many clusters of ``world_size`` run it.
    """

    name: str
    world_size: int
    latency_us: float
    arena_bytes: int
    arena_room_bytes: int
    weights_bytes: int
    weights_room_bytes: int
    wire_bytes: int
    fits: bool
    teams: int = 1

    @property
    def throughput_per_s(self) -> float:
        """Inferences a second, of all teams, one after the other."""
        return self.teams * 1e6 / self.latency_us


@dataclass(frozen=True)
class Choices:
    """What stands on a report's first screen beside the plan.

    tflm_arena_bytes: of the unsplit model with TFLM's own kernels on the first device's board.
    alone: one device with this project's kernels; None: nobody looked, or it cannot be.
    objectives: what each of them would cost on this cluster; none: nobody looked.
    """

    tflm_arena_bytes: int
    alone: Choice | None = None
    objectives: tuple[Choice, ...] = ()


def choices(model: Graph, cluster: Cluster, search: bool) -> Choices:
    """search: whether to look for plans, which takes a while for large models."""
    device = cluster.devices[0]
    stock = predict_arena(model, device.abi, kernels_of(device)).required_bytes
    if not search:
        return Choices(stock)
    planner = Planner(splittable(model), cluster)
    try:
        alone = planner.alone("latency")
    except UserError:
        alone = None
    return Choices(
        stock,
        None if alone is None else _choice("one board", *alone),
        tuple(_objectives(planner)),
    )


def _objectives(planner: Planner) -> Iterator[Choice]:
    for objective in OBJECTIVES:
        try:
            found = planner.find(objective)
        except UserError:
            continue
        if found is not None:
            yield _choice(objective, found, found.cluster)
    if planner.cluster.teams > 1:
        return
    if teams := best_teams(planner.graph, planner.cluster, planner):
        yield _choice(THROUGHPUT, teams[1], teams[1].cluster)


def _choice(name: str, planned: Planned, cluster: Cluster) -> Choice:
    ranks = range(cluster.world_size)
    return Choice(
        name=name,
        world_size=planned.plan.world_size,
        latency_us=planned.latency_us,
        arena_bytes=planned.arena_bytes,
        arena_room_bytes=min(map(cluster.arena_room_bytes, ranks)),
        weights_bytes=max(planned.weights_bytes),
        weights_room_bytes=min(map(cluster.weights_room_bytes, ranks)),
        wire_bytes=planned.wire_bytes,
        fits=planned.fits(cluster),
        teams=cluster.teams,
    )
