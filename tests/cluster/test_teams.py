# SPDX-License-Identifier: Apache-2.0
"""Equal teams of a cluster's devices."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tflsplit.cluster import Cluster, Topology, default_cluster, parse_cluster
from tflsplit.cluster.teams import team_of, teams_of
from tflsplit.errors import ClusterError

MIXED = """
gateway_rank = 5
[[device]]
board = "teensy41"
count = 4
[[device]]
board = "pico"
count = 3
"""


def sizes(cluster: Cluster) -> list[tuple[int, int]]:
    return [(team.teams, team.world_size) for team, _ in teams_of(cluster)]


def test_every_size_once_and_with_as_many_teams_as_there_can_be():
    assert sizes(default_cluster(8)) == [(8, 1), (4, 2), (2, 4), (1, 8)]
    assert sizes(default_cluster(7)) == [(7, 1), (3, 2), (2, 3), (1, 7)]
    assert sizes(default_cluster(1)) == [(1, 1)]


def test_a_team_of_a_ring_is_a_ring():
    found = team_of(default_cluster(7), 3)
    assert found is not None
    assert found == (replace(default_cluster(2), teams=3), (2, 3, 4, 5, 6))


def test_kinds_of_devices_are_shared_out_evenly_and_the_gateway_stays():
    found = {team.teams: (team, left_out) for team, left_out in teams_of(parse_cluster(MIXED))}
    assert [*found] == [3, 2, 1]
    team, left_out = found[3]
    assert [device.board for device in team.devices] == ["teensy41", "pico"]
    assert team.input_rank == team.output_rank == 1
    assert left_out == (1, 2, 3, 4, 6)
    assert [device.board for device in found[2][0].devices] == ["teensy41"] * 2 + ["pico"]


def test_a_star_keeps_its_middle():
    star = replace(default_cluster(6), topology=Topology.STAR, input_rank=3, output_rank=3)
    found = team_of(star, 3)
    assert found is not None
    assert found[1] == (1, 2, 4, 5)
    assert team_of(star, 6) is None


def test_wires_that_differ_or_are_shared_make_one_team():
    bus = parse_cluster(
        'topology = "bus"\n[link]\nkind = "ethernet"\n[[device]]\nboard = "pico"\ncount = 4'
    )
    assert sizes(bus) == [(1, 4)]
    wire = "[[wire]]\nranks = [0, 1]\nbaud = 9600\n"
    assert sizes(parse_cluster(wire + '[[device]]\nboard = "pico"\ncount = 4')) == [(1, 4)]
    sensor = replace(default_cluster(4), input_rank=1)
    assert sizes(sensor) == [(1, 4)]


@pytest.mark.parametrize("teams", [0, 65])
def test_how_many_there_can_be(teams: int):
    with pytest.raises(ClusterError, match="1 to 64 teams"):
        replace(default_cluster(1), teams=teams)
