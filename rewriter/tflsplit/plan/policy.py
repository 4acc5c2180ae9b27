# SPDX-License-Identifier: Apache-2.0
"""The default policy: rows while maps are large, channels afterwards.

Rows of a large map cost thin halos only, but put a layer's whole weights on every device;
channels cut the weights but move whole maps.  So layers get rows in the order of their map size,
until the weights that this repeats on every device have used up ``weights_limit``; the rest is
split by channels, each layer in the cheapest of the ways that channels allow.  An operator
without weights of its own follows its operands.

This is a heuristic with one knob; whatever it decides, partitioning stays exact.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from tflsplit.errors import PlanError
from tflsplit.ir import Graph, Node, Value
from tflsplit.ops import Box, Factor, Kind, rule_of
from tflsplit.ops.factors import Scaled
from tflsplit.ops.own.fused import fused_inside
from tflsplit.plan.cuts import busy, cuts_along, is_replicated
from tflsplit.plan.grain import Readers, even_bounds
from tflsplit.plan.grid import grid_splits
from tflsplit.plan.halos import recompute_halos
from tflsplit.plan.rows import row_layers, spatial_way
from tflsplit.plan.shards import NodeShards, shard_node
from tflsplit.plan.spec import NodeSplit, Plan, Way, even_shares, proportional_bounds
from tflsplit.plan.wishes import (
    CHANNEL_WAYS,
    RUN_WAYS,
    SPATIAL,
    WITHOUT_SUMS,
    Wishes,
    is_product,
    is_weighted,
    way_of,
)

MOST_TILES = 10
"""Their results are concatenated, and TFLM's CONCATENATION takes 10 operands."""
_MAPPED = {"rows": Way.ROWS, "columns": Way.COLUMNS, "grid": Way.GRID}
"""Wishes under which maps are cut, and what has no weights follows them."""


def choose_plan(graph: Graph, wishes: Wishes) -> Plan:
    """The plan that the policy makes of ``wishes``; PlanError where one cannot be met."""
    shares = wishes.shares or even_shares(wishes.world_size)
    chooser = Chooser(graph, wishes, shares)
    splits = tuple(chooser.choose(node) for node in graph.nodes)
    reasons = dict(chooser.reasons)
    plan = Plan(wishes.world_size, splits, shares, wishes.stock_kernels, reasons, fuse=wishes.fuse)
    return recompute_halos(graph, plan, fused_inside(graph) if wishes.fuse else ())


