# SPDX-License-Identifier: Apache-2.0
"""Offsets planned ahead reach TFLM, and TFLM's head is the one that was planned."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.memory.measuring import graphs, measured
from tests.memory.op_cases import tensor
from tflsplit.errors import ModelError
from tflsplit.ir import Graph, Node
from tflsplit.memory import (
    HOST_64,
    ArenaPlan,
    offline_metadata,
    plan_violations,
    predict_arena,
    tensor_order,
)
from tflsplit.memory.offline import METADATA_NAME, offline_offsets, offsets_blob


def in_place():
    """x -> y -> z, all of one size: two places online, one when each is written over the last."""
    x, y, z = (tensor((64,)) for _ in range(3))
    nodes = [Node("FLOOR", (x,), (y,), name="n0"), Node("FLOOR", (y,), (z,), name="n1")]
    return Graph("g", (x,), (z,), nodes)


def with_offsets(graph, *offsets):
    order = tensor_order(graph)
    buffers = {b.value: b for b in predict_arena(graph).plan.offsets}
    plan = ArenaPlan({buffers[v]: at for v, at in zip(order, offsets, strict=True) if at >= 0})
    graph.metadata[METADATA_NAME] = offline_metadata(plan, order)
    return graph


@pytest.mark.parametrize(
    ("offsets", "head"), [((0, 0, 0), 64), ((64, 0, 64), 128), ((-1, 192, -1), 256)]
)
def test_tflm_honours_the_offsets(offsets, head):
    graph = with_offsets(in_place(), *offsets)
    assert predict_arena(graph).head_bytes == head
    assert measured(graph).head_bytes == head


def test_without_metadata_tflm_plans_alone():
    assert predict_arena(in_place()).head_bytes == measured(in_place()).head_bytes == 128


def test_what_is_planned_is_what_is_read_again():
    graph = with_offsets(in_place(), 16, -1, 80)
    x, _, z = tensor_order(graph)
    assert offline_offsets(graph, tensor_order(graph)) == {x: 16, z: 80}


def test_tflm_does_not_see_an_overlap_but_the_checker_does():
    graph = with_offsets(in_place(), 0, 16, 0)
    estimate = predict_arena(graph, HOST_64, recording=True)
    assert measured(graph).head_bytes == estimate.head_bytes == 80
    assert len(plan_violations(graph, estimate.plan)) == 2


@pytest.mark.parametrize("size", [0, 8, 20])
def test_metadata_that_is_cut_off_is_refused(size):
    graph = with_offsets(in_place(), 0, 64, 0)
    graph.metadata[METADATA_NAME] = graph.metadata[METADATA_NAME][:size]
    with pytest.raises(ModelError, match=METADATA_NAME):
        predict_arena(graph)


def test_metadata_of_another_graph_is_refused():
    graph = with_offsets(in_place(), 0, 64, 0)
    graph.nodes.append(Node("FLOOR", graph.outputs, (tensor((64,)),), name="n2"))
    with pytest.raises(ModelError, match="plans 3 tensors, the graph has 4"):
        predict_arena(graph)


@settings(max_examples=150)
@given(graphs(), st.data())
def test_tflm_plans_the_rest_around_fixed_tensors_that_overlap(graph, data):
    """Whatever lies over whatever: the tensors that TFLM places find the same gaps."""
    places = st.integers(-1, 20).map(lambda at: 16 * at if at >= 0 else -1)
    order = tensor_order(graph)
    offsets = data.draw(st.lists(places, min_size=len(order), max_size=len(order)))
    graph.metadata[METADATA_NAME] = offsets_blob(
        {value: at for value, at in zip(order, offsets, strict=True) if at >= 0}, order
    )
    assert measured(graph).head_bytes == predict_arena(graph).head_bytes
