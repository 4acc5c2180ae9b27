# SPDX-License-Identifier: Apache-2.0
"""The most inferences a second: how many equal teams the devices should form, and their plan.

    teams of 1   8 copies of the model      8 / latency(1)    where one device holds it
    teams of 2   4 at a time                4 / latency(2)
    ...
    one team     as for ``latency``         1 / latency(8)

A team has one inference at a time, so its best plan is that of the least latency; what is made
small is latency / teams.  One team of all may also take its next input while it computes, where
devices have RAM for that and it pays.  The more teams the less is exchanged, so they come first,
and the others are searched only as far as they can be better.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tflsplit.cluster import Cluster
from tflsplit.cluster.teams import teams_of
from tflsplit.errors import ClusterError
from tflsplit.ir import Graph
from tflsplit.ops.stock.state import has_state
from tflsplit.planner.next_input import with_next_input
from tflsplit.planner.planner import FEW, LARGE_NODES, MANY, STEPS, Known, Planner
from tflsplit.planner.whole.planned import Planned

THROUGHPUT = "throughput"
"""The objective: inferences a second."""


def best_teams(
    graph: Graph, cluster: Cluster, asked: Planner | None = None
) -> tuple[Planner, Planned] | None:
    """The plan of one of the equal teams that do most inferences a second, and who found it.

    The plan's cluster is the team, with ``teams`` of them.  None where no team has room.
    asked: who was asked for all devices before: what that found is not searched again.
    Raises ClusterError if the cluster says already how many teams there are.
    """
    if cluster.teams > 1:
        raise ClusterError(
            f"the cluster is described as {cluster.teams} teams, and --objective {THROUGHPUT} "
            "finds how many there should be: describe all devices, without `teams`"
        )
    known: Known = {}
    best: tuple[Planner, Planned] | None = None
    least_us = float("inf")
    for team in _worth_trying(graph, cluster):
        if asked is not None and asked.cluster == team:
            planner = asked
        else:
            planner = Planner(graph, team, known if _all_alike(cluster) else None)
        limit_us = least_us * team.teams
        if planner.bound("latency", team.world_size) > limit_us:
            continue
        if team.teams == 1:  # all that there are, of which some may be better left out
            found = with_next_input(planner, planner.find("latency"))
        else:
            found = planner.searcher(team.world_size).find("latency", limit_us)
        if found is not None and found.value(THROUGHPUT) < least_us:
            best, least_us = (planner, found), found.value(THROUGHPUT)
    return best


def _worth_trying(graph: Graph, cluster: Cluster) -> Iterator[Cluster]:
    """Teams of as many devices as are tried for ``latency``, the smallest first.

    Of a model that remembers one inference for the next, one team: each would have its own past.
    """
    is_large = len(graph.nodes) > LARGE_NODES
    sizes = {*(STEPS if is_large else range(1, FEW + 1)), *MANY, cluster.world_size}
    teams = (team for team, _ in teams_of(cluster) if team.world_size in sizes)
    remembers = any(has_state(node) for node in graph.nodes)
    return (team for team in teams if team.teams == 1 or not remembers)


def _all_alike(cluster: Cluster) -> bool:
    """Whether so many of its devices are the same, whichever they are."""
    return len({replace(device, name="") for device in cluster.devices}) == 1
