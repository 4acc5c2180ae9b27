# SPDX-License-Identifier: Apache-2.0
"""Every rank reaches every other over the tables, by the shortest way, without going back."""

from __future__ import annotations

import pytest

from tflsplit.errors import ClusterError
from tflsplit.wire.topology import (
    FIRST_LANE,
    NO_LINK,
    LinkTable,
    Topology,
    link_tables,
    nearest,
)


def walk(tables: tuple[tuple[LinkTable, ...], ...], source: int, to: int) -> list[int]:
    path = [source]
    while path[-1] != to:
        ways = [link for link in tables[path[-1]] if link.destinations >> to & 1]
        assert len(ways) == 1
        path.append(ways[0].peer_rank)
        assert len(path) <= len(tables) + 1
    return path


@pytest.mark.parametrize("host_at", [None, 0, 1, (1, 0), "all"])
@pytest.mark.parametrize("world_size", range(2, 10))
@pytest.mark.parametrize("topology", Topology)
def test_all_reach_all(topology: Topology, world_size: int, host_at):
    host_at = tuple(range(world_size)) if host_at == "all" else host_at
    tables = link_tables(topology, world_size, host_at)
    for source in range(len(tables)):
        assert not any(link.destinations >> source & 1 for link in tables[source])
        for to in range(len(tables)):
            path = walk(tables, source, to)
            assert len(set(path)) == len(path)
            if topology is Topology.RING and source < world_size and to < world_size:
                distance = min((to - source) % world_size, (source - to) % world_size)
                assert len(path) - 1 == distance


@pytest.mark.parametrize("world_size", [4, 6, 8])
def test_opposite_ranks_load_both_directions_equally(world_size: int):
    tables = link_tables(Topology.RING, world_size)
    first_hops = [walk(tables, r, (r + world_size // 2) % world_size)[1] for r in range(world_size)]
    clockwise = sum(hop == (r + 1) % world_size for r, hop in enumerate(first_hops))
    assert clockwise == world_size // 2


def test_on_a_bus_everyone_is_a_neighbour():
    tables = link_tables(Topology.BUS, 5, host_at=1)
    assert all(len(walk(tables, a, b)) == 2 for a in range(5) for b in range(5) if a != b)
    assert [link.peer_rank for link in tables[1]] == [0, 2, 3, 4, 5]


def test_ring_links_continue_into_each_other_and_a_host_does_not():
    tables = link_tables(Topology.RING, 4, host_at=2)
    assert [link.ring_next for link in tables[2]] == [1, 0, NO_LINK]
    assert [link.ring_next for link in link_tables(Topology.RING, 2)[0]] == [NO_LINK]


def test_a_host_at_every_rank_is_one_hop_from_all():
    tables = link_tables(Topology.RING, 4, host_at=(0, 1, 2, 3))
    assert tables[4] == tuple(LinkTable(rank, 1 << rank) for rank in range(4))
    assert all(links[-1] == LinkTable(4, 1 << 4) for links in tables[:4])


def test_of_several_gateways_the_nearest_serves():
    tables = link_tables(Topology.LINE, 6, host_at=(4, 1))
    assert [(link.peer_rank, link.destinations) for link in tables[6]] == [
        (4, 0b111000),
        (1, 0b000111),
    ]
    assert walk(tables, 0, 6) == [0, 1, 6]
    assert walk(tables, 5, 6) == [5, 4, 6]
    assert nearest(Topology.LINE, 6, (4, 1), [0, 5]) == (1, 5)
    assert nearest(Topology.LINE, 6, (4, 1), [1]) == (0, FIRST_LANE - 1)


def test_too_many_ranks_and_a_wrong_gateway():
    with pytest.raises(ClusterError, match="65 ranks"):
        link_tables(Topology.LINE, 64, host_at=0)
    with pytest.raises(ClusterError, match="rank 4"):
        link_tables(Topology.LINE, 4, host_at=4)
    assert len(link_tables(Topology.RING, 64)) == 64
    for topology in (Topology.STAR, Topology.BUS):
        assert len(link_tables(topology, 17)) == 17
        with pytest.raises(ClusterError, match=r"rank 0 .* 17 links"):
            link_tables(topology, 18)
