# SPDX-License-Identifier: Apache-2.0
"""A whole plan, and all that it comes to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from tflsplit.cluster import Cluster
from tflsplit.ir import Graph
from tflsplit.memory.arena import ArenaEstimate, predict_arena
from tflsplit.ops.custom import unchecked
from tflsplit.plan.cost import Prediction, predict
from tflsplit.plan.spec import Plan
from tflsplit.planner.evaluate import Step
from tflsplit.planner.memories import kernels_of
from tflsplit.sim import simulate
from tflsplit.split.devices import DeviceGraph, constant_bytes
from tflsplit.split.lower import unpacked as lowered
from tflsplit.split.lower import with_offsets


@dataclass(frozen=True)
class Planned:
    """A plan, what it was made from and what it comes to.

    cluster: what it was made for.
    steps: of the search; () of a plan that comes from elsewhere.
    unpacked: its device graphs before constants are packed (``lower.unpacked``).
    drafts: them after it, but for the contents of constants: what all costs are taken from.
    arenas: by rank, predicted for the device's kernels.
    weights_bytes: by rank, constants of the device graph.
    simulated_us: its latency, if it was simulated already.
    """

    plan: Plan
    cluster: Cluster
    steps: tuple[Step, ...]
    unpacked: tuple[DeviceGraph, ...]
    drafts: tuple[DeviceGraph, ...]
    arenas: tuple[ArenaEstimate, ...]
    weights_bytes: tuple[int, ...]
    prediction: Prediction
    simulated_us: float | None = None

    @cached_property
    def devices(self) -> tuple[DeviceGraph, ...]:
        """The device graphs with all that they have, by rank."""
        return with_offsets(self.unpacked)

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
        return simulate(self.drafts, self.cluster).latencies_us[0]

    @property
    def throughput_per_s(self) -> float:
        """Inferences a second of all teams."""
        return 1e6 / self.value("throughput")

    def value(self, objective: str) -> float:
        """What an objective makes small."""
        if objective in ("latency", "throughput"):
            return self.latency_us / (self.cluster.teams if objective == "throughput" else 1)
        return {"ram": float(self.arena_bytes), "bytes": float(self.wire_bytes)}[objective]

    def arena_short_bytes(self, cluster: Cluster) -> tuple[int, ...]:
        """By rank: RAM that is missing; 0 where the arena fits."""
        return tuple(
            max(0, arena.required_bytes - cluster.arena_room_bytes(rank))
            for rank, arena in enumerate(self.arenas)
        )

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
) -> Planned:
    """Lower a plan and predict all that it comes to.

    prediction, simulated_us: of its time, if they are there already; unpacked: device graphs that
        it was lowered to already (``lower.unpacked``).
    """
    with unchecked():  # what is written is made again, and checked
        made = tuple(unpacked) or lowered(graph, plan)
        drafts = with_offsets(made, draft=True)
    arenas = tuple(
        predict_arena(device.graph, spec.abi, kernels_of(spec))
        for device, spec in zip(drafts, cluster.devices, strict=True)
    )
    weights = tuple(constant_bytes(device.graph) for device in drafts)
    prediction = prediction or predict(graph, plan, cluster)
    return Planned(plan, cluster, steps, made, drafts, arenas, weights, prediction, simulated_us)


def smallest_of(graph: Graph, found: Sequence[Planned]) -> Planned | None:
    """The plan of the smallest arena, without overlap where that takes RAM."""
    smallest = min(found, key=lambda planned: planned.arena_bytes, default=None)
    if smallest is None or not smallest.plan.overlap:
        return smallest
    plan = replace(smallest.plan, overlap=False)
    other = finish(graph, plan, smallest.cluster, smallest.steps)
    return other if other.arena_bytes < smallest.arena_bytes else smallest
