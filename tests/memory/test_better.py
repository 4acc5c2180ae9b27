# SPDX-License-Identifier: Apache-2.0
"""Planned heads: never larger than TFLM's, sound, and what TFLM itself takes."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.memory.measuring import graphs, measured, moving_graphs
from tests.memory.op_cases import tensor
from tests.memory.test_aliases import concatenation, recv, rows
from tflsplit.ir import DType, Graph, Node, Value
from tflsplit.memory import Buffer, live_bytes_over_time, plan_violations, predict_arena
from tflsplit.memory.aliases import find_ties
from tflsplit.memory.better import best_plan, plan_offline
from tflsplit.memory.greedy import greedy_plan
from tflsplit.memory.groups import peak_bytes, single, tied
from tflsplit.memory.lifetimes import planned_buffers
from tflsplit.memory.offline import METADATA_NAME
from tflsplit.memory.order import tensor_order
from tflsplit.memory.overlap import overlap_violations
from tflsplit.verify.replay import Replay

SPANS = st.tuples(st.integers(1, 20), st.integers(0, 9), st.integers(0, 4))


def buffers(spans):
    return [Buffer(16 * s, a, a + n, None, f"b{i}") for i, (s, a, n) in enumerate(spans)]


@given(st.lists(SPANS, min_size=1, max_size=20))
def test_plans_are_sound_and_within_bounds(spans):
    asked = buffers(spans)
    plan = best_plan(single(asked))
    assert overlap_violations(plan, plan.head_bytes) == []
    assert set(plan.offsets) == set(asked)
    assert peak_bytes(single(asked)) <= plan.head_bytes


def holey() -> Graph:
    """A chain on which greedy leaves a hole: sizes 4, 5, 3, 6 (x 100), each live with the next."""
    values = [Value(f"t{i}", (size,), DType.INT8) for i, size in enumerate((400, 304, 400, 304))]
    extra = Value("long", (160,), DType.INT8)
    nodes = [
        Node("FLOOR", (values[0],), (extra, values[1]), name="n0"),
        Node("FLOOR", (values[1],), (values[2],), name="n1"),
        Node("FLOOR", (values[2], extra), (values[3],), name="n2"),
    ]
    return Graph("holey", (values[0],), (values[3],), nodes)


@settings(max_examples=60)
@given(graphs())
def test_tflm_takes_what_was_planned(graph):
    planned = plan_offline(graph)
    before, after = predict_arena(graph), predict_arena(planned)
    if METADATA_NAME not in planned.metadata:
        assert planned is graph
        return
    assert after.head_bytes < before.head_bytes
    assert plan_violations(planned, after.plan, after.head_bytes) == []
    assert measured(planned).head_bytes == after.head_bytes


def test_a_plan_that_is_there_stays():
    graph = Graph("g", (), (), [], {METADATA_NAME: b"theirs"})
    assert plan_offline(graph) is graph


def test_an_example_that_gets_smaller():
    """Long-lived small buffers under short-lived large ones: greedy ends 16 bytes too high."""
    asked = buffers([(3, 1, 4), (5, 0, 1), (4, 2, 1), (5, 3, 0), (2, 5, 1), (4, 4, 2)])
    plan = best_plan(single(asked))
    assert plan.head_bytes <= greedy_plan(asked).head_bytes


@settings(max_examples=200)
@given(moving_graphs())
def test_tensors_over_each_other_are_what_they_are_apart(made):
    """Random moves, in one arena: proved, run, and allocated by TFLM."""
    graph, values = made
    planned = plan_offline(graph)
    before, after = predict_arena(graph), predict_arena(planned)
    assert after.head_bytes <= before.head_bytes
    assert after.tail_bytes == before.tail_bytes
    assert plan_violations(planned, after.plan, after.head_bytes) == []
    assert Replay(planned, after.plan).problems(values) == []
    assert max(live_bytes_over_time(planned)) <= after.head_bytes


@settings(max_examples=60)
@given(moving_graphs())
def test_tflm_allocates_tensors_over_each_other(made):
    planned = plan_offline(made[0])
    assert measured(planned).head_bytes == predict_arena(planned).head_bytes


def head_of(*nodes: Node) -> tuple[int, int]:
    """Before and after planning, of a graph of nodes whose first operand is its input."""
    graph = Graph("g", (nodes[0].input(0),), nodes[-1].outputs, list(nodes))
    for index, value in enumerate(graph.values()):
        value.name = f"t{index}"
    planned = plan_offline(graph)
    assert plan_violations(planned, predict_arena(planned).plan) == []
    return predict_arena(graph).head_bytes, predict_arena(planned).head_bytes


def test_a_shard_with_its_halo_takes_the_memory_of_the_result():
    before, after = head_of(recv(rows(4, 8), rows(3, 9)))
    assert (before, after) == ((4 + 6) * 48, 6 * 48)


def test_sums_that_are_added_have_memory_of_their_own():
    before, after = head_of(recv(rows(4, 8), rows(4, 8), add=True))
    assert before == after == 2 * 4 * 4 * 48


def test_tiles_are_written_where_they_are_joined():
    x, tiles = tensor((16,)), (tensor((1, 3, 16)), tensor((1, 3, 16)))
    made = [Node("FLOOR", (x,), (tile,), name="n") for tile in tiles]
    before, after = head_of(*made, concatenation(1, *tiles))
    assert (before, after) == (4 * 48, 2 * 48 + 16)  # x, while the second is made


def test_the_copy_is_saved_where_memory_is_not():
    """The peak is elsewhere; the shard lies in its result all the same."""
    node = recv(rows(0, 2), rows(0, 3))
    large = Value("large", (1000,), DType.INT8)
    graph = Graph("g", (large,), (node.output,), [Node("FLOOR", (large,), (node.input(0),)), node])
    for index, value in enumerate(graph.values()):
        value.name = f"t{index}"
    planned = plan_offline(graph)
    plan = predict_arena(planned).plan
    assert plan.head_bytes == predict_arena(graph).head_bytes
    assert plan.offset_of(node.output) == plan.offset_of(node.input(0))


def test_tensors_stay_apart_where_that_is_smaller():
    """x1 would hold a place below the result from the start, and keep the large one from it."""
    x0, x1, *made = (tensor((1, rows, 16)) for rows in (1, 1, 1, 1, 3, 1))
    nodes = [Node("FLOOR", (x0,), (value,)) for value in made]
    nodes.append(concatenation(1, x1, made[-1]))
    graph = Graph("g", (x0, x1), (), nodes)
    for index, value in enumerate(graph.values()):
        value.name = f"t{index}"
    asked = planned_buffers(graph, {}, tensor_order(graph), {})
    together = best_plan(tied(asked, find_ties(graph))).head_bytes
    alone = best_plan(single(asked)).head_bytes
    assert predict_arena(plan_offline(graph)).head_bytes == alone < together
