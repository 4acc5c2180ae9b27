# SPDX-License-Identifier: Apache-2.0
"""Arenas in several memories: sound, within their rooms, what TFLM takes; wrong ones are found."""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.memory.measuring import graphs, measured, moving_graphs
from tests.splits import tiny
from tflsplit.cluster import default_cluster
from tflsplit.cluster.banks import Bank
from tflsplit.errors import ModelError
from tflsplit.ir import Graph
from tflsplit.memory import plan_violations, predict_arena, tensor_order
from tflsplit.memory.arena import KERNEL_FLAVOURS
from tflsplit.memory.banks import (
    BANKS_NAME,
    bank_of,
    bank_starts,
    banked_values,
    crossings,
    starts_blob,
)
from tflsplit.memory.offline import METADATA_NAME, offline_offsets, offsets_blob
from tflsplit.memory.spread import spread
from tflsplit.plan.cost.banks import banks_us
from tflsplit.plan.wishes import Wishes
from tflsplit.rewriting.rewrite import split_model
from tflsplit.verify.replay import Replay


def check(graph: Graph, rooms: tuple[int, ...]) -> Graph:
    """The graph over several memories, after all that can be said of any."""
    made = spread(graph, rooms)
    if made is graph:
        return made
    starts = bank_starts(made)
    assert len(starts) == len(rooms) - 1
    for kernels in KERNEL_FLAVOURS:
        arena = predict_arena(made, kernels=kernels)
        assert plan_violations(made, arena.plan, arena.head_bytes) == []
        assert crossings(arena.plan, starts) == []
        assert list(accumulate((starts[0], *arena.banks_bytes)))[:-1] == list(starts)
        if all(buffer.value is not None for buffer in arena.plan.offsets):
            assert all(map(int.__le__, arena.banks_bytes[:-1], rooms[1:])), "the last may overflow"
    return made


@settings(max_examples=40)
@given(graphs(), st.integers(0, 4000), st.lists(st.integers(0, 60), min_size=1, max_size=3))
def test_any_graph_in_any_rooms(graph: Graph, main_bytes: int, banks: list[int]):
    made = check(graph, (main_bytes, *(16 * bank for bank in banks)))
    if made is not graph:  # in one piece TFLM takes the offsets as they are
        assert measured(made).head_bytes == predict_arena(made).head_bytes


@settings(max_examples=30)
@given(moving_graphs(), st.integers(0, 200))
def test_what_moves_rows_finds_them(made, main_bytes: int):
    graph, values = made
    banked = check(graph, (700 + 16 * main_bytes, 64, 1 << 20))
    assert Replay(banked, predict_arena(banked).plan).problems(values) == []


@pytest.fixture(scope="module")
def network() -> Graph:
    return split_model(tiny("mobilenet"), Wishes(1, fuse=True)).devices[0].graph


@pytest.fixture(scope="module")
def banked(network: Graph) -> Graph:
    """In a main RAM of two thirds of what the network needs."""
    return check(network, (2 * predict_arena(network).required_bytes // 3, 1 << 20))


def test_a_network_fits_where_it_did_not(network: Graph, banked: Graph):
    whole, arena = predict_arena(network), predict_arena(banked)
    room = 2 * whole.required_bytes // 3
    assert whole.main_bytes == whole.required_bytes > room >= arena.main_bytes
    assert whole.short_bytes((room, 1 << 20)) == whole.required_bytes - room
    assert arena.short_bytes((room, *arena.banks_bytes)) == 0
    assert arena.short_bytes((arena.main_bytes - 16, arena.banks_bytes[0] - 32)) == 48
    assert arena.short_bytes((arena.required_bytes,)) == 0, "in one piece"
    assert banked_values(banked)
    assert not any(
        bank_of(at, bank_starts(banked))
        for buffer, at in arena.plan.offsets.items()
        if buffer.value is None
    ), "scratch stays"


def test_one_memory_that_is_large_enough_changes_nothing(network: Graph):
    needed = predict_arena(network).required_bytes
    assert spread(network, (needed + 4096, 1 << 20)) is network
    assert spread(network, (16,)) is network


def test_the_checker_finds_a_tensor_across_a_start(banked: Graph):
    (start,) = bank_starts(banked)
    for moved in (start - 16, start + 16):
        other = replace(banked, metadata={**banked.metadata, BANKS_NAME: starts_blob([moved])})
        found = predict_arena(other)
        assert (
            crossings(found.plan, [moved]) or found.banks_bytes != predict_arena(banked).banks_bytes
        )
    order = tensor_order(banked)
    offsets = offline_offsets(banked, order)
    value = next(iter(banked_values(banked)))
    offsets[value] = start - 16
    wrong = replace(
        banked, metadata={**banked.metadata, METADATA_NAME: offsets_blob(offsets, order)}
    )
    arena = predict_arena(wrong)
    assert any(value.name in text for text in crossings(arena.plan, [start]))


@pytest.mark.parametrize(
    "words", [[], [1], [2, 1, 16], [1, 2, 16], [1, 1, 8], [1, 2, 32, 16], [1, 0], [1, -1]]
)
def test_damaged_metadata_is_refused(banked: Graph, words: list[int]):
    blob = np.array(words, "<i4").tobytes()
    with pytest.raises(ModelError, match="TFLSPLIT_BANKS is damaged"):
        bank_starts(replace(banked, metadata={**banked.metadata, BANKS_NAME: blob}))


def test_bytes_in_a_bank_cost_what_it_says(banked: Graph):
    device = replace(
        default_cluster(1).devices[0], banks=(Bank("slow", 1 << 20, 2.0, 3.0),), clock_hz=1_000_000
    )
    waits, places = banks_us(banked, device), banked_values(banked)
    for node in banked.nodes:
        read = sum(v.size_bytes for v in set(node.operands) if v in places)
        written = sum(v.size_bytes for v in node.outputs if v in places)
        assert waits.get(node, 0.0) == pytest.approx(2 * read + 3 * written)
    assert sum(waits.values()) > 0
    assert banks_us(banked, replace(device, banks=())) == {}
