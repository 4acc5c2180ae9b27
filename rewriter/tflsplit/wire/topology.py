# SPDX-License-Identifier: Apache-2.0
"""Which wires a cluster has and which way frames take: the link tables of every rank.

A table is what split_core's ``LinkConfig`` holds: the neighbour, the set of ranks reached through
it, and for a ring the link into which its traffic continues. Trees (line, star) have one way only.
A ring takes the shorter way; opposite ranks are as far either way, so even ranks send clockwise and
odd ranks the other way, which loads both directions equally. On a bus
every rank is one hop away.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from tflsplit.errors import ClusterError
from tflsplit.wire.frames import MAX_NODES

NO_LINK = 255
MAX_LINKS = 16
"""Of one device (``kMaxLinks`` in split_core)."""


class Topology(Enum):
    """How the devices are wired."""

    LINE = "line"  # 0 - 1 - 2 - ...
    RING = "ring"  # the line, closed
    STAR = "star"  # every rank to rank 0; also a bus with a master, such as SPI
    BUS = "bus"  # every rank to every other: a shared medium whose port keeps the pairs apart


@dataclass(frozen=True)
class LinkTable:
    """One link of one rank; the index of the link is its place in the rank's tuple."""

    peer_rank: int
    destinations: int  # bit r: rank r is reached through this link
    ring_next: int = NO_LINK


def link_tables(
    topology: Topology, world_size: int, host_at: int | None = None
) -> tuple[tuple[LinkTable, ...], ...]:
    """The links of ranks 0, 1, …, and of the host, which is rank ``world_size``, if there is one.

    A rank's links come in this order: towards lower ranks (on a ring: counter-clockwise), towards
    higher ranks (clockwise), the host. ``host_at`` is the gateway: the device that the host is
    wired to. Raises ``ClusterError`` if there are too many ranks, or more than 16 links on one
    device (the hub of a star, any device of a bus), or no such gateway.
    """
    nodes = world_size + (host_at is not None)
    if world_size < 1 or nodes > MAX_NODES:
        raise ClusterError(
            f"a cluster of {nodes} ranks (the host included) cannot be addressed: "
            f"1 to {MAX_NODES} can"
        )
    if host_at is not None and not 0 <= host_at < world_size:
        raise ClusterError(f"the host is wired to rank {host_at}, but the ranks end at "
                           f"{world_size - 1}")  # fmt: skip
    neighbours = [_neighbours(topology, world_size, rank) for rank in range(world_size)]
    closed = topology is Topology.RING and world_size > 2
    tables = []
    for rank in range(world_size):
        reached = dict.fromkeys(neighbours[rank], 0)
        for to in range(world_size):
            if to != rank:
                reached[_next_hop(topology, world_size, rank, to)] |= 1 << to
        if host_at is not None and host_at != rank:
            reached[_next_hop(topology, world_size, rank, host_at)] |= 1 << world_size
        links = [
            LinkTable(peer, reached[peer], 1 - index if closed else NO_LINK)
            for index, peer in enumerate(neighbours[rank])
        ]
        if host_at == rank:
            links.append(LinkTable(world_size, 1 << world_size))
        tables.append(tuple(links))
    _check_link_counts(topology, tables)
    if host_at is not None:
        tables.append((LinkTable(host_at, (1 << world_size) - 1),))
    return tuple(tables)


FIRST_LANE = -1
"""The lane of messages that end at the gateway; they leave before those of all others.

They take none of its wires, but would be held up by frames that wait for one: these fill the
gateway's slots, and then the host may send nothing at all.
"""


def nearest(
    topology: Topology, world_size: int, gateway: int, ranks: Iterable[int]
) -> tuple[int, int]:
    """Of the ways from ``gateway`` to some ranks the shortest: how many wires, and its lane.

    A lane is named by the gateway's neighbour on the way; to the gateway itself: (0, FIRST_LANE).
    """
    return min(_way(topology, world_size, gateway, rank) for rank in ranks)


def _way(topology: Topology, world_size: int, gateway: int, rank: int) -> tuple[int, int]:
    at, hops, first = gateway, 0, FIRST_LANE
    while at != rank:
        at = _next_hop(topology, world_size, at, rank)
        first = at if hops == 0 else first
        hops += 1
    return hops, first


def _check_link_counts(topology: Topology, tables: list[tuple[LinkTable, ...]]) -> None:
    for rank, links in enumerate(tables):
        if len(links) > MAX_LINKS:
            raise ClusterError(
                f"rank {rank} of this {topology.value} would have {len(links)} links, but a device "
                f"can have {MAX_LINKS}: use a ring or a line"
            )


def _neighbours(topology: Topology, world_size: int, rank: int) -> tuple[int, ...]:
    if topology is Topology.BUS:
        return tuple(peer for peer in range(world_size) if peer != rank)
    if topology is Topology.STAR:
        return tuple(range(1, world_size)) if rank == 0 else (0,)
    if topology is Topology.RING and world_size > 2:
        return (rank - 1) % world_size, (rank + 1) % world_size
    return tuple(peer for peer in (rank - 1, rank + 1) if 0 <= peer < world_size)


def _next_hop(topology: Topology, world_size: int, rank: int, to: int) -> int:
    if topology is Topology.BUS:
        return to
    if topology is Topology.STAR:
        return to if rank == 0 else 0
    if topology is Topology.LINE or world_size == 2:
        return rank + 1 if to > rank else rank - 1
    clockwise = (to - rank) % world_size
    tied = 2 * clockwise == world_size
    # Rank 0 backwards: on small maps the last ranks idle, so that side has less to be fed.
    forward = rank % 2 == 1 if tied else 2 * clockwise < world_size
    return (rank + (1 if forward else -1)) % world_size
