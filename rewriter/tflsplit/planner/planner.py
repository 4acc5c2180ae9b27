# SPDX-License-Identifier: Apache-2.0
"""The best plan for a model on a cluster: shares, search, and the check of the whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tflsplit.cluster import Cluster
from tflsplit.devices import DeviceGraph, constant_bytes
from tflsplit.errors import ClusterError
from tflsplit.ir import Graph, Value
from tflsplit.lower import lower
from tflsplit.memory.arena import ArenaEstimate, predict_arena
from tflsplit.ops.fused import fused_inside
from tflsplit.plan.cost import Prediction, default_shares, predict
from tflsplit.plan.halos import recompute_halos
from tflsplit.plan.spec import Plan
from tflsplit.planner.evaluate import Step, evaluate, kernels_of
from tflsplit.planner.options import OPTIONS, Layout, Option, apply_option
from tflsplit.planner.search import Label, Limits, search
from tflsplit.planner.units import Unit, cut_into_units

OBJECTIVES = ("latency", "ram", "bytes")


@dataclass(frozen=True)
class Planned:
    """A plan, what it was made from and what it comes to.

    arenas: by rank, predicted for the device's kernels.
    weights_bytes: by rank, constants of the device graph.
    """

    plan: Plan
    steps: tuple[Step, ...]
    devices: tuple[DeviceGraph, ...]
    arenas: tuple[ArenaEstimate, ...]
    weights_bytes: tuple[int, ...]
    prediction: Prediction

    @property
    def arena_bytes(self) -> int:
        """Of the fullest device."""
        return max(arena.required_bytes for arena in self.arenas)

    @property
    def wire_bytes(self) -> int:
        """Over all wires, within the graph."""
        return sum(self.prediction.bytes_per_link.values())

    def value(self, objective: str) -> float:
        """What an objective makes small."""
        return {
            "latency": self.prediction.latency_us,
            "ram": float(self.arena_bytes),
            "bytes": float(self.wire_bytes),
        }[objective]


@dataclass
class Planner:
    """Searches plans for one model on one cluster; results of units are shared by all searches."""

    graph: Graph
    cluster: Cluster
    options: Sequence[Option] = OPTIONS
    shares: tuple[float, ...] = ()
    _cache: dict[tuple[object, ...], list[Step]] = field(default_factory=dict)
    _alike: dict[tuple[object, ...], list[Step]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.shares = self.shares or default_shares(self.cluster)
        self.units = cut_into_units(self.graph)

    def best(self, objective: str) -> Planned:
        """The best plan that fits; ClusterError, saying what is missing, if none does."""
        found = min(self._candidates(objective), key=lambda p: p.value(objective), default=None)
        if found is None:
            raise ClusterError(self._why_not())
        return found

    def expand(self, index: int, given: Mapping[Value, Layout]) -> list[Step]:
        """Every option of a unit from given layouts, evaluated once."""
        unit = self.units[index]
        key = (index, *given.values())
        if key not in self._cache:
            alike = (unit.signature, *given.values())
            if alike not in self._alike:
                self._alike[alike] = list(self._steps(unit, given))
            self._cache[key] = [step.of_unit(unit) for step in self._alike[alike]]
        return self._cache[key]

    def _steps(self, unit: Unit, given: Mapping[Value, Layout]) -> Iterator[Step]:
        seen: list[Plan] = []
        for option in self.options:
            chosen = apply_option(unit, option, given, self.shares)
            if chosen is None or any(chosen.plan.splits == plan.splits for plan in seen):
                continue
            seen.append(chosen.plan)
            cost = evaluate(self.cluster, unit, chosen.plan, given)
            yield Step(unit, option, chosen.plan, chosen.layouts, cost)

    def _candidates(self, objective: str) -> Iterator[Planned]:
        """Plans that fit, the best among them."""
        rooms = [float(self.cluster.arena_room_bytes(r)) for r in range(self.cluster.world_size)]
        if objective != "ram":
            yield from self._fitting(objective, rooms)
            return
        for head in self._best_heads(rooms)[:_FINISHED]:
            yield from self._fitting(objective, [min(room, head) for room in rooms])

    def _best_heads(self, rooms: Sequence[float]) -> list[float]:
        """Limits on the head, the one with the smallest head and tail together first.

        The lowest limit need not be the best: what saves head (tiles) costs tail (operators).
        """
        if not self._labels("ram", rooms):  # evaluates every step that could be taken
            return []
        costs = [step.cost for steps in self._cache.values() for step in steps]
        heads = sorted({-(-max(cost.head_bytes) // _GRAIN) * _GRAIN for cost in costs})
        totals: list[tuple[float, float]] = []
        for head in heads:
            if totals and head >= min(totals)[0]:
                break
            labels = self._labels("ram", [min(room, head) for room in rooms])
            if labels:
                totals.append((head + _ram_of(min(labels, key=_ram_of)), head))
        return [head for _, head in sorted(totals)]

    def _fitting(self, objective: str, heads: Sequence[float]) -> Iterator[Planned]:
        """The best plan under limits on the head, or the next that fits as a whole, if any does."""
        rooms = [self.cluster.arena_room_bytes(r) for r in range(self.cluster.world_size)]
        key = _ram_of if objective == "ram" else _value_of
        slack = 0
        for _ in range(_TRIES):
            labels = self._labels(objective, [head - slack for head in heads])
            if not labels:
                return
            planned = self._finish(min(labels, key=key))
            arenas = zip(planned.arenas, rooms, strict=True)
            over = max(arena.required_bytes - room for arena, room in arenas)
            if over <= 0:
                yield planned
                return
            slack += over

    def _labels(self, objective: str, heads: Sequence[float]) -> list[Label]:
        weights = tuple(
            float(self.cluster.weights_room_bytes(rank)) for rank in range(self.cluster.world_size)
        )
        return search(self.units, self.expand, _VALUES[objective], Limits(tuple(heads), weights))

    def _finish(self, label: Label) -> Planned:
        """The whole plan: halos are chosen anew, now across units, and everything is predicted."""
        steps = label.steps()
        splits = tuple(replace(split, extents=()) for step in steps for split in step.plan.splits)
        reasons = {name: text for step in steps for name, text in step.plan.reasons.items()}
        plan = Plan(self.cluster.world_size, splits, self.shares, reasons=reasons, fuse=True)
        plan = recompute_halos(self.graph, plan, fused_inside(self.graph))
        return finish(self.graph, plan, self.cluster, tuple(steps))

    def _why_not(self) -> str:
        """The unit that needs most, beside what there is."""
        smallest = [
            (min(max(step.cost.head_bytes) for step in steps), self.units[key[0]])
            for key, steps in self._cache.items()
            if steps and isinstance(key[0], int)
        ]
        need, unit = max(smallest, key=lambda item: item[0])
        room = min(self.cluster.arena_room_bytes(r) for r in range(self.cluster.world_size))
        return (
            f"nothing fits: {unit.nodes[-1].name!r} needs {need:,} bytes of activations on a "
            f"device however it is split, and there are {room:,} for the whole arena; use more "
            "devices, or devices with more RAM or flash"
        )


_TRIES = 8
_FINISHED = 3
"""How many of the best limits on the head are carried through to a whole plan."""
_GRAIN = 512


def _value_of(label: Label) -> float:
    return label.value


def _ram_of(label: Label) -> float:
    """The tail, and a little of the time: a kilobyte is worth half a second, not ten."""
    return max(label.tail_bytes) + 2e-3 * label.value


_VALUES: dict[str, Callable[[Step], float]] = {
    "latency": lambda step: step.cost.time_us,
    "ram": lambda step: step.cost.time_us,
    "bytes": lambda step: step.cost.wire_bytes + 1e-3 * step.cost.time_us,
}
"""What a step adds to an objective; RAM is a limit (the head) and a label (the tail)."""


def finish(graph: Graph, plan: Plan, cluster: Cluster, steps: tuple[Step, ...] = ()) -> Planned:
    """Lower a plan and predict all that it comes to."""
    devices = lower(graph, plan)
    arenas = tuple(
        predict_arena(device.graph, spec.abi, kernels_of(spec))
        for device, spec in zip(devices, cluster.devices, strict=True)
    )
    weights = tuple(constant_bytes(device.graph) for device in devices)
    return Planned(plan, steps, devices, arenas, weights, predict(graph, plan, cluster))
