# SPDX-License-Identifier: Apache-2.0
"""The overlap checker finds what is planted, and nothing in a sound plan."""

from dataclasses import replace

import numpy as np
import pytest

from tests.memory.op_cases import I32, constant, integers, tensor
from tests.memory.test_aliases import concatenation, node, recv, rows
from tflsplit.ir import Graph, Node, Value
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


# ---- Tensors over each other ----

ROW = 48


def over_each_other(made: Node, *places: int) -> list[str]:
    """A plan with the tensors of one node, in the order of the node, at ``places``."""
    values = [v for v in dict.fromkeys((*made.operands, *made.outputs)) if not v.is_constant]
    graph = Graph("g", tuple(v for v in values if v not in made.outputs), made.outputs, [made])
    for index, value in enumerate(graph.values()):
        value.name = f"t{index}"
    buffers = {each.value: each for each in predict_arena(graph).plan.offsets}
    chosen = {buffers[value]: at for value, at in zip(values, places, strict=True)}
    return plan_violations(graph, ArenaPlan(chosen))


SOUND = {
    "recv in the middle": (recv(rows(4, 8), rows(3, 9)), (ROW, 0)),
    "recv at the front": (recv(rows(4, 8), rows(4, 9)), (0, 0)),
    "recv that overhangs": (recv(rows(4, 8), rows(5, 9)), (0, ROW)),
    "concatenation": (concatenation(1, *(tensor((1, 2, 16)) for _ in "ab")), (0, 32, 0)),
    "one part of it": (concatenation(1, *(tensor((1, 2, 16)) for _ in "ab")), (64, 32, 0)),
    "slice": (
        node("SLICE", (tensor((9, 16)), integers(2, 0), integers(3, 16)), tensor((3, 16))),
        (0, 32),
    ),
    "split": (node("SPLIT", (integers(0), tensor((4, 16))), *(tensor((2, 16)) for _ in "ab")),
              (0, 0, 32)),
    "reshape": (node("RESHAPE", (tensor((4, 16)), integers(64)), tensor((64,))), (0, 0)),
}  # fmt: skip


@pytest.mark.parametrize("name", SOUND)
def test_what_holds_the_same_may_share_bytes(name):
    made, places = SOUND[name]
    assert over_each_other(made, *places) == []


@pytest.mark.parametrize("step", [-16, 16])
@pytest.mark.parametrize("name", [name for name in SOUND if name != "one part of it"])
def test_the_same_places_a_step_aside_are_found(name, step):
    """Every tensor, one after the other, moved by as little as can be.

    A slice may lie lower than what it is of: it is written after that was read (test_movers.py).
    """
    made, places = SOUND[name]
    for index in range(len(places)):
        moved = [at + 160 + (step if i == index else 0) for i, at in enumerate(places)]
        is_lower = moved[-1] - places[-1] < moved[0] - places[0]
        found = any("share bytes at step" in text for text in over_each_other(made, *moved))
        assert found != (name == "slice" and is_lower)


@pytest.mark.parametrize("step", [-8, -1, 1, 8])
def test_a_member_off_the_boundary_is_found(step):
    made, places = SOUND["recv in the middle"]
    problems = over_each_other(made, places[0] + 160 + step, places[1] + 160 + step)
    assert len([text for text in problems if "16-byte boundary" in text]) == 2


@pytest.mark.parametrize(
    ("made", "places"),
    [
        (recv(rows(4, 8), rows(4, 8), add=True), (0, 0)),
        # Row 7 of the shard is there, but a piece is written over it.
        (recv(rows(4, 8), rows(3, 9), local=rows(4, 7)), (ROW, 0)),
        (concatenation(2, *(tensor((1, 2, 16)) for _ in "ab")), (0, 32, 0)),
        (concatenation(0, *(tensor((1, 2, 16)) for _ in "ab"), activation=1), (0, 32, 0)),
        (node("SLICE", (tensor((9, 16)), integers(0, 2), integers(9, 3)), tensor((9, 3))), (0, 16)),
        (node("SLICE", (tensor((9, 16)), tensor((2,), I32), integers(3, 16)), tensor((3, 16))),
         (0, 160, 0)),
        (node("SPLIT", (integers(1), tensor((4, 16))), *(tensor((4, 8)) for _ in "ab")),
         (0, 0, 32)),
        (node("RESHAPE", (tensor((16,), I32), integers(64)), tensor((64,))), (0, 0)),
        (node("FLOOR", (tensor((64,)),), tensor((64,))), (0, 0)),
    ],
    ids=[
        "sum", "piece over the shard", "axis", "activation", "columns", "computed begin", "split",
        "dtype", "computes",
    ],
)  # fmt: skip
def test_what_only_looks_the_same_is_found(made, places):
    assert any("share bytes at step" in text for text in over_each_other(made, *places))


def test_what_was_the_same_but_is_overwritten_meanwhile_is_found():
    """x in y, soundly; z, computed while x is still read, in the rest of x."""
    made = recv(rows(4, 8), rows(5, 8))
    x, y, z, end = made.input(0), made.output, tensor((ROW,)), tensor((1,))
    nodes = [made, node("FLOOR", (y,), z), node("FLOOR", (x, z), end)]
    graph = Graph("g", (x,), (end,), nodes)
    for index, value in enumerate(graph.values()):
        value.name = f"t{index}"
    buffers = {each.value: each for each in predict_arena(graph).plan.offsets}

    def found(at: int) -> list[str]:
        places = {x: 0, y: ROW, z: at, end: 480}
        return plan_violations(graph, ArenaPlan({buffers[v]: to for v, to in places.items()}))

    assert found(4 * ROW) == []
    (problem,) = found(0)
    assert problem.startswith("t0 [0, 192) and t2 [0, 48) share bytes at step 2")


def test_scratch_is_never_the_same_as_anything():
    made, _ = SOUND["reshape"]
    x: Value = made.input(0)
    plan = ArenaPlan({Buffer(64, 0, 1, x, "x"): 0, Buffer(64, 1, 1, None, "scratch"): 0})
    graph = Graph("g", (x,), (made.output,), [made])
    assert any("share bytes" in text for text in plan_violations(graph, plan))


def test_a_constant_is_no_part_of_the_arena_it_is_copied_to():
    stored = constant(np.zeros((1, 2, 16), np.int8), (0.5,))
    assert over_each_other(concatenation(1, tensor((1, 2, 16)), stored), 0, 0) == []
