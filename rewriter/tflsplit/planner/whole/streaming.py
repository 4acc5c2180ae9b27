# SPDX-License-Identifier: Apache-2.0
"""The input is not resident: what first reads it does so in tiles of rows, one after another.

    before   image -- all of it --> QUANTIZE --> block 1 ----------------------------> map
    after    host -- rows 0:35 --> QUANTIZE --> block 1, rows 0:16 of the map --.
             host -- rows 29:67 -> QUANTIZE --> block 1, rows 16:32 ------------+--> map
             ...

A plan is made as ever; then the layers up to the end of the first block are taken in tiles, in ever
more of them while that helps.  Rows that two tiles read are sent and computed twice.
"""

from __future__ import annotations

from tflsplit.check.device_graphs import check_coverage
from tflsplit.cluster import Cluster
from tflsplit.ir import Graph
from tflsplit.plan.check import MOST_TILES, plan_problems
from tflsplit.planner.ways.hosted import in_tiles
from tflsplit.planner.whole.planned import Planned, finish


def streamed(graph: Graph, planned: Planned, cluster: Cluster, objective: str) -> Planned:
    """The plan with its inputs streamed, in as many tiles as are best for an objective.

    The same plan where that makes it no better, or something would no longer fit; or where the
    search has decided it already (``Choices.hosted``).
    """
    if planned.plan.stream:
        return planned
    best = planned
    for tiles in range(1, MOST_TILES + 1):
        plan = in_tiles(graph, planned.plan, tiles)
        if plan_problems(graph, plan):
            continue
        found = finish(graph, plan, cluster, planned.steps, fullest=_fullest(best))
        if _is_better(found, best, objective) and not check_coverage(graph, found.drafts):
            best = found
        elif tiles > 2 and best is planned:
            break  # else all are tried: how tensors lie over each other changes by leaps
    return best


def _is_better(found: Planned, best: Planned, objective: str) -> bool:
    """Whether a plan has the smaller value, and lacks no more of anything."""
    if objective == "ram" and found.is_above(best.arena_bytes - 1):
        return False
    fits = found.short_bytes(best.cluster) <= best.short_bytes(best.cluster)
    return fits and found.value(objective) < best.value(objective)


def _fullest(planned: Planned) -> int:
    return max(range(planned.plan.world_size), key=lambda rank: planned.arenas[rank].required_bytes)
