# SPDX-License-Identifier: Apache-2.0
"""Equal teams: the devices of a cluster as several smaller ones that work side by side.

    0 - 1 - 2 - 3 - 4 - 5 - 6 - 7 - 0        one ring of eight, one way to the host

    0 - 1 - 2 - 3 - 0    4 - 5 - 6 - 7 - 4   two teams of four, each on a port of the host's own

Each team runs whole inferences of its own, all teams the same plan: rank k of every team has the
same firmware.  Teams of one device are copies of the model.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tflsplit.cluster.fewer import without
from tflsplit.cluster.spec import Cluster, Device
from tflsplit.wire.topology import Topology


def teams_of(cluster: Cluster) -> Iterator[tuple[Cluster, tuple[int, ...]]]:
    """Every way to make equal teams of all devices, the most teams first, one team last.

    Each is the first team, whose ``teams`` says how many there are, and the ranks outside of it.
    Devices of different kinds are shared out kind by kind; those that are over are in no team.
    Where wires differ, or a bus joins all, or input and output have ways of their own, there is
    one team only.
    """
    last: Cluster | None = None
    for count in range(cluster.world_size, 0, -1):
        found = team_of(cluster, count)
        if found is not None and (last is None or found[0].devices != last.devices):
            last = found[0]
            yield found


def team_of(cluster: Cluster, count: int) -> tuple[Cluster, tuple[int, ...]] | None:
    """The first of ``count`` equal teams and the ranks outside of it; None if they cannot be."""
    if count == 1:
        return cluster, ()
    if not _can_be_shared(cluster):
        return None
    kept = _members(cluster, count)
    if kept is None:
        return None
    left_out = tuple(rank for rank in range(cluster.world_size) if rank not in kept)
    return replace(without(cluster, left_out), teams=count), left_out


def _can_be_shared(cluster: Cluster) -> bool:
    is_bus = cluster.topology is Topology.BUS
    return not (is_bus or cluster.wires) and cluster.input_rank == cluster.output_rank


def _members(cluster: Cluster, count: int) -> set[int] | None:
    """The first team's ranks: of each kind of device an equal share; None without the gateway."""
    stays = {cluster.input_rank, *([0] if cluster.topology is Topology.STAR else [])}
    kinds: dict[Device, list[int]] = {}
    for rank, device in enumerate(cluster.devices):
        kinds.setdefault(replace(device, name=""), []).append(rank)
    kept: set[int] = set()
    for ranks in kinds.values():
        first = sorted(ranks, key=lambda rank: (rank not in stays, rank))
        kept.update(first[: len(ranks) // count])
    return kept if stays <= kept else None
