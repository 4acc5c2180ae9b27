# SPDX-License-Identifier: Apache-2.0
"""One team that takes its next input while it computes: perhaps another plan than for latency.

image through rank 0    plan for the least latency: near devices have more rows of the first
                        units, since they have their input sooner
taken meanwhile         all have it when they begin, as with direct input: equal shares
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tflsplit.cluster import Cluster
from tflsplit.cluster.fewer import fewer
from tflsplit.planner.planner import Planner
from tflsplit.planner.whole.planned import Planned, finish

_WORTH = 0.98
"""Of the time between two results: for less, nobody gives RAM away."""


def with_next_input(planner: Planner, found: Planned | None) -> Planned | None:
    """A plan whose devices take their next input while they compute, where that is worth it.

    found: the planner's plan for the least latency.
    """
    cluster = planner.cluster
    if found is None or cluster.stream:
        return found
    least = found
    for other in _plans(planner, found):
        if other.fits(other.cluster) and other.period_us < _WORTH * least.period_us:
            least = other
    return least


def _plans(planner: Planner, found: Planned) -> Iterator[Planned]:
    """That plan, and the one for direct input: as if each device had its input when it begins."""
    cluster = planner.cluster
    yield replace(found, cluster=replace(found.cluster, ahead=True))
    if cluster.direct or cluster.input_rank != cluster.output_rank or cluster.world_size == 1:
        return
    direct = Planner(planner.graph, replace(cluster, direct=True)).find("latency")
    if direct is not None:
        yield finish(planner.graph, direct.plan, _ahead(cluster, direct), direct.steps)


def _ahead(cluster: Cluster, planned: Planned) -> Cluster:
    """So many devices of a cluster, with memory for the next input."""
    return replace(fewer(cluster, planned.plan.world_size)[0], ahead=True)
