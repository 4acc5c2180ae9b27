# SPDX-License-Identifier: Apache-2.0
"""Constructors, readers and checks of custom operators, and how they look in a file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ops.custom_cases import (
    Case,
    constant,
    conv_2d_cases,
    depthwise_cases,
    partial_conv_2d_cases,
    partial_fully_connected_cases,
    partial_sum_cases,
    requantize_cases,
)
from tflsplit.errors import InternalError, ModelError
from tflsplit.ir import DType, Graph, Node, Quantization, Value
from tflsplit.ops.own import custom
from tflsplit.ops.own.semantics import copy_box, run_node
from tflsplit.ops.region import Box
from tflsplit.tflite import read_model, write_model
from tflsplit.tflite.flexmap import encode_map

Q = Quantization((0.5,), (3,))
ANY_CASE = st.one_of(
    conv_2d_cases(),
    depthwise_cases(),
    partial_conv_2d_cases(),
    partial_fully_connected_cases(),
    partial_sum_cases(),
    requantize_cases(max_channels=9),
)


def tensor(name: str, *shape: int, dtype: DType = DType.INT8) -> Value:
    return Value(name, shape, dtype, None if dtype is DType.INT32 else Q)


def halo_send(x: Value, **changes: Any) -> Node:
    options: dict[str, Any] = {
        "channel": 300,
        "to": [1, 2],
        "tensor": "whole",
        "boxes": [Box(((0, 1), (11, 12), (0, 6), (0, 3)))] * 2,
        "origin": (0, 8, 0, 0),
        "name": "send",
    }
    return custom.send(x, **{**options, **changes})


def halo_recv(x: Value, output: Value | None, **changes: Any) -> Node:
    options: dict[str, Any] = {
        "tensor": "whole",
        "origin": (0, 7, 0, 0),
        "local": x,
        "local_box": Box(((0, 1), (8, 12), (0, 6), (0, 3))),
        "local_origin": (0, 8, 0, 0),
        "pieces": [custom.RecvPiece(4, 0, Box(((0, 1), (7, 8), (0, 6), (0, 3))))],
        "pending": [x],
        "name": "recv",
    }
    return custom.recv(output=output, **{**options, **changes})


def test_send_and_recv_survive_a_file() -> None:
    x, y = tensor("x", 1, 4, 6, 3), tensor("y", 1, 5, 6, 3)
    graph = Graph("rank 1", (x,), (y,), [halo_send(x), halo_recv(x, y)])
    send, recv = read_model(write_model(graph)).nodes
    assert (send.attrs, recv.attrs) == (graph.nodes[0].attrs, graph.nodes[1].attrs)
    assert custom.SendOptions.of(send) == custom.SendOptions(
        300, (1, 2), "whole", (Box(((0, 1), (11, 12), (0, 6), (0, 3))),) * 2, (0, 8, 0, 0)
    )
    assert len(send.attrs.integers("boxes")) == 8  # a multicast stores its box once
    assert custom.RecvOptions.of(recv) == custom.RecvOptions(
        "whole",
        (0, 7, 0, 0),
        Box(((0, 1), (8, 12), (0, 6), (0, 3))),
        (0, 8, 0, 0),
        (custom.RecvPiece(4, 0, Box(((0, 1), (7, 8), (0, 6), (0, 3)))),),
        False,
    )
    assert [value.name for value in recv.operands] == ["x", "x"]
    assert not custom.problems(send)
    assert not custom.problems(recv)


def test_a_pure_wait_survives_a_file() -> None:
    x = tensor("x", 1, 4, 6, 3)
    wait = halo_recv(
        x, None, origin=(), local=None, local_box=None, local_origin=(), pieces=[], pending=[x]
    )
    (read,) = read_model(write_model(Graph("g", (x,), (x,), [wait]))).nodes
    options = custom.RecvOptions.of(read)
    assert (options.local, options.pieces, read.outputs) == (None, (), ())
    assert not custom.problems(read)


@settings(max_examples=60)
@given(case=ANY_CASE)
def test_compute_operators_survive_a_file(case: Case) -> None:
    inputs = tuple(value for value in case.node.operands if not value.is_constant)
    file = write_model(Graph("g", inputs, (case.node.output,), [case.node]))
    (node,) = read_model(file).nodes
    assert node.attrs == case.node.attrs
    assert not custom.problems(node)
    np.testing.assert_array_equal(
        run_node(node, case.arrays), run_node(case.node, case.arrays), strict=True
    )


def test_options_are_small() -> None:
    """They lie in flash.  A map per piece would take 420 bytes instead of 210."""
    x, y = tensor("x", 1, 4, 6, 3), tensor("y", 1, 4, 6, 24)
    boxes = [Box(((0, 1), (112, 116), (0, 6), (3 * i, 3 * i + 3))) for i in range(8)]
    gather = custom.recv(
        output=y,
        tensor="whole",
        origin=(0, 112, 0, 0),
        local=x,
        local_box=boxes[0],
        local_origin=(0, 112, 0, 0),
        pieces=[custom.RecvPiece(300 + i, i, box) for i, box in enumerate(boxes[1:])],
        pending=[],
        name="all_gather",
    )
    assert len(encode_map(halo_send(x).attrs)) <= 96
    assert len(encode_map(gather.attrs)) <= 216
    assert len(encode_map(small_conv().attrs)) <= 72


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"boxes": [Box(((0, 1), (11, 13), (0, 6), (0, 3)))]}, "lies outside"),
        ({"boxes": [Box(((0, 1), (7, 8), (0, 6), (0, 3)))]}, "lies outside"),
        ({"boxes": [Box(((0, 1), (9, 9), (0, 6), (0, 3)))]}, "which is empty"),
        ({"boxes": [Box(((0, 1), (9, 10)))]}, "'boxes' has 4 bounds, not 8 for each box"),
        ({"origin": (0, 8)}, "origin has 2 coordinates"),
        ({"to": []}, "one or more different ranks"),
        ({"to": [1, 1]}, "one or more different ranks"),
        ({"channel": -1}, "'channel' is -1"),
    ],
)
def test_a_send_that_makes_no_sense_is_not_built(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InternalError, match=message):
        halo_send(tensor("x", 1, 4, 6, 3), **change)


PIECE = Box(((0, 1), (7, 8), (0, 6), (0, 3)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pieces": []}, "do not tile"),
        ({"pieces": [custom.RecvPiece(4, 0, PIECE)] * 2}, "do not tile"),
        ({"local_box": Box(((0, 1), (9, 12), (0, 6), (0, 3)))}, "do not tile"),
        ({"pieces": [custom.RecvPiece(4, 0, Box(((0, 1), (6, 8), (0, 6), (0, 3))))]}, "outside"),
        ({"local_origin": (0, 9, 0, 0)}, "local box .* lies outside"),
        ({"local_origin": (0, 9)}, "'local_origin' does not go with"),
        ({"local_box": None}, "'local_origin' does not go with"),
        ({"local_box": None, "local_origin": ()}, "do not tile"),
        ({"local": None, "pending": []}, "names a local shard but has no operand"),
        ({"local": tensor("w", 1, 4, 6, 3, dtype=DType.INT32)}, "does not fit"),
        ({"add": True}, "adds pieces, but makes .* not int32"),
        ({"origin": (0, 7)}, "has 8 bounds for 2 dimensions"),
        ({"output": None}, "can take neither a local shard nor pieces"),
        (
            {
                "output": None,
                "local": None,
                "local_box": None,
                "local_origin": (),
                "pieces": [],
                "pending": [],
            },
            "waits for nothing",
        ),
    ],
)
def test_a_recv_that_makes_no_sense_is_not_built(change: dict[str, Any], message: str) -> None:
    changes = {"output": tensor("y", 1, 5, 6, 3), **change}
    with pytest.raises(InternalError, match=message):
        halo_recv(tensor("x", 1, 4, 6, 3), **changes)


def test_a_sum_needs_no_tiling() -> None:
    partial, y = tensor("p", 2, 8, dtype=DType.INT32), tensor("y", 2, 4, dtype=DType.INT32)
    half = Box(((0, 2), (4, 8)))
    node = custom.recv(
        output=y,
        tensor="t",
        origin=(0, 4),
        local=partial,
        local_box=half,
        local_origin=(0, 0),
        pieces=[custom.RecvPiece(1, 0, half), custom.RecvPiece(2, 2, half)],
        pending=[],
        add=True,
        name="sum",
    )
    assert custom.RecvOptions.of(node).add


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("boxes", (0, 1, 7, 8, 0, 6), "do not describe the same pieces"),
        ("channels", (4, 5), "do not describe the same pieces"),
        ("from", (), "do not describe the same pieces"),
        ("local", (0, 1), "'local' has 2 bounds for 4 dimensions"),
        ("boxes", (0, 1, 8, 7, 0, 6, 0, 3), "is empty"),
        ("sum", 2, "'sum' is 2, not within 0..1"),
        ("origin", (0, 7, 0), "has 8 bounds for 3 dimensions"),
    ],
)
def test_a_damaged_recv_is_refused(key: str, value: Any, message: str) -> None:
    node = halo_recv(tensor("x", 1, 4, 6, 3), tensor("y", 1, 5, 6, 3))
    node.attrs = node.attrs.replace(**{key: value})
    with pytest.raises(ModelError, match=f"TFLSPLIT_RECV 'recv': .*{message}"):
        custom.RecvOptions.of(node)
    assert len(custom.problems(node)) == 1


def test_an_activation_that_lets_nothing_through_is_refused() -> None:
    sums, y = tensor("s", 2, 4, dtype=DType.INT32), tensor("y", 2, 4)
    table = constant("t", np.zeros(4, np.int32))
    with pytest.raises(InternalError, match=r"activation 5\.\.4 lets nothing through"):
        custom.requantize(sums, None, table, table, y, activation=(5, 4))


def replaced(node: Node, index: int, value: Value | None) -> Node:
    inputs = list(node.inputs)
    inputs[index] = value
    return Node(node.op, tuple(inputs), node.outputs, node.attrs, node.name, is_custom=True)


def with_output(node: Node, output: Value) -> Node:
    return Node(node.op, node.inputs, (output,), node.attrs, node.name, is_custom=True)


def small_conv() -> Node:
    table = constant("table", np.zeros(4, np.int32))
    weights = constant("weights", np.zeros((4, 3, 3, 2), np.int8))
    x, y = tensor("x", 1, 5, 5, 2), tensor("y", 1, 5, 5, 4)
    return custom.conv_2d(x, weights, None, table, table, y, pads=(1, 1, 1, 1))


def test_sums_of_16_bits_are_of_few_values() -> None:
    def sums(values: int, dtype: DType) -> Node:
        y = Value("y", (4,), dtype)
        return custom.partial_sum(tensor("x", values, 4), y, axes=(0, 1))

    assert not custom.problems(sums(128, DType.INT16))
    assert not custom.problems(sums(129, DType.INT32))
    with pytest.raises(InternalError, match=r"adds up 129 values, not 1\.\.128"):
        sums(129, DType.INT16)
    with pytest.raises(InternalError, match="must be int32 or int16"):
        sums(1, DType.INT8)


Damage = Callable[[Node], Node]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda n: replaced(n, 0, tensor("x", 1, 5, 5, 3)), "cannot be grouped"),
        (lambda n: replaced(n, 0, tensor("x", 1, 6, 5, 2)), r"must make \[1, 6, 5, 4\]"),
        (lambda n: replaced(n, 0, tensor("x", 5, 5, 2)), "must have 4 dimensions"),
        (lambda n: replaced(n, 0, Value("x", (1, 5, 5, 2), DType.INT8)), "needs one scale"),
        (lambda n: replaced(n, 0, tensor("x", 1, 5, 5, 2, dtype=DType.INT32)), "takes int8 data"),
        (lambda n: replaced(n, 1, tensor("w", 4, 3, 3, 2)), "zero point other than 0"),
        (lambda n: replaced(n, 1, None), "takes 5 operands"),
        (lambda n: replaced(n, 2, constant("b", np.zeros(3, np.int32))), r"must be int32\[4\]"),
        (lambda n: replaced(n, 3, constant("m", np.full(4, -1, np.int32))), "negative multiplier"),
        (lambda n: replaced(n, 4, constant("s", np.full(4, 31, np.int32))), "outside -31..30"),
        (lambda n: replaced(n, 4, constant("s", np.full(4, -32, np.int32))), "outside -31..30"),
        (lambda n: with_output(n, tensor("y", 1, 5, 5, 4, dtype=DType.INT32)), "must be int8"),
        (lambda n: with_output(n, tensor("y", 1, 5, 4, 4)), r"must make \[1, 5, 5, 4\]"),
    ],
)
def test_a_convolution_that_does_not_fit_its_operands_is_found(
    damage: Damage, message: str
) -> None:
    assert not custom.problems(small_conv())
    with pytest.raises(AssertionError, match=message):
        assert not custom.problems(damage(small_conv()))


@settings(max_examples=30)
@given(case=ANY_CASE, data=st.data())
def test_a_missing_or_surplus_operand_is_found(case: Case, data: st.DataObject) -> None:
    node = case.node
    last = node.inputs[-1]
    for inputs in (node.inputs[:-1], (*node.inputs, last)):
        damaged = Node(node.op, inputs, node.outputs, node.attrs, node.name, is_custom=True)
        assert custom.problems(damaged)


def test_a_foreign_operator_is_none_of_ours() -> None:
    assert custom.problems(Node("Ethos-U", (), (), name="n", is_custom=True))
    with pytest.raises(InternalError, match="none of tflsplit's compute operators"):
        run_node(Node("ADD", (), (), name="n"), [])


@given(
    shape=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    add=st.booleans(),
    data=st.data(),
)
def test_copy_box_moves_exactly_the_box(shape: list[int], add: bool, data: st.DataObject) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    boxes = []
    for _ in range(3):
        starts = [data.draw(st.integers(0, extent - 1)) for extent in shape]
        stops = [data.draw(st.integers(a + 1, b)) for a, b in zip(starts, shape, strict=True)]
        boxes.append(Box(tuple(zip(starts, stops, strict=True))))
    source_box, target_box = boxes[0].hull(boxes[1]), boxes[0].hull(boxes[2])
    whole = rng.integers(-(2**31), 2**31, shape, np.int64).astype(np.int32)
    before = rng.integers(-(2**31), 2**31, shape, np.int64).astype(np.int32)
    target = before[target_box.slices].copy()
    copy_box(whole[source_box.slices], source_box.origin, boxes[0], target, target_box.origin, add)
    expected = before.copy()
    expected[boxes[0].slices] = whole[boxes[0].slices] + (before[boxes[0].slices] if add else 0)
    np.testing.assert_array_equal(target, expected[target_box.slices], strict=True)
