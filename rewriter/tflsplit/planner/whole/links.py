# SPDX-License-Identifier: Apache-2.0
"""The link layer is part of a plan: frames of 512 bytes, or of 256 where RAM counts.

For the least RAM a plan takes small frames, and for other objectives where nothing fits with large
ones.  What the user gave (``[link_layer]`` in cluster.toml, ``--mtu``) stays.
"""

from __future__ import annotations

from dataclasses import replace

from tflsplit.cluster import Cluster
from tflsplit.cluster.rings import LEAN_MTU_BYTES
from tflsplit.planner.whole.planned import Planned


def with_lean_links(planned: Planned) -> Planned:
    """The plan over small frames: less RAM on every device, about a twelfth more time on the wires.

    How a unit is divided does not depend on it: the arena comes first, and that has no frames.  Nor
    do device graphs, which stay as they are.
    """
    cluster = with_frames(planned.cluster, LEAN_MTU_BYTES)
    plan = replace(planned.plan, mtu_bytes=LEAN_MTU_BYTES)
    if cluster == planned.cluster:
        return replace(planned, plan=plan)
    return replace(planned, plan=plan, cluster=cluster, predicted=None, simulated_us=None)


def with_frames(cluster: Cluster, mtu_bytes: int | None) -> Cluster:
    """The cluster with frames as a plan has them, unless the user said how large they are."""
    if mtu_bytes is None or cluster.links_given:
        return cluster
    return replace(cluster, mtu_bytes=mtu_bytes)
