# SPDX-License-Identifier: Apache-2.0
"""How many devices of a kind a network needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tflsplit.cluster import Cluster
from tflsplit.ir import Graph
from tflsplit.planner.planner import Planner
from tflsplit.planner.searching.searcher import Searcher
from tflsplit.planner.whole.planned import Planned

SIZES = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16)
"""Numbers of devices that are tried, until one is enough."""


@dataclass(frozen=True)
class Needed:
    """What a network needs of one kind of device.

    alone: the plan for one of them, which may be too small (``one`` is that device); None: unknown.
    planned: the fastest plan that was found for as few as will do; None where the largest of
        ``SIZES`` will not.
    """

    one: Cluster
    alone: Planned | None
    planned: Planned | None


def needed(
    graph: Graph, cluster_of: Callable[[int], Cluster], sizes: Sequence[int] = SIZES
) -> Needed:
    """As few devices as will do.

    graph: as it is split; cluster_of: so many of the devices.
    """
    one = cluster_of(1)
    found = Planner(graph, one).alone("latency")
    alone = None if found is None else found[0]
    if alone is not None and alone.fits(one) and 1 in sizes:
        return Needed(one, alone, alone)
    weights_bytes = sum({id(v.data): v.size_bytes for v in graph.constants()}.values())
    for size in (size for size in sizes if size > 1):
        cluster = cluster_of(size)
        flash = sum(map(cluster.weights_room_bytes, range(size)))
        if weights_bytes > flash:
            continue
        searcher = Searcher(graph, cluster)
        if searcher.least_arena_bytes() > max(map(cluster.arena_room_bytes, range(size))):
            continue
        planned = searcher.find("latency") or searcher.find("ram")
        if planned is not None and planned.fits(cluster):
            return Needed(one, alone, planned)
    return Needed(one, alone, None)
