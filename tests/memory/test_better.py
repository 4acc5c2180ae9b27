# SPDX-License-Identifier: Apache-2.0
"""Planned heads: never larger than TFLM's, sound, and what TFLM itself takes."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.memory.measuring import graphs, measured
from tflsplit.ir import DType, Graph, Node, Value
from tflsplit.memory import Buffer, plan_violations, predict_arena
from tflsplit.memory.better import best_plan, peak_bytes, plan_offline
from tflsplit.memory.greedy import greedy_plan
from tflsplit.memory.offline import METADATA_NAME
from tflsplit.memory.overlap import overlap_violations

SPANS = st.tuples(st.integers(1, 20), st.integers(0, 9), st.integers(0, 4))


def buffers(spans):
    return [Buffer(16 * s, a, a + n, None, f"b{i}") for i, (s, a, n) in enumerate(spans)]


@given(st.lists(SPANS, min_size=1, max_size=20))
def test_plans_are_sound_and_within_bounds(spans):
    asked = buffers(spans)
    plan = best_plan(asked)
    assert overlap_violations(plan, plan.head_bytes) == []
    assert set(plan.offsets) == set(asked)
    assert peak_bytes(asked) <= plan.head_bytes


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
    plan = best_plan(asked)
    assert plan.head_bytes <= greedy_plan(asked).head_bytes
