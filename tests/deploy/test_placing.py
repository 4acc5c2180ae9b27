# SPDX-License-Identifier: Apache-2.0
"""Ranks by position: any plan's wires on any cables."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.deploy.boards import identity_of
from tflsplit.deploy.placing import Placement, place
from tflsplit.deploy.session import adoptions, tree_of
from tflsplit.deploy.survey import HOST_PORT
from tflsplit.deploy.wiring import Cable, FoundBoard, Wiring
from tflsplit.errors import ClusterError
from tflsplit.wire.topology import Topology

RING, LINE, STAR = Topology.RING, Topology.LINE, Topology.STAR


def wiring_of(size: int, cables: list[tuple[int, int, int, int]], kind: bytes = b"x") -> Wiring:
    boards = tuple(
        FoundBoard(replace(identity_of(str(i)), board=kind), 0, bytes(i)) for i in range(size)
    )
    return Wiring(boards, tuple(Cable(*cable) for cable in cables))


def ring(size: int) -> list[tuple[int, int, int, int]]:
    return [(i, 1, (i + 1) % size, 0) for i in range(size)]


def test_ring_as_it_is_meant():
    found = place(wiring_of(8, ring(8)), RING, ["x"] * 8, 0)
    assert found.boards == tuple(range(8))
    assert found.ports[0, 1] == 1
    assert found.ports[0, 7] == 0


def test_gateway_is_the_board_at_the_port():
    assert place(wiring_of(4, ring(4)), RING, ["x"] * 4, 2).boards == (2, 3, 0, 1)


def test_crossed_cables_of_a_ring():
    cables = [(0, 1, 1, 1), (1, 0, 2, 0), (2, 1, 0, 0)]
    found = place(wiring_of(3, cables), RING, ["x"] * 3, 0)
    assert found.boards == (0, 1, 2)
    assert found.ports == {(0, 1): 1, (1, 0): 1, (1, 2): 0, (2, 1): 0, (2, 0): 1, (0, 2): 0}


def test_line_on_a_ring_and_a_short_plan_on_a_long_line():
    assert place(wiring_of(4, ring(4)), LINE, ["x"] * 4, 1).boards == (3, 0, 1, 2)
    line = [(i, 1, i + 1, 0) for i in range(5)]
    assert place(wiring_of(6, line), LINE, ["x"] * 3, 0).boards == (0, 1, 2)
    assert place(wiring_of(6, ring(6)), RING, ["x"] * 2, 0).boards == (0, 1)


def test_star():
    cables = [(1, port, leaf, 0) for port, leaf in enumerate((0, 2, 3))]
    assert place(wiring_of(4, cables), STAR, ["x"] * 4, 1).boards[:2] == (1, 0)


def test_kinds_turn_a_ring_round():
    wiring = wiring_of(3, ring(3))
    boards = list(wiring.boards)
    boards[2] = replace(boards[2], identity=replace(boards[2].identity, board=b"y"))
    wiring = replace(wiring, boards=tuple(boards))
    assert place(wiring, RING, ["x", "x", "y"], 0).boards == (0, 1, 2)
    assert place(wiring, RING, ["x", "y", "x"], 0).boards == (0, 2, 1)
    said = r"rank 0 is planned for y, board A is x; rank 2 .* board C is y: .*--board x,x,y"
    with pytest.raises(ClusterError, match=said):
        place(wiring, RING, ["y", "x", "x"], 0)


def test_what_does_not_fit_is_said():
    line = [(i, 1, i + 1, 0) for i in range(3)]
    with pytest.raises(ClusterError, match=r"plan is for a ring of 4 boards .* a line of 4 boards"):
        place(wiring_of(4, line), RING, ["x"] * 4, 0)
    with pytest.raises(ClusterError, match=r"a line of 4 boards with the host at rank 0, but"):
        place(replace(wiring_of(4, line), gateways=(1,)), LINE, ["x"] * 4, 0)
    with pytest.raises(
        ClusterError, match="plan is for 5 devices, but a line of 4 boards is there"
    ):
        place(wiring_of(4, line), LINE, ["x"] * 5, 0)
    with pytest.raises(ClusterError, match="chip 00"):
        place(replace(wiring_of(1, []), problems=("chip 00",)), LINE, ["x"], 0)


def test_adoptions_are_a_tree_whose_routes_reach_everybody_once():
    placement = place(wiring_of(8, ring(8)), RING, ["x"] * 8, 3)
    told = adoptions(placement, tree_of(placement, 3), bytes(16), 512, 20_000)
    for rank, one in enumerate(told):
        reached = [link.destinations for link in one.links]
        assert sum(reached) == (1 << 9) - 1 - (1 << rank)
        assert len({link.port for link in one.links}) == len(one.links)
        for link in one.links:
            if link.port == HOST_PORT:
                assert (rank, link.peer) == (3, 8)
            else:
                back = next(own for own in told[link.peer].links if own.peer == rank)
                assert back.destinations | link.destinations == (1 << 9) - 1
    assert max(len(one.links) for one in told) == 3


def test_single_board():
    placement = Placement((0,), {})
    (told,) = adoptions(placement, tree_of(placement, 0), bytes(16), 512, 20_000)
    assert [(link.port, link.peer, link.destinations) for link in told.links] == [(255, 1, 2)]
