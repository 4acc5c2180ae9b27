# SPDX-License-Identifier: Apache-2.0
"""A whole plan, and all that it comes to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from tflsplit.cluster import Cluster
from tflsplit.ir import Graph
from tflsplit.memory.arena import ArenaEstimate
from tflsplit.passes.wider_windows import wider_windows
from tflsplit.plan.cost import Prediction, predict
from tflsplit.plan.spec import Plan
from tflsplit.planner.cost.evaluate import Step
from tflsplit.planner.cost.lowering import Lowering
from tflsplit.sim import simulate
from tflsplit.split.devices import DeviceGraph, constant_bytes
from tflsplit.split.lower import with_offsets

_INFERENCES = 6
"""Enough to see how fast they follow each other."""


@dataclass(frozen=True)
class Planned:
    """A plan, what it was made from and what it comes to.

    cluster: what it was made for.
    steps: of the search; () of a plan that comes from elsewhere.
    lowering: its device graphs, each made when something is asked of it.
    predicted: of its time, if it is there already; simulated_us: its latency, if it was simulated.
    plain: the plan of which this is one with regions in tiles (``strips.py``).
    """

    plan: Plan
    cluster: Cluster
    steps: tuple[Step, ...]
    graph: Graph = field(repr=False)
    lowering: Lowering = field(repr=False, compare=False)
    predicted: Prediction | None = None
    simulated_us: float | None = None
    plain: Planned | None = field(default=None, repr=False, compare=False)

    @cached_property
    def prediction(self) -> Prediction:
        """Of its time, by the costs of its parts."""
        return self.predicted or predict(self.graph, self.plan, self.cluster)

    @cached_property
    def unpacked(self) -> tuple[DeviceGraph, ...]:
        """Its device graphs before constants are packed (``lower.unpacked``)."""
        return tuple(map(self.lowering.unpacked, range(self.plan.world_size)))

    @cached_property
    def drafts(self) -> tuple[DeviceGraph, ...]:
        """They after it, but for the contents of constants: what all costs are taken from."""
        return tuple(map(self.lowering.draft, range(self.plan.world_size)))

    @cached_property
    def quickest(self) -> tuple[DeviceGraph, ...]:
        """They as they are written: with windows as wide as their arenas allow."""
        if self.plan.arena_rooms:
            return self.drafts
        return tuple(
            replace(draft, graph=wider_windows(draft.graph, checked=False)) for draft in self.drafts
        )

    @cached_property
    def arenas(self) -> tuple[ArenaEstimate, ...]:
        """By rank, predicted for the device's kernels."""
        return tuple(map(self.lowering.arena, range(self.plan.world_size)))

    @cached_property
    def weights_bytes(self) -> tuple[int, ...]:
        """By rank, constants of the device graph."""
        return tuple(constant_bytes(device.graph) for device in self.drafts)

    @cached_property
    def devices(self) -> tuple[DeviceGraph, ...]:
        """The device graphs with all that they have, by rank."""
        return with_offsets(self.unpacked, rooms=self.plan.arena_rooms)

    def is_above(self, most_bytes: float) -> bool:
        """Whether some device needs a larger arena; that is known before all are looked at."""
        return self.lowering.is_above(most_bytes)

    @property
    def arena_bytes(self) -> int:
        """Of the fullest device."""
        return max(arena.required_bytes for arena in self.arenas)

    @property
    def wire_bytes(self) -> int:
        """Over all wires, within the graph."""
        return sum(self.prediction.bytes_per_link.values())

    @cached_property
    def latency_us(self) -> float:
        """From the host's first byte to its last, simulated frame by frame."""
        if self.simulated_us is not None:
            return self.simulated_us
        return simulate(self.quickest, self.cluster).latencies_us[0]

    @cached_property
    def period_us(self) -> float:
        """Between two results of a team that has one inference after the other.

        Where the next one's input is taken meanwhile, simulated with that.
        """
        if not self.cluster.ahead or self.cluster.teams > 1:
            return self.latency_us
        many = simulate(self.quickest, self.cluster, _INFERENCES, in_flight=2)
        return (many.total_us - many.latencies_us[0]) / (_INFERENCES - 1)

    @property
    def throughput_per_s(self) -> float:
        """Inferences a second of all teams."""
        return 1e6 / self.value("throughput")

    def value(self, objective: str) -> float:
        """What an objective makes small."""
        if objective == "latency":
            return self.latency_us
        if objective == "throughput":
            return self.period_us / self.cluster.teams
        return {"ram": float(self.arena_bytes), "bytes": float(self.wire_bytes)}[objective]

    def arena_short_bytes(self, cluster: Cluster) -> tuple[int, ...]:
        """By rank: RAM that is missing; 0 where the arena fits."""
        return tuple(
            arena.short_bytes(cluster.arena_rooms(rank, self.next_input_bytes(cluster, rank)))
            for rank, arena in enumerate(self.arenas)
        )

    def next_input_bytes(self, cluster: Cluster, rank: int) -> int:
        """Memory for the next inference's input; 0 if the cluster wants none."""
        return self.lowering.draft(rank).graph.input_bytes if cluster.ahead else 0

    def flash_short_bytes(self, cluster: Cluster) -> tuple[int, ...]:
        """By rank: flash that is missing; 0 where the weights fit."""
        return tuple(
            max(0, size - cluster.weights_room_bytes(rank))
            for rank, size in enumerate(self.weights_bytes)
        )

    def short_bytes(self, cluster: Cluster) -> int:
        """What is missing everywhere, RAM and flash together."""
        return sum((*self.arena_short_bytes(cluster), *self.flash_short_bytes(cluster)))

    def fits(self, cluster: Cluster) -> bool:
        """Whether nothing is missing anywhere."""
        return not self.short_bytes(cluster)


