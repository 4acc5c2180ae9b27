# SPDX-License-Identifier: Apache-2.0
"""Layers that change no byte become a RESHAPE; what a table says is what TFLM does."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.splits import needs_tflm
from tests.support import constant, node, run_tflm, tensor
from tflsplit.ir import Activation, DType, Graph, Node, Value
from tflsplit.ops.facts.value_tables import table_of
from tflsplit.passes.fold_identities import fold_identities
from tflsplit.passes.fold_moves import fold_moves

EVERY = np.arange(-128, 128, dtype=np.int8)


def graph_of(nodes: Sequence[Node]) -> Graph:
    return Graph("g", (nodes[0].input(0),), nodes[-1].outputs, list(nodes))


def relu(x: Value) -> Node:
    return node("RELU", [x], tensor("out", x.shape, scale=2 / 255, zero_point=-1))


def times(
    x: Value, factor: float = 2.0, y_scale: float = 2 / 255, shape: tuple[int, ...] = ()
) -> Node:
    """x by a constant, stored as 127."""
    other = constant("two", np.full(shape, 127, np.int8), factor / 127)
    y = tensor("doubled", x.shape, scale=y_scale, zero_point=-128)
    return node("MUL", [x, other], y, fused_activation_function=Activation.NONE)


def less_one(x: Value) -> Node:
    other = constant("one", np.full((), 127, np.int8), 1 / 127)
    y = tensor("moved", x.shape, scale=2 / 255, zero_point=-1)
    return node("SUB", [x, other], y, fused_activation_function=Activation.NONE)


def image(channels: int = 2) -> Value:
    return tensor("x", (1, 16, 16, channels), scale=1 / 255, zero_point=-128)


@needs_tflm
@pytest.mark.parametrize("shape", [(), (2,), (1, 1, 1, 2)])
def test_an_image_scaled_to_minus_one_to_one_stays_as_it_is_stored(shape: tuple[int, ...]):
    first = times(image(), shape=shape)
    second = less_one(first.output)
    graph = graph_of([first, second, relu(second.output)])
    folded = fold_identities(graph)
    assert [each.op for each in folded.nodes] == ["RESHAPE", "RELU"]
    assert folded.nodes[0].output is second.output
    given_ = [np.repeat(EVERY, 2).reshape(1, 16, 16, 2)]
    for before, after in zip(run_tflm(graph, given_), run_tflm(folded, given_), strict=True):
        np.testing.assert_array_equal(after, before)


def test_a_reshape_that_says_what_bytes_stand_for_stays():
    first = times(image())
    graph = fold_identities(graph_of([first, relu(first.output)]))
    assert [each.op for each in fold_moves(graph).nodes] == ["RESHAPE", "RELU"]


def test_what_changes_a_byte_stays():
    brighter = times(image(), factor=2.05)
    assert fold_identities(graph := graph_of([brighter, relu(brighter.output)])) is graph


def test_what_is_read_in_between_stays():
    first = times(image())
    second = less_one(first.output)
    reader = node("RELU", [first.output], tensor("other", first.output.shape))
    graph = Graph("g", (first.input(0),), (relu(second.output).output, reader.output), [
        first, second, relu(second.output), reader])  # fmt: skip
    assert [each.op for each in fold_identities(graph).nodes] == [
        "RESHAPE",
        "RESHAPE",
        "RELU",
        "RELU",
    ]


def test_what_is_made_by_a_layer_that_changes_bytes_is_known_through_it():
    """Halved and doubled: what goes and comes back is not all there."""
    half = times(image(), factor=0.5, y_scale=1 / 255)
    back = times(half.output, factor=2.0, y_scale=1 / 255)
    graph = graph_of([half, back, relu(back.output)])
    assert fold_identities(graph) is graph


@needs_tflm
@settings(max_examples=60, deadline=None)
@given(st.data())
def test_tables_are_what_tflm_computes(data: st.DataObject):
    """Of any scales: bytes of a table that differ would be folded, or not, by mistake."""
    scales = [data.draw(st.floats(0.002, 0.2)) for _ in range(3)]
    points = [data.draw(st.integers(-128, 127)) for _ in range(3)]
    op = data.draw(st.sampled_from(["MUL", "ADD", "SUB"]))
    function = data.draw(st.sampled_from([Activation.NONE, Activation.RELU, Activation.RELU6]))
    values = np.array(data.draw(st.lists(st.integers(-128, 127), min_size=2, max_size=2)), np.int8)
    x = tensor("x", (256, 2), scale=scales[0], zero_point=points[0])
    other = constant("c", values, scales[1], points[1])
    y = tensor("y", (256, 2), scale=scales[2], zero_point=points[2])
    computed = node(op, [x, other], y, fused_activation_function=function)
    table = table_of(computed)
    assert table is not None
    (found,) = run_tflm(graph_of([computed]), [np.stack([EVERY, EVERY], axis=1)])
    np.testing.assert_array_equal(np.broadcast_to(table, (256, 2)), found)


def test_nothing_is_known_of_other_layers():
    x, other = image(), tensor("z", (1, 16, 16, 2))
    y = tensor("y", x.shape)
    assert table_of(node("ADD", [x, other], y)) is None
    assert table_of(node("SUB", [constant("c", np.zeros((), np.int8), 0.1), x], y)) is None
    assert table_of(node("MUL", [x, constant("c", np.zeros((16, 2), np.int8), 0.1)], y)) is None
    wide = tensor("x", x.shape, DType.INT16, zero_point=0)
    assert table_of(node("ADD", [wide, constant("c", np.zeros((), np.int16), 0.1)], wide)) is None
