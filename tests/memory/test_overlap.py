# SPDX-License-Identifier: Apache-2.0
"""The overlap checker finds what is planted, and nothing in a sound plan."""

from dataclasses import replace

import pytest

from tests.memory.op_cases import tensor
from tflsplit.ir import Graph, Node
from tflsplit.memory import ArenaPlan, Buffer, plan_violations, predict_arena
from tflsplit.memory.overlap import overlap_violations


def buffer(name, size, first, last):
    return Buffer(size, first, last, None, name)


def test_buffers_that_share_bytes_but_never_time_are_sound():
    plan = ArenaPlan({buffer("a", 32, 0, 1): 0, buffer("b", 32, 2, 3): 16})
    assert overlap_violations(plan) == []


def test_neighbours_in_memory_are_sound():
    plan = ArenaPlan({buffer("a", 32, 0, 3): 0, buffer("b", 32, 2, 3): 32})
    assert overlap_violations(plan) == []


@pytest.mark.parametrize("at", [0, 16, 32, 48])
def test_one_shared_byte_is_found_whatever_the_order(at):
    a, b = buffer("a", 64, 0, 2), buffer("b", 16, 2, 5)
    for pair in ({a: 0, b: at}, {b: at, a: 0}):
        (problem,) = overlap_violations(ArenaPlan(pair))
        assert "step 2" in problem
        assert "a [0, 64)" in problem


def test_every_collision_is_reported_once():
    buffers = {buffer(name, 32, 0, 4): 0 for name in "abc"}
    assert len(overlap_violations(ArenaPlan(buffers))) == 3


def test_a_long_buffer_hides_no_collision_behind_a_short_one():
    buffers = {buffer("long", 96, 0, 4): 0, buffer("x", 16, 0, 4): 16, buffer("y", 16, 0, 4): 64}
    problems = overlap_violations(ArenaPlan(buffers))
    assert sorted(problem.split()[4] for problem in problems) == ["x", "y"]


@pytest.mark.parametrize("at", [-16, 8, 1])
def test_offsets_that_no_device_can_use(at):
    (problem,) = overlap_violations(ArenaPlan({buffer("a", 32, 0, 1): at}))
    assert "a starts at" in problem


def test_a_buffer_beyond_the_head():
    assert overlap_violations(ArenaPlan({buffer("a", 32, 0, 1): 16}), 48) == []
    (problem,) = overlap_violations(ArenaPlan({buffer("a", 32, 0, 1): 16}), 47)
    assert "ends at 48" in problem


def two_nodes():
    x, a, y = tensor((20,)), tensor((40,)), tensor((30,))
    nodes = [Node("FLOOR", (x,), (a,), name="n0"), Node("FLOOR", (a,), (y,), name="n1")]
    return Graph("g", (x,), (y,), nodes), (x, a, y)


def spoiled(graph, value, **changes):
    """The graph's own plan with one buffer changed."""
    plan = predict_arena(graph).plan
    return ArenaPlan(
        {replace(b, **changes) if b.value is value else b: at for b, at in plan.offsets.items()}
    )


def test_the_plan_of_a_graph_is_sound():
    graph, _ = two_nodes()
    assert plan_violations(graph, predict_arena(graph).plan) == []


def test_a_value_without_a_place():
    graph, (_, a, _) = two_nodes()
    plan = predict_arena(graph).plan
    without = ArenaPlan({b: at for b, at in plan.offsets.items() if b.value is not a})
    assert any("has no place" in problem for problem in plan_violations(graph, without))


def test_a_place_that_is_too_small():
    graph, (_, a, _) = two_nodes()
    problems = plan_violations(graph, spoiled(graph, a, size_bytes=32))
    assert any("has 32 of 40 bytes" in problem for problem in problems)


@pytest.mark.parametrize(
    ("which", "changes"),
    [(1, {"last": 1}), (1, {"first": 2}), (0, {"first": 1}), (2, {"first": 1, "last": 1})],
)
def test_a_span_that_leaves_out_a_use(which, changes):
    graph, values = two_nodes()
    problems = plan_violations(graph, spoiled(graph, values[which], **changes))
    assert any(values[which].name in problem for problem in problems)
