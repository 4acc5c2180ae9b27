# SPDX-License-Identifier: Apache-2.0
"""What an option costs a cluster: time, bytes, memory of every kind.

Nothing is estimated that can be had by doing it: the unit is laid out, scheduled and lowered as it
would be in the end, and its arena is predicted from the device graphs.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

from tflsplit.cluster import Cluster
from tflsplit.ir import Graph, Node, Value
from tflsplit.ops import Piece
from tflsplit.ops.custom import unchecked
from tflsplit.plan.cost.predict import predict_layouts
from tflsplit.plan.layout import Layouts, lay_out
from tflsplit.plan.spec import Plan
from tflsplit.plan.transfers import Schedule, schedule
from tflsplit.planner.memories import Memories
from tflsplit.planner.options import Chosen, Layout, Option
from tflsplit.planner.units import Unit
from tflsplit.split.partition import partition


@dataclass(frozen=True)
class Memory:
    """What one unit needs on each rank.

    head_bytes, tail_bytes: the arena's head while the unit runs, and what its operators add to the
        tail; weights_bytes: constants.
    """

    head_bytes: tuple[int, ...]
    tail_bytes: tuple[int, ...]
    weights_bytes: tuple[int, ...]


@dataclass(frozen=True)
class Cost:
    """What one unit adds to an inference.

    time_us: from its first exchange to its last result, all ranks starting together; with what the
        host sends for it and takes from it.
    wire_bytes: over all wires, headers and control frames included.
    find_memory: lowers the unit, which takes most of an evaluation and is often not needed.
    """

    time_us: float
    wire_bytes: int
    find_memory: Callable[[], Memory]

    @cached_property
    def memory(self) -> Memory:
        """What it needs, found once."""
        return self.find_memory()

    @property
    def head_bytes(self) -> tuple[int, ...]:
        """By rank, of ``memory``."""
        return self.memory.head_bytes

    @property
    def tail_bytes(self) -> tuple[int, ...]:
        """By rank, of ``memory``."""
        return self.memory.tail_bytes

    @property
    def weights_bytes(self) -> tuple[int, ...]:
        """By rank, of ``memory``."""
        return self.memory.weights_bytes


@dataclass(frozen=True)
class Step:
    """A unit under an option, from given layouts of its inputs to those of its outputs.

    pooled: whether its weights may still go to any device (``placement.py``).
    """

    unit: Unit
    option: Option
    plan: Plan
    layouts: tuple[Layout, ...]
    cost: Cost
    pooled: bool = False

    def is_like(self, other: Step | Chosen) -> bool:
        """Whether the other is the same way, perhaps of another unit of the same kind."""
        splits, others = self.plan.splits, other.plan.splits
        if self.option.placed != other.option.placed or len(splits) != len(others):
            return False
        if self.plan.stream != other.plan.stream:
            return False
        return all(
            a == (b if a.node == b.node else replace(b, node=a.node))
            for a, b in zip(splits, others, strict=True)
        )

    @property
    def pool_bytes(self) -> int:
        """Weights that wait for a place."""
        return sum(self.cost.weights_bytes) if self.pooled else 0

    @property
    def fixed_bytes(self) -> tuple[int, ...]:
        """By rank: weights that have their place."""
        return (0,) * len(self.cost.weights_bytes) if self.pooled else self.cost.weights_bytes

    def is_quicker_and_sends_less(self, other: Step) -> bool:
        """Whether it is no worse in both, and leaves the same layouts; memory is not looked at."""
        mine, its = self.cost, other.cost
        no_worse = mine.time_us <= its.time_us and mine.wire_bytes <= its.wire_bytes
        return no_worse and self.layouts == other.layouts

    def of_unit(self, unit: Unit) -> Step:
        """The same step of a unit with the same signature."""
        if unit is self.unit:
            return self
        names = {a.name: b.name for a, b in zip(self.unit.nodes, unit.nodes, strict=True)}
        plan = replace(
            self.plan,
            splits=tuple(replace(split, node=names[split.node]) for split in self.plan.splits),
            reasons={names[name]: text for name, text in self.plan.reasons.items()},
        )
        return replace(self, unit=unit, plan=plan)


def arena_of(steps: Sequence[Step]) -> float:
    """About what the fullest device needs for some units, one after the other."""
    heads = [max(each) for each in zip(*(s.cost.head_bytes for s in steps), strict=True)]
    tails = [sum(each) for each in zip(*(s.cost.tail_bytes for s in steps), strict=True)]
    return float(max(map(sum, zip(heads, tails, strict=True))))


def tail_of(steps: Sequence[Step]) -> int:
    """What some units add to the tail of every device at least."""
    return min(map(sum, zip(*(step.cost.tail_bytes for step in steps), strict=True)), default=0)


@dataclass
class Costs:
    """Costs of a model's units that were found so far, for any numbers of the devices of a cluster.

    Searches with options of their own have most in common with others.
    memories: what device graphs need.
    """

    memories: Memories = field(default_factory=Memories)
    _known: dict[tuple[object, ...], Cost] = field(default_factory=dict)
    _laid_out: dict[int, tuple[Plan, _LaidOut]] = field(default_factory=dict)

    def of(self, cluster: Cluster, unit: Unit, plan: Plan, given: Mapping[Value, Layout]) -> Cost:
        """The cost of a unit's plan; given: layouts of inputs that the devices hold already."""
        key = unit.nodes, plan.splits, plan.stream, *given.items(), cluster.world_size
        if key not in self._known:
            self._known[key] = self._found(cluster, unit, plan, given)
        return self._known[key]

    def _found(
        self, cluster: Cluster, unit: Unit, plan: Plan, given: Mapping[Value, Layout]
    ) -> Cost:
        layouts = lay_out(unit.graph, plan, given)
        movements = schedule(layouts)
        host = tuple(value for value in unit.inputs if value not in given)
        seen_by_host = Graph("unit", host, unit.returned, list(unit.nodes))
        prediction = predict_layouts(layouts, movements, cluster, seen_by_host)
        if len(self._laid_out) >= _RECENT:
            del self._laid_out[next(iter(self._laid_out))]
        self._laid_out[id(plan)] = plan, (layouts, movements)
        find_memory = partial(self._memory, cluster, unit.graph, plan, given)
        return Cost(prediction.latency_us, sum(prediction.bytes_per_link.values()), find_memory)

    def _memory(
        self, cluster: Cluster, graph: Graph, plan: Plan, given: Mapping[Value, Layout]
    ) -> Memory:
        _, laid_out = self._laid_out.pop(id(plan), (plan, None))
        return memory_of(cluster, graph, plan, given, self.memories, laid_out)


