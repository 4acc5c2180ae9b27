# SPDX-License-Identifier: Apache-2.0
"""Which wires a cluster has and which way frames take: the link tables of every rank.

A table is what split_core's ``LinkConfig`` holds: the neighbour, the set of ranks reached through
it, and for a ring the link into which its traffic continues. Trees (line, star) have one way only.
A ring takes the shorter way; opposite ranks are as far either way, so even ranks send clockwise and
odd ranks the other way, which loads both directions equally. On a bus
every rank is one hop away.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
    topology: Topology, world_size: int, host_at: int | Sequence[int] | None = None
) -> tuple[tuple[LinkTable, ...], ...]:
    """The links of ranks 0, 1, …, and of the host, which is rank ``world_size``, if there is one.

    A rank's links come in this order: towards lower ranks (on a ring: counter-clockwise), towards
    higher ranks (clockwise), the host. ``host_at``: the gateway or gateways, the devices that the
    host is wired to, in the order of the host's own links; between the host and any other device,
    frames take the nearest of them. Raises ``ClusterError`` if there are too many ranks, or more
    than 16 links on one device (the hub of a star, any device of a bus), or no such gateway.
    """
    gateways = _gateways(host_at)
    nodes = world_size + bool(gateways)
    if world_size < 1 or nodes > MAX_NODES:
        raise ClusterError(
            f"a cluster of {nodes} ranks (the host included) cannot be addressed: "
            f"1 to {MAX_NODES} can"
        )
    for gateway in gateways:
        if not 0 <= gateway < world_size:
            raise ClusterError(f"the host is wired to rank {gateway}, but the ranks end at "
                               f"{world_size - 1}")  # fmt: skip
    tables = unchecked_tables(topology, world_size, gateways)
    _check_link_counts(topology, tables[:world_size])
    return tables


def unchecked_tables(
    topology: Topology, world_size: int, gateways: Sequence[int]
) -> tuple[tuple[LinkTable, ...], ...]:
    """The same of clusters that may be too large for a host; for planning only."""
    tables = []
    for rank in range(world_size):
        neighbours = _neighbours(topology, world_size, rank)
        closed = topology is Topology.RING and world_size > 2
        reached = dict.fromkeys(neighbours, 0)
        for to in range(world_size):
            if to != rank:
                reached[_next_hop(topology, world_size, rank, to)] |= 1 << to
        if gateways and rank not in gateways:
            nearest_one = _nearest_gateway(topology, world_size, gateways, rank)
            reached[_next_hop(topology, world_size, rank, nearest_one)] |= 1 << world_size
        links = [
            LinkTable(peer, reached[peer], 1 - index if closed else NO_LINK)
            for index, peer in enumerate(neighbours)
        ]
        if rank in gateways:
            links.append(LinkTable(world_size, 1 << world_size))
        tables.append(tuple(links))
    if gateways:
        tables.append(_host_links(topology, world_size, gateways))
    return tuple(tables)


def _gateways(host_at: int | Sequence[int] | None) -> tuple[int, ...]:
    if host_at is None:
        return ()
    return (host_at,) if isinstance(host_at, int) else tuple(host_at)


def _host_links(
    topology: Topology, world_size: int, gateways: Sequence[int]
) -> tuple[LinkTable, ...]:
    behind = dict.fromkeys(gateways, 0)
    for rank in range(world_size):
        behind[gateway_of(topology, world_size, gateways, rank)] |= 1 << rank
    return tuple(LinkTable(gateway, ranks) for gateway, ranks in behind.items())


def gateway_of(topology: Topology, world_size: int, gateways: Sequence[int], rank: int) -> int:
    """The gateway by which the host reaches a device: the nearest, of equals the first."""
    if rank in gateways:
        return rank
    return min(
        gateways, key=lambda gateway: _hops_and_first(topology, world_size, gateway, rank)[0]
    )


def _nearest_gateway(
    topology: Topology, world_size: int, gateways: Sequence[int], rank: int
) -> int:
    """The gateway by which a device reaches the host: each hop brings it nearer to one."""
    return min(
        gateways, key=lambda gateway: _hops_and_first(topology, world_size, rank, gateway)[0]
    )


FIRST_LANE = -1
"""The lane of messages that end at the first gateway; further gateways have those below.

They leave before those of all others: they take none of a gateway's wires, but would be held up by
frames that wait for one: these fill the gateway's slots, and then the host may send nothing at all.
"""


def nearest(
    topology: Topology, world_size: int, gateways: int | Sequence[int], ranks: Iterable[int]
) -> tuple[int, int]:
    """Of the ways from the host's gateways to some ranks the shortest: how many wires, its lane.

    A lane is named by the gateway's neighbour on the way; to the gateway itself: (0, FIRST_LANE).
    """
    return min(_way(topology, world_size, _gateways(gateways), rank) for rank in ranks)


def _way(
    topology: Topology, world_size: int, gateways: Sequence[int], rank: int
) -> tuple[int, int]:
    gateway = gateway_of(topology, world_size, gateways, rank)
    hops, first = _hops_and_first(topology, world_size, gateway, rank)
    index = gateways.index(gateway)
    return hops, FIRST_LANE - index if hops == 0 else first + MAX_NODES * index


def _hops_and_first(topology: Topology, world_size: int, source: int, to: int) -> tuple[int, int]:
    """Wires on the way between two devices, and the first one's other end."""
    at, hops, first = source, 0, source
    while at != to:
        at = _next_hop(topology, world_size, at, to)
        first = at if hops == 0 else first
        hops += 1
    return hops, first


def _check_link_counts(topology: Topology, tables: Sequence[tuple[LinkTable, ...]]) -> None:
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


PREVIOUS_PORT = 0
NEXT_PORT = 1
HOST_PORT = -1


def port_to(topology: Topology, world_size: int, rank: int, peer: int) -> int:
    """The port of ``rank``'s board that leads to its neighbour ``peer``; HOST_PORT for the host."""
    if peer == world_size:
        return HOST_PORT
    if topology is Topology.STAR:
        return peer - 1 if rank == 0 else PREVIOUS_PORT
    if topology is Topology.BUS:  # the others in the order of their ranks
        return peer if peer < rank else peer - 1
    is_next = peer == rank + 1 or (peer == 0 and rank == world_size - 1 and world_size > 2)
    return NEXT_PORT if is_next else PREVIOUS_PORT
