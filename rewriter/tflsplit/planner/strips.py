# SPDX-License-Identifier: Apache-2.0
"""For the least RAM: large maps between layers that no block holds are made a few rows at a time.

    before   x -- CONV_2D --> a -- CONV_2D --> b -- ADD x --> y        x, a and b at one time
    after    x -- CONV_2D, CONV_2D, ADD x: rows 0:4 ----.
               -- CONV_2D, CONV_2D, ADD x: rows 4:8 ----+--> y         x and y
               ...

A search decides about units, and a unit of plain convolutions (a ResNet's, a U-Net's) has its maps
whole, or its rows on several devices.  Here, when a plan is found, runs of its layers are taken in
tiles as the host's input is (``streaming.py``): rows that two tiles read are computed twice.  Runs
are tried from the largest map on, one on top of another, as long as the arena gets smaller.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from tflsplit.check.device_graphs import check_coverage
from tflsplit.errors import PlanError
from tflsplit.ir import Graph, Node, Value
from tflsplit.ops.fused import block_parts, fused_inside
from tflsplit.plan.check import plan_problems
from tflsplit.plan.shards import tile_factor
from tflsplit.plan.spec import NodeSplit, Plan, Way
from tflsplit.planner.planned import Planned, finish
from tflsplit.planner.searcher import Searcher

_MAP_DIMS = 4
_TILES = (8, 4)
_LONGEST = 6
"""Layers of a run."""
_TRIES = 24
_TRIES_ABOVE = 8
"""In a row, of a plan that is larger than what is to be beaten."""
_MOST_GAIN = 2.0
_MOST_GAIN_OF_MANY = 1.4
"""Runs in tiles made arenas of one device at most 1.93 times as small, of several 1.38."""
_LEAST_PART = 8
"""Of the arena, what a map must be a part of, at least, to be worth it."""
_NEARLY = 0.8
"""Of what is around the fullest layer; a plan's scratch and tail are not looked at."""
_WORTH = 0.99
"""Of the arena before, at most: tiles take time."""
_WAYS = {Way.ROWS, Way.COLUMNS, Way.WHOLE, Way.REPLICATED}

_Run = tuple[Node, ...]


def smallest_in_strips(
    searcher: Searcher, objective: str, beat: float, tail_bytes: float
) -> Planned | None:
    """What a searcher finds (``Searcher.find``), with runs in tiles where that is for RAM.

    Where there may be such runs, it is asked for plans that they could bring below ``beat``.
    """
    if objective != "ram" or not _may_have_runs(searcher.graph):
        return searcher.find(objective, beat, tail_bytes)
    gain = _MOST_GAIN if searcher.cluster.world_size == 1 else _MOST_GAIN_OF_MANY
    found = searcher.find(objective, gain * beat, tail_bytes)
    return found and in_strips(searcher.graph, found, beat)


def _may_have_runs(graph: Graph) -> bool:
    """Whether a large map lies between two layers that are no part of a block."""
    blocks, readers = block_parts(graph), graph.consumers()
    parts = {part for each in blocks.values() for part in each if part} | set(blocks)
    outside = [node for node in graph.nodes if node not in parts and len(node.outputs) == 1]
    most = max((v.size_bytes for node in graph.nodes for v in node.outputs), default=0)
    return any(
        len(node.output.shape) == _MAP_DIMS
        and node.output.size_bytes * _LEAST_PART > most
        and len(readers[node.output]) == 1
        and readers[node.output][0] in outside
        for node in outside
    )


def in_strips(graph: Graph, planned: Planned, beat: float = float("inf")) -> Planned:
    """The plan with such runs in tiles, or itself where none makes its arena smaller.

    beat: an arena that is known; where a plan is above it, fewer runs are tried.
    """
    best, tried = planned, 0
    while tried < _TRIES:
        found = None
        most = min(_TRIES - tried, _TRIES if best.arena_bytes < beat else _TRIES_ABOVE)
        for plan in islice(_Runs(graph, best.plan, best.arena_bytes).plans(), most):
            tried += 1
            found = _finished(graph, plan, best)
            if found is not None:
                best = found
                break
        if found is None:
            break
    return best


def _finished(graph: Graph, plan: Plan, best: Planned) -> Planned | None:
    """The plan with its arenas; None where they are no smaller, or it cannot be."""
    if plan_problems(graph, plan):
        return None
    arenas = [arena.required_bytes for arena in best.arenas]
    fullest = max(range(plan.world_size), key=arenas.__getitem__)
    found = finish(graph, plan, best.cluster, best.steps, fullest=fullest)
    try:
        if found.is_above(int(best.arena_bytes * _WORTH)):
            return None
    except PlanError:
        return None
    fits = found.short_bytes(best.cluster) <= best.short_bytes(best.cluster)
    return found if fits and not check_coverage(graph, found.drafts) else None