_LaidOut = tuple[Layouts, Schedule]
_RECENT = 64
"""Most searches ask for the memory of a step soon after its time, and so many are kept till then:
a step of eight devices takes some 100 KB."""


def memory_of(
    cluster: Cluster,
    graph: Graph,
    plan: Plan,
    given: Mapping[Value, Layout],
    memories: Memories,
    laid_out: _LaidOut | None = None,
) -> Memory:
    """What a unit's plan needs, from its device graphs; laid_out: if that is known already."""
    layouts, movements = laid_out or (lay_out(graph, plan, given), None)
    maps, constants = _held_bytes(layouts)
    samples = sample_ranks(cluster, maps, _busy(layouts))
    heads, tails, weights = ([0] * cluster.world_size for _ in range(3))
    with unchecked():
        for device in partition(graph, plan, given, tuple(samples), layouts, movements):
            need = memories.need(device, plan, cluster.devices[device.rank])
            scale = need.weights_bytes / max(1, constants[device.rank])
            for rank in samples[device.rank]:
                heads[rank], tails[rank] = need.head_bytes, need.tail_bytes
                weights[rank] = math.ceil(constants[rank] * scale)
    return Memory(tuple(heads), tuple(tails), tuple(weights))


def sample_ranks(
    cluster: Cluster, maps: Sequence[int], busy: Sequence[Hashable]
) -> dict[int, list[int]]:
    """Ranks whose memory stands for others, and for which.

    maps: by rank, see ``_held_bytes``; busy: equal for ranks that hold and compute parts of the
        same tensors.
    Of each kind of device and each such group, the one with the largest maps stands for all.  What
    single ones need less is seen when the whole plan is checked.
    """
    alike: dict[Hashable, list[int]] = defaultdict(list)
    for rank, kind in enumerate(cluster.kinds):
        alike[kind, busy[rank]].append(rank)
    return {max(ranks, key=maps.__getitem__): ranks for ranks in alike.values()}


def _busy(layouts: Layouts) -> list[Hashable]:
    """By rank, what it has of which tensor, and in which nodes it computes.

    One may hold a whole map that the others gather, or add whole maps where they convolve rows.
    """
    return [
        (
            tuple(boxes[rank].is_empty for boxes in layouts.owned.values()),
            tuple(shards.pieces[rank].is_empty for shards in layouts.nodes),
        )
        for rank in range(layouts.world_size)
    ]


def _held_bytes(layouts: Layouts) -> tuple[list[int], list[int]]:
    """By rank: the largest operands and results of one tile, and the constants of all."""
    maps, constants = [0] * layouts.world_size, [0] * layouts.world_size
    for shards in layouts.nodes:
        for rank, piece in enumerate(shards.pieces):
            constants[rank] += _operand_bytes(shards.node, piece, constant=True)
        for tile in shards.tiles:
            for node, pieces in (*tile.inside, (shards.node, tile.pieces)):
                for rank, piece in enumerate(pieces):
                    held = _operand_bytes(node, piece, constant=False)
                    held += sum(box.size for box in piece.results if not box.is_empty)
                    maps[rank] = max(maps[rank], held)
    return maps, constants


def _operand_bytes(node: Node, piece: Piece, constant: bool) -> int:
    """What a piece reads of the node's constants, or of its other operands."""
    return sum(
        box.size * value.dtype.itemsize
        for value, box in zip(node.inputs, piece.operands, strict=True)
        if value is not None and (value.is_constant if constant else value.is_computed)
        if box is not None and not box.is_empty
    )