@dataclass
class Chooser:
    """Goes through a graph in execution order, knowing how every earlier tensor lies.

    home: the rank on which nodes run that stay whole; None: the one that holds most of what they
        read, or that has the largest share.
    owned: the layout of every tensor so far; a caller may set those that come from elsewhere.
    recut: values whose cuts are not followed, so that what reads them is cut by the shares.
    spread: products of computed tensors are divided among as many devices as can be, not only as
        far as their operands are.
    readers: who reads each tensor; found out if it is not given.
    """

    graph: Graph
    wishes: Wishes
    shares: tuple[float, ...]
    home: int | None = None
    owned: dict[Value, tuple[Box, ...]] = field(default_factory=dict)
    recut: Collection[Value] = ()
    spread: bool = False
    readers: Readers = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.forced = {self._node_name(key): way for key, way in self.wishes.layers.items()}
        self.readers = self.readers or self.graph.consumers()

    @cached_property
    def by_rows(self) -> frozenset[str]:
        """Names of the nodes to split by rows where wishes leave that open."""
        return row_layers(self.graph, self.wishes, self.shares)

    @property
    def world_size(self) -> int:
        """Number of devices."""
        return self.wishes.world_size

    def _node_name(self, key: str) -> str:
        """The node that a user means by its name, by the first part of it, or by its number."""
        names = [node.name for node in self.graph.nodes]
        if key in names:
            return key
        if key.isdecimal() and int(key) < len(names):
            return names[int(key)]
        matching = [name for name in names if name.split(";", 1)[0] == key]
        if len(matching) != 1:
            raise PlanError(
                f"the model has {len(matching) or 'no'} layers called {key!r}; "
                "`tflsplit inspect` lists them, and takes numbers too"
            )
        return matching[0]

    def choose(self, node: Node) -> NodeSplit:
        """The split of the next node; its results' layouts are noted."""
        split, reason = self._decide(node)
        shards = shard_node(node, split, self.world_size)
        for index, value in enumerate(node.outputs):
            self.owned[value] = tuple(shards.owned(rank)[index] for rank in range(self.world_size))
        self.reasons[node.name] = reason
        return split

    def _decide(self, node: Node) -> tuple[NodeSplit, str]:
        if node.name in self.forced:
            return self._forced(node, self.forced[node.name]), "forced for this layer"
        if self.world_size == 1:
            return NodeSplit(node.name, Way.WHOLE), "there is one device"
        if is_weighted(node):
            ways, reason = self._weighted_ways(node)
            found = self._cheapest(node, self._candidates(node, ways))
            if found is None:
                found = self._cheapest(
                    node, self._candidates(node, (*SPATIAL, *self._channel_ways()))
                )
                reason += "; this layer cannot be split so, and takes the cheapest other way"
            if found is not None:
                return found, reason
        return self._follow(node)

    def _channel_ways(self) -> tuple[Way, ...]:
        return WITHOUT_SUMS if self.wishes.stock_kernels else CHANNEL_WAYS

    def _weighted_ways(self, node: Node) -> tuple[tuple[Way, ...], str]:
        if self.wishes.split != "auto":
            if self.wishes.split == "in_channels" and self.wishes.stock_kernels:
                raise PlanError(
                    "stock kernels cannot return the int32 partial sums that splitting by "
                    "in_channels needs; leave out stock-kernels or choose another split"
                )
            ways = RUN_WAYS[self.wishes.split]
            if self.wishes.stock_kernels:
                ways = tuple(way for way in ways if way is not Way.IN_CHANNELS)
            return ways, f"split={self.wishes.split}"
        if node.name in self.by_rows:
            way = spatial_way(node, self.shares)
            return (way,) if way else (), "large map: halos move less than channels would"
        return self._channel_ways(), "weights are cut; the cheapest of the channel ways"

    def _candidates(self, node: Node, ways: Sequence[Way]) -> Iterator[NodeSplit]:
        for factor in rule_of(node).factors(node):
            if way_of(factor) in ways and factor.size > 1:
                yield from self._splits(node, factor)
        if Way.GRID in ways:
            yield from grid_splits(node, self.owned, self.shares)

    def _splits(self, node: Node, factor: Factor) -> Iterator[NodeSplit]:
        """The factor cut as the operands lie, where they fit; else in proportion to the shares."""
        even = even_bounds(node, factor, self.readers, self.shares)
        bounds = self._aligned_bounds(node, factor) or even
        if is_weighted(node) and busy(bounds) < busy(even):
            bounds = even  # an operand that lies on one device must not draw the weights there
        if factor.kind is Kind.PARALLEL:
            yield NodeSplit(node.name, way_of(factor), factor.name, bounds)
            return
        for kept in rule_of(node).factors(node):
            if way_of(kept) in WITHOUT_SUMS and kept.kind is Kind.PARALLEL:
                scatter = proportional_bounds(kept.size, self.shares)
                yield NodeSplit(
                    node.name,
                    way_of(factor),
                    factor.name,
                    bounds,
                    scatter_factor=kept.name,
                    scatter_bounds=scatter,
                    sum_tiles=self._sum_tiles(node),
                )

    def _sum_tiles(self, node: Node) -> int:
        """In how many row tiles the sums of a node stay below the wished size."""
        limit = self.wishes.sums_limit_bytes
        rows = next((f.size for f in rule_of(node).factors(node) if f.name == "rows"), 1)
        if limit is None:
            return 1
        return min(rows, MOST_TILES, max(1, -(-4 * node.output.size // limit)))

    def _aligned_bounds(self, node: Node, factor: Factor) -> tuple[int, ...] | None:
        """Bounds that read only what each rank already holds, from the largest operand."""
        operands = sorted(factor.operands.items(), key=lambda o: -node.input(o[0]).size)
        for index, (dim, dim_map) in operands:
            value = node.input(index)
            owned = None if value in self.recut else self.owned.get(value)
            if owned is None or not isinstance(dim_map, Scaled):
                continue
            cuts = cuts_along(owned, node.input(index).shape, dim)
            if cuts is not None and all(cut % dim_map.scale == 0 for cut in cuts):
                bounds = tuple(cut // dim_map.scale for cut in cuts)
                return bounds if bounds[-1] == factor.size else None
        return None

    def _cheapest(self, node: Node, splits: Iterable[NodeSplit]) -> NodeSplit | None:
        candidates = list(splits)
        if len(candidates) < 2:
            return candidates[0] if candidates else None
        return min(candidates, key=lambda split: self._cost(node, split))

    def _cost(self, node: Node, split: NodeSplit) -> int:
        """Bytes that the split moves, and bytes that the fullest rank must hold for it."""
        shards = shard_node(node, split, self.world_size)
        moved = self._missing_bytes(shards)
        if shards.is_reduction:
            adders = sum(not piece.is_empty for piece in shards.pieces)
            kept = sum(piece.results[0].size for piece in shards.shares)
            itemsize = rule_of(node).sums_dtype(node).itemsize
            moved += itemsize * kept * max(0, adders - 1)
        return moved + shards.most_held_bytes

    def _missing_bytes(self, shards: NodeShards) -> int:
        """What all ranks together read and do not hold."""
        total = 0
        for index, value in enumerate(shards.node.inputs):
            if value is None or value not in self.owned:
                continue
            missing = 0
            for piece, held in zip(shards.pieces, self.owned[value], strict=True):
                box = piece.operands[index]
                if box is not None:
                    missing += box.size - held.common_size(box)
            total += missing * value.dtype.itemsize
        return total

    def _follow(self, node: Node) -> tuple[NodeSplit, str]:
        inputs = [value for value in node.operands if value in self.owned]
        if inputs and all(is_replicated(self.owned[v], v.shape) for v in inputs):
            return NodeSplit(node.name, Way.REPLICATED), "its inputs are everywhere"
        parallel = [f for f in rule_of(node).factors(node) if f.kind is Kind.PARALLEL]
        splits = [s for f in parallel if f.size > 1 for s in self._splits(node, f)]
        is_fed = not inputs  # by the host alone, which can send any part to anyone
        follows = not is_fed or self.wishes.split != "grid"
        grids = list(grid_splits(node, self.owned, self.shares, follows))
        splits += [split for split in grids if not split.scatter_factor]
        sums = self._sums_of_shares(node, [split for split in grids if split.scatter_factor])
        if sums and self.wishes.split in _MAPPED:
            return sums[0], "adds up what each device has"
        splits += sums if self.wishes.split == "auto" else []
        if is_fed:
            first = _MAPPED.get(self.wishes.split, Way.ROWS)
            splits.sort(key=lambda s: (s.way is not first, -s.bounds[-1]))
            if splits:
                return splits[0], "the host sends each device its part"
        if splits and self.spread and is_product(node):
            busiest = max(busy(split.bounds) for split in splits)
            splits = [split for split in splits if busy(split.bounds) == busiest]
            return min(
                splits, key=lambda s: self._cost(node, s)
            ), "divided among all that take part"
        home = NodeSplit(node.name, Way.WHOLE, rank=self._home(inputs))
        found = self._cheapest(node, [*splits, home])
        assert found is not None
        return found, "follows its inputs" if found is not home else "cannot be split more cheaply"

    def _sums_of_shares(self, node: Node, grids: Sequence[NodeSplit]) -> list[NodeSplit]:
        """MEAN and its kin as sums of what each rank holds, where the map lies in such shares."""
        reductions = [f for f in rule_of(node).factors(node) if f.kind is Kind.REDUCTION]
        aligned = [f for f in reductions if busy(self._aligned_bounds(node, f) or ()) > 1]
        if self.wishes.stock_kernels or is_weighted(node):
            return []
        return [*grids, *(split for factor in aligned for split in self._splits(node, factor))]

    def _home(self, inputs: Sequence[Value]) -> int:
        """The rank that holds more than half of some values; if none does, the largest share's."""
        if self.home is not None:
            return self.home
        held = [
            sum(self.owned[value][rank].size for value in inputs) for rank in range(self.world_size)
        ]
        largest = self.shares.index(max(self.shares))
        return next((rank for rank, size in enumerate(held) if 2 * size > sum(held)), largest)

    def _forced(self, node: Node, way: Way) -> NodeSplit:
        if way is Way.REPLICATED:
            return NodeSplit(node.name, way)
        if way is Way.WHOLE:
            inputs = [value for value in node.operands if value in self.owned]
            return NodeSplit(node.name, way, rank=self._home(inputs))
        if way is Way.IN_CHANNELS and self.wishes.stock_kernels:
            raise PlanError(f"{node.name!r}: stock kernels cannot return int32 partial sums")
        found = self._cheapest(node, self._candidates(node, (way,)))
        if found is None:
            possible = {way_of(f).value for f in rule_of(node).factors(node) if f.size > 1}
            raise PlanError(
                f"{node.op} {node.name!r} cannot be split by {way.value}; it can be by: "
                f"{', '.join(sorted(possible | {Way.REPLICATED.value, Way.WHOLE.value}))}"
            )
        return found
