# SPDX-License-Identifier: Apache-2.0
"""Plans for devices with banks: none is used in vain, each counts, and slow ones are avoided."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.splits import tiny
from tflsplit.cluster import Cluster, default_cluster, read_cluster
from tflsplit.cluster.banks import Bank
from tflsplit.ir import Graph
from tflsplit.memory import predict_arena
from tflsplit.passes.prepare import prepare
from tflsplit.planner import Planned, Planner
from tflsplit.planner.best import best_plan
from tflsplit.rewriting.chooser import Chooser
from tflsplit.rewriting.rewrite import split_model

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "banks.toml"


def cluster(arena_bytes: int, *banks: Bank, devices: int = 1) -> Cluster:
    """Devices whose main RAM has so much room for the arena."""
    plain = default_cluster(devices)
    boards = tuple(
        replace(d, ram_bytes=arena_bytes + plain.reserved_bytes(r), banks=banks)
        for r, d in enumerate(plain.devices)
    )
    return replace(plain, devices=boards, links_given=True)


def planned(graph: Graph, of: Cluster, objective: str = "latency") -> Planned:
    return best_plan(graph, of, objective)[1]


@pytest.fixture(scope="module")
def graph() -> Graph:
    return prepare(tiny("mobilenet"))


@pytest.fixture(scope="module")
def alone(graph: Graph) -> Planned:
    """The least RAM of one device."""
    return planned(graph, cluster(1 << 20), "ram")


def banks_of(found: Planned) -> list[tuple[int, ...]]:
    return [arena.banks_bytes for arena in found.arenas]


@pytest.mark.parametrize("objective", ["latency", "ram", "bytes"])
def test_a_bank_makes_room_for_what_did_not_fit(graph: Graph, alone: Planned, objective: str):
    room = alone.arena_bytes - 500
    assert Planner(graph, cluster(room)).find(objective) is None
    found = planned(graph, cluster(room, Bank("slow", 1 << 20)), objective)
    assert found.fits(found.cluster)
    assert banks_of(found)[0][0] > 0
    assert found.arenas[0].main_bytes <= room
    assert Planner(graph, cluster(room, Bank("small", 32))).find(objective) is None


def test_no_bank_is_used_in_vain(graph: Graph, alone: Planned):
    found = planned(graph, cluster(alone.arena_bytes, Bank("slow", 1 << 20)), "ram")
    assert banks_of(found) == [()]
    assert found.arena_bytes == alone.arena_bytes
    assert found.cluster.devices[0].banks, "they are there all the same"


def test_the_quicker_of_both_is_taken(graph: Graph, alone: Planned):
    """Where all in the main RAM takes longer than a bank costs, the bank is used, and only then."""
    room = alone.arena_bytes
    without = planned(graph, cluster(room))
    quick = planned(graph, cluster(room, Bank("bank", 1 << 20)))
    slow = planned(graph, cluster(room, Bank("bank", 1 << 20, 1e4, 1e4)))
    assert quick.latency_us <= without.latency_us
    assert slow.latency_us == without.latency_us
    assert banks_of(slow) == [()]


def test_a_slow_bank_is_not_used_where_the_first_is_enough(graph: Graph, alone: Planned):
    near, far = Bank("near", 1 << 20, 1.0, 1.0), Bank("far", 1 << 20, 50.0, 50.0)
    found = planned(graph, cluster(alone.arena_bytes - 500, near, far))
    only = planned(graph, cluster(alone.arena_bytes - 500, near))
    assert found.latency_us == only.latency_us
    assert len(found.plan.arena_rooms[0]) == 3
    # As rewrite makes it, with all rooms.
    written = predict_arena(found.devices[0].graph, kernels="cmsis_nn")
    assert (written.main_bytes, *written.banks_bytes) == (
        only.arenas[0].main_bytes,
        *only.arenas[0].banks_bytes,
        0,
    )


def test_what_a_bank_costs_is_in_the_simulated_latency(graph: Graph, alone: Planned):
    room = alone.arena_bytes - 500
    free = planned(graph, cluster(room, Bank("bank", 1 << 20)))
    dear = planned(graph, cluster(room, Bank("bank", 1 << 20, 20.0, 20.0)))
    assert dear.latency_us > free.latency_us


def test_the_example(graph: Graph):
    chooser = Chooser(read_cluster(EXAMPLE))
    split = split_model(tiny("mobilenet"), chooser)
    assert len(split.plan.arena_rooms) == split.plan.world_size
    assert [bank.section for bank in read_cluster(EXAMPLE).devices[2].banks] == [".sdram"]
