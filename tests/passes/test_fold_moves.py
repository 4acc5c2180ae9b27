# SPDX-License-Identifier: Apache-2.0
"""Chains of RESHAPE and TRANSPOSE become one operator or none, and the bits stay."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import integers, node, run_tflm, tensor
from tflsplit.ir import Graph, Node, Value
from tflsplit.ops.own.custom import send
from tflsplit.ops.region import Box
from tflsplit.passes import fold_moves as module
from tflsplit.passes.fold_moves import fold_moves


def reshape(x: Value, *shape: int, name: str = "r") -> Node:
    y = tensor(name, shape)
    return node("RESHAPE", [x, integers(f"{name}/shape", shape)], y, new_shape=shape)


def transpose(x: Value, *order: int, name: str = "t") -> Node:
    y = tensor(name, [x.shape[dim] for dim in order])
    return node("TRANSPOSE", [x, integers(f"{name}/order", order)], y)


def relu(x: Value, name: str = "y") -> Node:
    return node("RELU", [x], tensor(name, x.shape))


def chained(*nodes: Node) -> Graph:
    return Graph("test", (nodes[0].input(0),), nodes[-1].outputs, list(nodes))


def ops(graph: Graph) -> list[str]:
    return [each.op for each in graph.nodes]


def check_same(graph: Graph) -> Graph:
    """The folded graph, which gives the same bits on TFLM."""
    folded, rng = fold_moves(graph), np.random.default_rng(1)
    given = [rng.integers(-128, 128, value.shape).astype(np.int8) for value in graph.inputs]
    for whole, found in zip(run_tflm(graph, given), run_tflm(folded, given), strict=True):
        np.testing.assert_array_equal(found, whole)
    return folded


def test_what_one_head_goes_through_is_one_reshape():
    first = reshape(tensor("x", (1, 6, 4)), 1, 6, 1, 4)
    second = transpose(first.output, 0, 2, 1, 3)
    folded = check_same(chained(first, second, relu(second.output)))
    assert ops(folded) == ["RESHAPE", "RELU"]
    assert folded.nodes[0].output.shape == (1, 1, 6, 4)


def test_back_and_forth_is_nothing():
    first = reshape(tensor("x", (2, 6)), 3, 4)
    second = reshape(first.output, 2, 6, name="s")
    folded = check_same(chained(first, second, relu(second.output)))
    assert ops(folded) == ["RELU"]


def test_a_result_is_still_made():
    first = reshape(tensor("x", (2, 6)), 3, 4)
    second = reshape(first.output, 2, 6, name="s")
    assert ops(check_same(chained(first, second))) == ["RESHAPE"]


def test_a_transpose_that_moves_elements_stays():
    swap = transpose(tensor("x", (1, 6, 4)), 0, 2, 1)
    graph = chained(swap, relu(swap.output))
    assert check_same(graph).nodes == graph.nodes


def test_what_others_read_too_stays():
    first = reshape(tensor("x", (2, 6)), 3, 4)
    second = reshape(first.output, 4, 3, name="s")
    last = node("MUL", [relu(first.output).input(0), first.output], tensor("z", (3, 4)))
    graph = Graph("test", first.operands[:1], (second.output, last.output), [first, second, last])
    assert ops(check_same(graph)) == ["RESHAPE", "RESHAPE", "MUL"]


def test_what_is_sent_keeps_its_shape():
    first = reshape(tensor("x", (2, 6)), 2, 6)
    post = send(
        first.output,
        channel=1,
        to=[1],
        tensor="r",
        boxes=[Box.whole((2, 6))],
        origin=(0, 0),
        name="post",
    )
    graph = Graph("test", (first.input(0),), (), [first, post])
    assert fold_moves(graph).nodes == graph.nodes


def test_two_transposes_are_one():
    first = transpose(tensor("x", (2, 3, 4)), 2, 0, 1)
    second = transpose(first.output, 1, 0, 2, name="s")
    folded = check_same(chained(first, second, relu(second.output)))
    assert ops(folded) == ["TRANSPOSE", "RELU"]


def test_the_keys_of_one_head_are_taken_as_they_are():
    """TRANSPOSE for the model's BATCH_MATMUL, and back for the shard's."""
    first = reshape(tensor("x", (1, 6, 4)), 1, 6, 1, 4)
    keys = transpose(first.output, 0, 2, 3, 1)
    back = transpose(keys.output, 0, 1, 3, 2, name="s")
    folded = check_same(chained(first, keys, back, relu(back.output)))
    assert ops(folded) == ["RESHAPE", "RELU"]


def test_a_transpose_that_others_read_is_not_undone():
    first = transpose(tensor("x", (2, 3, 4)), 2, 0, 1)
    second = transpose(first.output, 1, 0, 2, name="s")
    last = relu(first.output)
    outputs = (second.output, last.output)
    graph = Graph("test", first.operands[:1], outputs, [first, second, last])
    assert check_same(graph).nodes == graph.nodes


@st.composite
def chains(draw: st.DrawFn) -> Graph:
    x = tensor("x", draw(st.sampled_from([(1, 6, 1, 4), (2, 1, 3), (1, 1, 5), (4, 1, 2, 1)])))
    nodes: list[Node] = []
    for index in range(draw(st.integers(1, 5))):
        value = nodes[-1].output if nodes else x
        if draw(st.booleans()):
            shape = draw(st.permutations(value.shape))
            nodes.append(reshape(value, *shape, name=f"r{index}"))
        else:
            order = draw(st.permutations(range(len(value.shape))))
            nodes.append(transpose(value, *order, name=f"t{index}"))
    if draw(st.booleans()):
        nodes.append(relu(nodes[-1].output))
    read = {value for each in nodes for value in each.operands}
    outputs = [v for each in nodes for v in each.outputs if v not in read or draw(st.booleans())]
    return Graph("test", (x,), tuple(outputs), nodes)


@settings(max_examples=40)
@given(chains())
def test_any_chain_gives_the_same_bits(graph: Graph):
    assert len(check_same(graph).nodes) <= len(graph.nodes)


def test_the_comparison_sees_a_transpose_that_is_taken_for_a_reshape(
    monkeypatch: pytest.MonkeyPatch,
):
    def anything(_: Sequence[int], __: Sequence[int]) -> bool:
        return True

    swap = transpose(tensor("x", (1, 6, 4)), 0, 2, 1)
    monkeypatch.setattr(module, "_moves_only_ones", anything)
    with pytest.raises(AssertionError):
        check_same(chained(swap, relu(swap.output)))
