# SPDX-License-Identifier: Apache-2.0
"""The greedy planner: cases worked out by hand, and TFLM itself on random graphs."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.memory.measuring import graphs, measured
from tflsplit.memory import HOST_64, Buffer, peak_live_bytes, plan_violations, predict_arena
from tflsplit.memory.greedy import greedy_plan
from tflsplit.memory.overlap import overlap_violations


def buffer(size, first, last, offset=None):
    return Buffer(size, first, last, None, f"{size}@{first}-{last}", offset)


def offsets(*buffers):
    plan = greedy_plan(buffers)
    return [plan.offsets[b] for b in buffers], plan.head_bytes


def test_nothing_needs_nothing():
    assert offsets() == ([], 0)


def test_larger_buffers_are_placed_first():
    assert offsets(buffer(16, 0, 1), buffer(64, 0, 1), buffer(32, 0, 1)) == ([96, 0, 64], 112)


def test_of_equal_buffers_the_last_added_is_placed_first():
    assert offsets(buffer(32, 0, 1), buffer(32, 0, 1), buffer(32, 1, 2)) == ([64, 32, 0], 96)


def test_memory_is_used_again_when_its_owner_is_dead():
    assert offsets(buffer(64, 0, 1), buffer(48, 2, 3), buffer(32, 1, 2)) == ([0, 0, 64], 96)


def test_the_first_gap_that_is_large_enough_is_taken():
    # 0..64 until step 1, then 64..112 from step 1 to 3: at step 2 there is a gap of 64 at 0.
    plan = offsets(buffer(64, 0, 1), buffer(48, 1, 3), buffer(32, 2, 2), buffer(32, 2, 2))
    assert plan == ([0, 64, 32, 0], 112)


def test_a_gap_that_is_too_small_is_left():
    fixed = [buffer(16, 0, 9, 0), buffer(16, 0, 9, 32)]
    assert offsets(*fixed, buffer(32, 0, 9))[0][2] == 48
    assert offsets(*fixed, buffer(16, 0, 9))[0][2] == 16


def test_fixed_offsets_are_taken_as_they_are_even_where_they_collide():
    plan = greedy_plan([buffer(32, 0, 1, 16), buffer(32, 1, 2, 16)])
    assert list(plan.offsets.values()) == [16, 16]
    assert plan.head_bytes == 48


@given(
    st.lists(
        st.tuples(st.sampled_from([16, 16, 32, 48, 160]), st.integers(0, 9), st.integers(0, 9)),
        max_size=25,
    )
)
def test_no_plan_collides_and_none_is_smaller_than_what_is_live(entries):
    buffers = [buffer(size, min(a, b), max(a, b)) for size, a, b in entries]
    plan = greedy_plan(buffers)
    assert overlap_violations(plan, plan.head_bytes) == []
    for time in range(10):
        live = sum(b.size_bytes for b in buffers if b.first <= time <= b.last)
        assert live <= plan.head_bytes <= sum(b.size_bytes for b in buffers)


@settings(max_examples=150)
@given(graphs())
def test_the_arena_of_random_graphs_is_tflms(graph):
    estimate = predict_arena(graph, HOST_64, recording=True)
    measurement = measured(graph)
    assert estimate.head_bytes == measurement.head_bytes
    assert estimate.tail_bytes == measurement.tail_bytes
    assert estimate.head_bytes >= peak_live_bytes(graph)
    assert plan_violations(graph, estimate.plan, estimate.head_bytes) == []