@dataclass(frozen=True)
class _Runs:
    """Runs of layers of a plan whose arena has so many bytes."""

    graph: Graph
    plan: Plan
    arena_bytes: int

    def plans(self) -> Iterator[Plan]:
        """Each with one run more in tiles, the largest maps and the longest runs first."""
        readers, producers = self.graph.consumers(), self.graph.producers()
        splits = self.plan.by_node()
        for value in sorted(self._fullest(), key=lambda value: -value.size_bytes):
            if not self._is_free(producers[value], splits, readers):
                continue
            for run in self._around(value, splits, readers, producers):
                for tiles in _TILES:
                    plan = self._tiled(run, splits, tiles)
                    if plan is not None:
                        yield plan

    def _fullest(self) -> list[Value]:
        """Maps that are there, whole, while a layer runs that has about the most around it.

        In the graph's order: plans are the same in every run.
        """
        splits, inside = self.plan.by_node(), fused_inside(self.graph)
        gone = {n for n in self.graph.nodes if n.name in inside or splits[n.name].streamed}
        kept = {v for n in self.graph.nodes if n not in gone for v in n.outputs}
        last = {v: at for at, node in enumerate(self.graph.nodes) for v in node.operands}
        live, around = set[Value](), list[set[Value]]()
        for at, node in enumerate(self.graph.nodes):
            live |= kept & set(node.outputs)
            around.append(set(live))
            live = {value for value in live if last.get(value, at) > at}
        sizes = [sum(value.size_bytes for value in values) for values in around]
        most = max(sizes, default=0)
        least = self.arena_bytes * self.plan.world_size // _LEAST_PART
        full = set[Value]().union(
            *(v for size, v in zip(sizes, around, strict=True) if size >= _NEARLY * most)
        )
        made = (value for node in self.graph.nodes for value in node.outputs)
        return [value for value in made if value in full and value.size_bytes >= least]

    def _is_free(
        self, node: Node, splits: Mapping[str, NodeSplit], readers: Mapping[Value, Sequence[Node]]
    ) -> bool:
        """Whether a layer can run inside the tiles of the one that reads it."""
        if len(node.outputs) != 1 or node.output in self.graph.outputs:
            return False
        one = len(readers[node.output]) == 1
        return one and len(node.output.shape) == _MAP_DIMS and _is_plain(splits[node.name])

    def _around(
        self,
        value: Value,
        splits: Mapping[str, NodeSplit],
        readers: Mapping[Value, Sequence[Node]],
        producers: Mapping[Value, Node],
    ) -> Iterator[_Run]:
        """Runs of layers inside of which a map is, the longest first."""
        before, after = [producers[value]], list[Node]()
        while len(before) < _LONGEST - 1:
            made = [producers[v] for v in before[0].operands if v in producers]
            free = [node for node in made if self._is_free(node, splits, readers)]
            if not free:
                break
            before.insert(0, max(free, key=lambda node: node.output.size_bytes))
        at = value
        while len(after) < _LONGEST - 1:
            (node,) = readers[at]
            if len(node.outputs) != 1 or not _is_plain(splits[node.name]):
                break
            after.append(node)
            at = node.output
            if not self._is_free(node, splits, readers):
                break
        lengths = [
            (first, last)
            for first in range(1, len(before) + 1)
            for last in range(1, len(after) + 1)
            if first + last <= _LONGEST
        ]
        for first, last in sorted(lengths, key=lambda pair: -sum(pair)):
            yield (*before[-first:], *after[:last])

    def _tiled(self, run: _Run, splits: Mapping[str, NodeSplit], tiles: int) -> Plan | None:
        """The plan with a run in so many tiles of rows of what it makes."""
        ways = {(splits[node.name].way, splits[node.name].rank) for node in run}
        factor = tile_factor(run[-1], splits[run[-1].name])
        if len(ways) > 1 or factor is None or factor.size < tiles:
            return None
        made = dict(splits)
        for node in run[:-1]:
            made[node.name] = replace(made[node.name], streamed=True, extents=())
        made[run[-1].name] = replace(made[run[-1].name], gather_tiles=tiles)
        return replace(self.plan, splits=tuple(made.values()))


def _is_plain(split: NodeSplit) -> bool:
    free = not split.streamed and split.tiles == 1 and not split.chained
    return free and split.way in _WAYS and not split.window_columns
