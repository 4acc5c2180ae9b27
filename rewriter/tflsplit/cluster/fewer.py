# SPDX-License-Identifier: Apache-2.0
"""A cluster with some of its devices left out of the wiring.

ring of 4, rank 2 left out:      0 - 1 - 2 - 3 - 0    -->    0 - 1 ----- 3 - 0, now 0 - 1 - 2 - 0

The others move together: they keep their order, get the ranks 0, 1, ... and are wired as the
topology wires so many.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import pairwise

from tflsplit.cluster.cycles import Family
from tflsplit.cluster.links import LinkSpec
from tflsplit.cluster.routes import Edge
from tflsplit.cluster.spec import Cluster, Device
from tflsplit.errors import ClusterError
from tflsplit.wire.topology import Topology


def fewer(cluster: Cluster, world_size: int) -> tuple[Cluster, tuple[int, ...]]:
    """So many of a cluster's devices, wired without the others; and which ranks these others are.

    Raises ClusterError if so many cannot be: 1 to all, and no device that the host is wired to may
    be left out.
    """
    leaving = order_of_leaving(cluster)
    count = cluster.world_size - world_size
    if not 0 <= count <= len(leaving):
        least = cluster.world_size - len(leaving)
        raise ClusterError(
            f"of {cluster.world_size} devices {least} to {cluster.world_size} can be used, "
            f"not {world_size}"
        )
    left_out = tuple(sorted(leaving[:count]))
    return without(cluster, left_out), left_out


def order_of_leaving(cluster: Cluster) -> tuple[int, ...]:
    """The ranks that can be left out of the wiring, the first to go first.

    That is the slowest one; of equally fast ones the one with least RAM for the arena, then with
    least flash; of equal ones on a line the farthest from the host, else the highest rank.  What
    the host is wired to stays, and so does the middle of a star.
    """
    stays = {cluster.input_rank, cluster.output_rank}
    if cluster.topology is Topology.STAR:
        stays.add(0)

    def worth(rank: int) -> tuple[float, ...]:
        hops = len(cluster.routes.path(cluster.input_rank, rank)) if is_line else 0
        rooms = cluster.arena_room_bytes(rank), cluster.weights_room_bytes(rank)
        return _macs_per_us(cluster.devices[rank]), *rooms, -hops, -rank

    is_line = cluster.topology is Topology.LINE
    return tuple(sorted((r for r in range(cluster.world_size) if r not in stays), key=worth))


def _macs_per_us(device: Device) -> float:
    """How fast a device is at the operators that take nearly all the time of most networks."""
    families = (Family.CONV, Family.POINTWISE, Family.DEPTHWISE)
    return len(families) / sum(device.cycles_us(device.cycles.of(family)) for family in families)


def without(cluster: Cluster, left_out: Collection[int]) -> Cluster:
    """The cluster without some ranks, which must be none that the host is wired to.

    Where single wires have numbers of their own, the wire that closes a gap has those of the
    slowest that it stands for.
    """
    kept = [rank for rank in range(cluster.world_size) if rank not in left_out]
    if len(kept) == cluster.world_size:
        return cluster
    made = replace(
        cluster,
        devices=tuple(cluster.devices[rank] for rank in kept),
        input_rank=kept.index(cluster.input_rank),
        output_rank=kept.index(cluster.output_rank),
        host_links=tuple(cluster.host_links[rank] for rank in kept if cluster.host_links),
        wires=(),
    )
    if not cluster.wires:
        return made
    wires = {edge: _wire(cluster, kept, edge) for edge in sorted(made.edges) if edge[0] < edge[1]}
    own = ((edge, link) for edge, link in wires.items() if link != cluster.link)
    return replace(made, wires=tuple(own))


def _wire(cluster: Cluster, kept: Sequence[int], edge: Edge) -> LinkSpec:
    """What stands for the wires between two devices that are neighbours now."""
    low, high = kept[edge[0]], kept[edge[1]]
    if cluster.topology in (Topology.LINE, Topology.RING):
        way = list(range(low, high + 1))
        if edge[1] != edge[0] + 1:  # the wire that closes a ring
            way = [*range(high, cluster.world_size), *range(low + 1)]
    else:
        way = [low, high]
    links = [cluster.link_of(crossed) for crossed in pairwise(way)]
    return max(links, key=lambda link: link.frame_us(cluster.mtu_bytes))