def finish(
    graph: Graph,
    plan: Plan,
    cluster: Cluster,
    steps: tuple[Step, ...] = (),
    prediction: Prediction | None = None,
    simulated_us: float | None = None,
    unpacked: Sequence[DeviceGraph] = (),
    fullest: int | None = None,
) -> Planned:
    """A plan with all that it comes to, found as it is asked for.

    prediction, simulated_us: of its time, if they are there already; unpacked: device graphs that
        it was lowered to already (``lower.unpacked``); fullest: the rank that probably needs the
        largest arena (by default, what its steps say).
    Raises PlanError if the plan is for another number of devices.
    """
    if plan.world_size != cluster.world_size:
        prediction = predict(graph, plan, cluster)  # says what is wrong
    plan = replace(plan, arena_rooms=rooms_of(cluster))
    fullest = _fullest(steps, plan.world_size) if fullest is None else fullest
    lowering = Lowering(graph, plan, cluster, unpacked, fullest)
    return Planned(plan, cluster, steps, graph, lowering, prediction, simulated_us)


def rooms_of(cluster: Cluster) -> tuple[tuple[int, ...], ...]:
    """``Plan.arena_rooms`` of a plan for this cluster."""
    if not any(device.banks for device in cluster.devices):
        return ()
    return tuple(map(cluster.arena_rooms, range(cluster.world_size)))


def _fullest(steps: Sequence[Step], world_size: int) -> int:
    """The rank that needs most by what is known of units."""
    known = [step.cost for step in steps if step.cost.knows_memory]
    if not known:
        return 0
    heads = [max(each) for each in zip(*(cost.head_bytes for cost in known), strict=True)]
    tails = [sum(each) for each in zip(*(cost.tail_bytes for cost in known), strict=True)]
    return max(range(world_size), key=lambda rank: heads[rank] + tails[rank])


def smallest_of(
    graph: Graph, found: Sequence[Planned], beat: float = float("inf")
) -> Planned | None:
    """The plan of the smallest arena, without overlap where that takes RAM.

    beat: an arena in bytes; where all are above it, any of them.
    """
    smallest: Planned | None = None
    for planned in found:
        most = beat if smallest is None else min(beat, smallest.arena_bytes - 1)
        if not planned.is_above(most):
            smallest = planned
    if smallest is None:
        return min(found, key=lambda planned: planned.lowering.known_bytes, default=None)
    if not smallest.plan.overlap:
        return smallest
    plan = replace(smallest.plan, overlap=False)
    other = finish(graph, plan, smallest.cluster, smallest.steps)
    return smallest if other.is_above(smallest.arena_bytes - 1) else other
