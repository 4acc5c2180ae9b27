# SPDX-License-Identifier: Apache-2.0
"""What an output folder remembers of the request that made it: keys of plan.json.

``cluster`` (with the keys of cluster.toml), ``objective``, ``left_out``: docs/plan_json.md.
A folder that was written before they were has none of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tflsplit.bundle.text import Json
from tflsplit.cluster import Cluster, cluster_document, cluster_of_document
from tflsplit.errors import ClusterError, counted

CLUSTER, OBJECTIVE, LEFT_OUT = "cluster", "objective", "left_out"


def remember(cluster: Cluster, objective: str | None, left_out: Sequence[int]) -> dict[str, Any]:
    """The keys of plan.json.

    cluster: of the devices that the plan uses.
    objective: that the plan was searched for; None: it was divided by hand, or replayed.
    left_out: ranks of the cluster that was asked for which the plan does without.
    """
    return {
        CLUSTER: cluster_document(cluster),
        OBJECTIVE: objective,
        LEFT_OUT: list(left_out),
    }


def remembered_cluster(document: Json, folder: Path) -> Cluster | None:
    """The cluster that a folder was made for; None if its plan.json does not say.

    Raises ClusterError where it says what no cluster is, or one of another number of devices.
    """
    if document.get(CLUSTER) is None:
        return None
    source = str(folder / "plan.json")
    cluster = cluster_of_document(document[CLUSTER], source)
    if cluster.world_size != document["world_size"]:
        raise ClusterError(
            f"{source}: cluster has {counted(cluster.world_size, 'device')}, but the plan "
            f"{document['world_size']}; write it again with `rewrite`"
        )
    return cluster


def remembered_teams(document: Json, folder: Path) -> int:
    """How many clusters of this plan work side by side; errors as ``remembered_cluster``."""
    cluster = remembered_cluster(document, folder)
    return 1 if cluster is None else cluster.teams
