# SPDX-License-Identifier: Apache-2.0
"""Costs of a model's units, found once.

Nothing is estimated that can be had by doing it: the unit is laid out, scheduled and lowered as it
would be in the end, and its arena is predicted from the device graphs.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import NamedTuple

from tflsplit.cluster import Cluster
from tflsplit.ir import Graph, Node, Value
from tflsplit.ops import Piece
from tflsplit.plan.cost.predict import predict_layouts
from tflsplit.plan.layout import Layouts, lay_out
from tflsplit.plan.shards import NodeShards
from tflsplit.plan.spec import Plan
from tflsplit.plan.transfers import Schedule, schedule
from tflsplit.planner.cost.evaluate import Above, Cost, Memory, Traffic
from tflsplit.planner.cost.memories import Memories
from tflsplit.planner.cost.rank_keys import rank_key
from tflsplit.planner.ways.options import Layout
from tflsplit.planner.ways.units import Unit
from tflsplit.split.devices import DeviceGraph
from tflsplit.split.partition import partition
from tflsplit.wire.checking import unchecked


@dataclass
class Costs:
    """Costs of a model's units that were found so far, for any numbers of the devices of a cluster.

    Searches with options of their own have most in common with others.
    memories: what device graphs need.
    """

    memories: Memories = field(default_factory=Memories)
    _known: dict[tuple[object, ...], Cost] = field(default_factory=dict)
    _recent: dict[int, tuple[Plan, _LaidOut]] = field(default_factory=dict)

    def of(self, cluster: Cluster, unit: Unit, plan: Plan, given: Mapping[Value, Layout]) -> Cost:
        """The cost of a unit's plan; given: layouts of inputs that the devices hold already."""
        key = unit.nodes, plan.splits, plan.stream, *given.items(), cluster.world_size
        if key not in self._known:
            what = cluster, unit, plan, given
            self._known[key] = Cost(partial(self._traffic, *what), partial(self._memory, *what))
        return self._known[key]

    def _traffic(
        self, cluster: Cluster, unit: Unit, plan: Plan, given: Mapping[Value, Layout]
    ) -> Traffic:
        host = tuple(value for value in unit.inputs if value not in given)
        seen_by_host = Graph("unit", host, unit.returned, list(unit.nodes))
        prediction = predict_layouts(*self._laid_out(unit, plan, given), cluster, seen_by_host)
        return Traffic(prediction.latency_us, sum(prediction.bytes_per_link.values()))

    def _memory(
        self,
        cluster: Cluster,
        unit: Unit,
        plan: Plan,
        given: Mapping[Value, Layout],
        most: Sequence[float] = (),
    ) -> Memory | Above:
        laid_out = self._laid_out(unit, plan, given)
        return memory_within(cluster, unit.graph, plan, given, self.memories, most, laid_out)

    def _laid_out(self, unit: Unit, plan: Plan, given: Mapping[Value, Layout]) -> _LaidOut:
        found = self._recent.get(id(plan))
        if found is None:
            found = self._recent[id(plan)] = plan, _laid_out(unit.graph, plan, given)
            if len(self._recent) > _RECENT:
                del self._recent[next(iter(self._recent))]
        return found[1]


_LaidOut = tuple[Layouts, Schedule]
_RECENT = 64
"""A search asks for the time of a step soon after its memory, and so many are kept till then: each
takes some 100 KB."""


def memory_of(
    cluster: Cluster, graph: Graph, plan: Plan, given: Mapping[Value, Layout], memories: Memories
) -> Memory:
    """What a unit's plan needs, from its device graphs."""
    found = memory_within(cluster, graph, plan, given, memories)
    assert isinstance(found, Memory)
    return found


def memory_within(
    cluster: Cluster,
    graph: Graph,
    plan: Plan,
    given: Mapping[Value, Layout],
    memories: Memories,
    most: Sequence[float] = (),
    laid_out: _LaidOut | None = None,
) -> Memory | Above:
    """What a unit's plan needs, or the first rank that is seen to need a head above ``most``.

    most: by rank; () for whatever it is.  laid_out: if that is known already.
    """
    layouts, movements = laid_out or _laid_out(graph, plan, given)
    maps, constants = _held_bytes(layouts)
    samples = sample_ranks(cluster, maps, _busy(layouts))
    heads, tails, weights = ([0] * cluster.world_size for _ in range(3))
    with unchecked():
        for sample in samples:
            limit = min((most[rank] for rank in samples[sample]), default=0) if most else _ANY
            need = memories.need_of_rank(
                rank_key(graph, layouts, movements, sample),
                partial(_part, graph, plan, given, sample, layouts, movements),
                plan,
                cluster.devices[sample],
                limit,
            )
            if isinstance(need, int):
                return Above(min(samples[sample], key=most.__getitem__), need)
            scale = need.weights_bytes / max(1, constants[sample])
            for rank in samples[sample]:
                heads[rank], tails[rank] = need.head_bytes, need.tail_bytes
                weights[rank] = math.ceil(constants[rank] * scale)
    return Memory(tuple(heads), tuple(tails), tuple(weights))


_ANY = float("inf")


def _part(
    graph: Graph,
    plan: Plan,
    given: Mapping[Value, Layout],
    rank: int,
    layouts: Layouts,
    movements: Schedule,
) -> DeviceGraph:
    (device,) = partition(graph, plan, given, (rank,), layouts, movements)
    return device


def _laid_out(graph: Graph, plan: Plan, given: Mapping[Value, Layout]) -> _LaidOut:
    layouts = lay_out(graph, plan, given)
    return layouts, schedule(layouts)


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
    owned = [tuple([box.is_empty for box in boxes]) for boxes in layouts.owned.values()]
    idle = [_held(shards).idle for shards in layouts.nodes]
    return list(zip(*owned, *idle, strict=True))


def _held_bytes(layouts: Layouts) -> tuple[list[int], list[int]]:
    """By rank: the largest operands and results of one tile, and the constants of all."""
    held = [_held(shards) for shards in layouts.nodes]
    maps = [max(each) for each in zip(*(node.maps for node in held), strict=True)]
    return maps, [sum(each) for each in zip(*(node.constants for node in held), strict=True)]


class _Held(NamedTuple):
    """Of a node, by rank: what is read of constants, the largest maps, and who does nothing."""

    constants: tuple[int, ...]
    maps: tuple[int, ...]
    idle: tuple[bool, ...]


@lru_cache(maxsize=8192)
def _held(shards: NodeShards) -> _Held:
    """Remembered, as the shards are (``shard_node``): many plans have them in common."""
    made = [(shards.node, tile.pieces) for tile in shards.tiles]
    made += [each for tile in shards.tiles for each in tile.inside]
    return _Held(
        tuple(_operand_bytes(shards.node, piece, constant=True) for piece in shards.pieces),
        tuple(
            max((_map_bytes(node, pieces[rank]) for node, pieces in made), default=0)
            for rank in range(len(shards.pieces))
        ),
        tuple(piece.is_empty for piece in shards.pieces),
    )


def _map_bytes(node: Node, piece: Piece) -> int:
    made = sum(box.size for box in piece.results if not box.is_empty)
    return made + _operand_bytes(node, piece, constant=False)


def _operand_bytes(node: Node, piece: Piece, constant: bool) -> int:
    """What a piece reads of the node's constants, or of its other operands."""
    return sum(
        box.size * value.dtype.itemsize
        for value, box in zip(node.inputs, piece.operands, strict=True)
        if value is not None and (value.is_constant if constant else value.is_computed)
        if box is not None and not box.is_empty
    )
