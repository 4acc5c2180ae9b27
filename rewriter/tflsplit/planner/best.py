# SPDX-License-Identifier: Apache-2.0
"""The plan that a user gets: searched, its links' frames chosen, its input streamed or resident."""

from __future__ import annotations

from tflsplit.cluster import Cluster
from tflsplit.ir import Graph
from tflsplit.planner.links import find_with_links
from tflsplit.planner.planned import Planned
from tflsplit.planner.planner import Planner
from tflsplit.planner.streaming import streamed


def best_plan(graph: Graph, cluster: Cluster, objective: str) -> tuple[Planner, Planned]:
    """The best plan, and the planner that found it; ClusterError as ``Planner.best``."""
    planner, planned = find_with_links(graph, cluster, objective)
    if may_stream(cluster, planned, objective):
        planned = streamed(graph, planned, planned.cluster, objective)
    return planner, planned


def may_stream(cluster: Cluster, planned: Planned, objective: str) -> bool:
    """Whether the input may stay with the host: as the cluster says, else for the least RAM.

    Not on one device, unless it was asked for: its graph runs in any application of TFLM, which
    knows no RECV.
    """
    if cluster.stream is not None:
        return cluster.stream
    return objective == "ram" and planned.plan.world_size > 1
