# SPDX-License-Identifier: Apache-2.0
"""For the least RAM: large maps between layers that no block holds are made a few rows at a time.

    before   x -- CONV_2D --> a -- CONV_2D --> b -- ADD x --> y        x, a and b at one time
    after    x -- CONV_2D, CONV_2D, ADD x: rows 0:4 ----.
               -- CONV_2D, CONV_2D, ADD x: rows 4:8 ----+--> y         x and y
               ...

A search decides about units, and a unit of plain convolutions (a ResNet's, a U-Net's) has its maps
whole, or its rows on several devices.  Here, when a plan is found, regions of its layers are taken
in tiles as the host's input is (``streaming.py``): rows that two tiles read are computed twice.
One is tried on top of another (``regions.py``), as long as the arena gets smaller.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

from tflsplit.check.device_graphs import check_coverage
from tflsplit.errors import PlanError
from tflsplit.ir import Graph
from tflsplit.ops.own.fused import block_parts
from tflsplit.plan.spec import Plan
from tflsplit.planner.regions import plans_in_tiles
from tflsplit.planner.searching.searcher import Searcher
from tflsplit.planner.whole.planned import Planned, finish

_MAP_DIMS = 4
_TRIES = 24
_TRIES_AT_ONCE = 6
_NEAR = 1.1
"""What is above so many times what is to be beaten is left alone."""
_TRIES_ABOVE = 3
"""At once, of a plan that is larger than what is to be beaten."""
_MOST_GAIN = 2.0
_MOST_GAIN_OF_MANY = 1.4
"""Runs in tiles made arenas of one device at most 1.93 times as small, of several 1.38."""
_LEAST_PART = 8
"""Of the largest map, what another must be a part of, at least, to be worth it."""
_WORTH = 0.99
"""Of the arena before, at most: tiles take time."""
_PRICE = 0.15
"""Twice the work must be worth so much of the arena, in powers of two."""


def smallest_in_strips(
    searcher: Searcher, objective: str, beat: float, tail_bytes: float
) -> Planned | None:
    """What a searcher finds (``Searcher.find``), with regions in tiles where that is for RAM.

    Where there may be such regions, it is asked for plans that they could bring below ``beat``.
    """
    if objective != "ram" or not may_have_regions(searcher.graph):
        return searcher.find(objective, beat, tail_bytes)
    gain = _MOST_GAIN if searcher.cluster.world_size == 1 else _MOST_GAIN_OF_MANY
    found = searcher.find(objective, gain * beat, tail_bytes)
    return found and in_strips(searcher.graph, found, beat)


def may_have_regions(graph: Graph) -> bool:
    """Whether a large map lies between layers that are no part of a block."""
    blocks, readers = block_parts(graph), graph.consumers()
    parts = {part for each in blocks.values() for part in each if part} | set(blocks)
    outside = {node for node in graph.nodes if node not in parts and len(node.outputs) == 1}
    most = max((v.size_bytes for node in graph.nodes for v in node.outputs), default=0)
    return any(
        len(node.output.shape) == _MAP_DIMS
        and node.output.size_bytes * _LEAST_PART > most
        and readers[node.output]
        and outside.issuperset(readers[node.output])
        for node in outside
    )


def in_strips(graph: Graph, planned: Planned, beat: float = float("inf")) -> Planned:
    """The plan with such regions in tiles, or itself where none makes its arena smaller.

    beat: an arena that is known; where a plan is above it, fewer are tried.
    """
    first = _one_by_one(graph, planned, beat, take_first=True)
    if first is planned or first.arena_bytes > _NEAR * beat:
        return replace(first, plain=planned) if first is not planned else planned
    best = _one_by_one(graph, planned, beat, take_first=False)
    return replace(min(first, best, key=lambda found: found.arena_bytes), plain=planned)


def _one_by_one(graph: Graph, planned: Planned, beat: float, take_first: bool) -> Planned:
    """With a region more again and again: the first that is worth it, or the best of some."""
    best, tried, before = planned, 0, None
    while tried < _TRIES and best is not before:
        before = best
        at_once = _TRIES_AT_ONCE if best.arena_bytes < beat else _TRIES_ABOVE
        for plan in islice(plans_in_tiles(graph, before.plan, _fullest(before)), at_once):
            tried += 1
            best = _finished(graph, plan, best) or best
            if take_first and best is not before:
                break
    return best


def _fullest(planned: Planned) -> int:
    return max(range(planned.plan.world_size), key=lambda rank: planned.arenas[rank].required_bytes)


def _finished(graph: Graph, plan: Plan, best: Planned) -> Planned | None:
    """The plan with its arenas; None where they are no smaller, or it cannot be."""
    found = finish(graph, plan, best.cluster, best.steps, fullest=_fullest(best))
    try:
        if found.is_above(int(best.arena_bytes * _WORTH)):
            return None
        more = max(1.0, _busiest_macs(found) / max(1, _busiest_macs(best)))
        if found.arena_bytes > best.arena_bytes * more**-_PRICE:
            return None
    except PlanError:
        return None
    fits = found.short_bytes(best.cluster) <= best.short_bytes(best.cluster)
    return found if fits and not check_coverage(graph, found.drafts) else None


def _busiest_macs(planned: Planned) -> int:
    return max(device.macs for device in planned.drafts)
