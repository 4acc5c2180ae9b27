# SPDX-License-Identifier: Apache-2.0
"""Regions of a plan's layers that could be made a few rows at a time, the most promising first.

    x -+- CONV_2D --> a -- MAX_POOL --> b -.
       |                                   ADD --> y       a region: y in tiles of rows, and in each
       '- CONV_2D --> c -- PAD -------> d -'               of them a, b, c and d

A region ends in one layer; everything else that it makes is read inside of it only.  What it reads
and its result are whole; rows that two tiles read are made twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import zip_longest
from typing import NamedTuple

from tflsplit.errors import PlanError
from tflsplit.ir import Graph, Node, Value
from tflsplit.ops.stock.state import has_state
from tflsplit.plan.check import plan_problems
from tflsplit.plan.shards import tile_factor
from tflsplit.plan.spec import NodeSplit, Plan, Way
from tflsplit.planner.live_maps import LiveMaps, live_maps, pressure

_SOME_TILES = 6
_OTHER_TILES = (10, 8, 5, 4, 3, 2)
_MAP_DIMS = 4
_MOST_NODES = 24
_MOST_LOOKED_AT = 16
"""Regions of which more is found out than what they read and make."""
_MOST_LOOKED_AT_CLOSELY = 3
"""In other numbers of tiles, too."""
_NEARLY = 0.8
"""Of the most that is there at any time."""
_WORTH = 0.98
"""Of what is there, a region must leave at most so much."""
_PRICE = 0.6
"""Where plans are put in order, twice the work counts like so much of the maps (powers of two)."""
_WAYS = {Way.ROWS, Way.COLUMNS, Way.WHOLE, Way.REPLICATED}

Region = tuple[Node, ...]
"""In the graph's order; the last makes what is kept."""


def plans_in_tiles(graph: Graph, plan: Plan, rank: int) -> Iterator[Plan]:
    """The plan with one region more in tiles: of each layer in which regions end the one that
    probably needs least, then the second of each, and so on.

    rank: whose arena is to get smaller.
    """
    regions = _Regions(graph, plan, rank)
    some = [found for r in regions.most_promising() if (found := regions.tried(r, _SOME_TILES))]
    closely = sorted(some, key=_cost)[:_MOST_LOOKED_AT_CLOSELY]
    others = (regions.tried(found.region, tiles) for found in closely for tiles in _OTHER_TILES)
    by_end = dict[str, list[_Tried]]()
    for found in sorted([*some, *filter(None, others)], key=_cost):
        by_end.setdefault(found.region[-1].name, []).append(found)
    for alternatives in zip_longest(*by_end.values()):
        yield from (found.plan for found in alternatives if found is not None)


class _Tried(NamedTuple):
    """A region in so many tiles: how the plan looks then, and what it costs about."""

    cost: float
    region: Region
    tiles: int
    plan: Plan


def _cost(found: _Tried) -> tuple[float, int, str, int]:
    return found.cost, len(found.region), found.region[-1].name, found.tiles


@dataclass(frozen=True)
class _Regions:
    graph: Graph
    plan: Plan
    rank: int

    @cached_property
    def maps(self) -> LiveMaps:
        return live_maps(self.graph, self.plan, self.rank)

    @cached_property
    def splits(self) -> dict[str, NodeSplit]:
        return self.plan.by_node()

    @cached_property
    def readers(self) -> dict[Value, list[Node]]:
        return self.graph.consumers()

    @cached_property
    def producers(self) -> dict[Value, Node]:
        return self.graph.producers()

    def tried(self, region: Region, tiles: int) -> _Tried | None:
        """The plan with a region in tiles; None where it cannot be, or brings nothing."""
        plan = self.in_tiles(region, tiles)
        try:
            maps = None if plan is None else live_maps(self.graph, plan, self.rank)
        except PlanError:
            return None
        if plan is None or maps is None:
            return None
        if maps.pressure_bytes >= _WORTH * self.maps.pressure_bytes:
            return None
        return _Tried(maps.pressure_bytes * max(1, maps.macs) ** _PRICE, region, tiles, plan)

    def most_promising(self) -> list[Region]:
        """Those with least around them, of all that take a map away where most are."""
        most = max(self.maps.around)
        full = set[Value]().union(
            *(
                there
                for size, there in zip(self.maps.around, self.maps.there, strict=True)
                if size >= _NEARLY * most
            )
        )
        found = list[tuple[float, int, Region]]()
        for root in self.graph.nodes:
            if self._can_end(root):
                for region in self._ending_in(root):
                    if any(node.output in full for node in region[:-1]):
                        found.append((self._around(region), len(found), region))
        found = [each for each in sorted(found) if each[0] < _WORTH * self.maps.pressure_bytes]
        return [region for *_, region in found[:_MOST_LOOKED_AT]]

    def _around(self, region: Region) -> float:
        """The pressure of whole maps while a region runs, and of what is there elsewhere."""
        inside = {node.output for node in region[:-1]}
        positions = {node: at for at, node in enumerate(self.graph.nodes)}
        kept = set(self.maps.there[positions[region[-1]]]) - inside
        given = set(self.graph.inputs) if self.plan.stream else set()
        kept |= {v for node in region for v in node.operands if v.is_computed} - inside - given
        own = sum(value.size_bytes for value in kept) // self.plan.world_size
        places = {positions[node] for node in region}
        rest = (size for at, size in enumerate(self.maps.around) if at not in places)
        return pressure([own, *rest])

    def _ending_in(self, root: Node) -> Iterator[Region]:
        """Ever larger regions, by what is latest in the graph."""
        positions = {node: at for at, node in enumerate(self.graph.nodes)}
        region = {root}
        way = self.splits[root.name].way, self.splits[root.name].rank
        while len(region) < _MOST_NODES:
            made = {self.producers[v] for n in region for v in n.operands if v in self.producers}
            free = [n for n in made - region if self._is_free(n, region, way)]
            if not free:
                return
            region.add(max(free, key=positions.__getitem__))
            yield tuple(sorted(region, key=positions.__getitem__))

    def _is_free(self, node: Node, region: set[Node], way: tuple[Way, int]) -> bool:
        split = self.splits[node.name]
        return (
            (split.way, split.rank) == way
            and _is_plain(split)
            and not has_state(node)
            and len(node.outputs) == 1
            and len(node.output.shape) == _MAP_DIMS
            and node.output not in self.graph.outputs
            and all(reader in region for reader in self.readers[node.output])
        )

    def _can_end(self, node: Node) -> bool:
        split = self.splits[node.name]
        if len(node.outputs) != 1 or split.streamed or not _is_plain(split):
            return False
        return split.way in _WAYS and len(node.output.shape) == _MAP_DIMS

    def in_tiles(self, region: Region, tiles: int) -> Plan | None:
        """The plan with a region in so many tiles of rows of its result; None if it cannot be."""
        *inner, root = region
        split = self.splits[root.name]
        factor = tile_factor(root, split)
        if factor is not None and factor.size < tiles:
            return None
        made = dict(self.splits)
        for node in inner:
            made[node.name] = replace(
                made[node.name], streamed=True, extents=(), gather_tiles=1, tile_bounds=()
            )
        made[root.name] = replace(split, gather_tiles=tiles, tile_bounds=())
        plan = replace(self.plan, splits=tuple(made.values()))
        return None if plan_problems(self.graph, plan) else plan


def _is_plain(split: NodeSplit) -> bool:
    """Whether a layer is run by itself, as far as the search is concerned, or in such tiles."""
    return split.sum_tiles == 1 and not split.chained and split.sweeps == 1
