# SPDX-License-Identifier: Apache-2.0
"""Which tensors may lie inside which: each kind by hand, and what must not be tied."""

from __future__ import annotations

import numpy as np
import pytest

from tests.memory.op_cases import I8, I16, I32, constant, integers, tensor
from tflsplit.ir import Activation, Attrs, AttrValue, Graph, Node, Value
from tflsplit.memory.aliases import find_ties
from tflsplit.ops import Box
from tflsplit.ops.own import custom
from tflsplit.wire import custom_ops as wire

ROW = 6 * 8  # bytes of a row of 6 columns and 8 channels: a multiple of 16


def ties(node: Node) -> list[tuple[str, str, int]]:
    """(inner, outer, offset) of each tie of one node."""
    for index, value in reversed(list(enumerate([*node.operands, *node.outputs]))):
        value.name = f"{'x' if value in node.operands else 'y'}{index}"  # of two places, the first
    computed = tuple(v for v in dict.fromkeys(node.operands) if not v.is_constant)
    graph = Graph("g", computed, node.outputs, [node])
    return [(tie.inner.name, tie.outer.name, tie.offset_bytes) for tie in find_ties(graph)]


def node(op: str, inputs: tuple[Value, ...], *outputs: Value, **attrs: AttrValue) -> Node:
    return Node(op, inputs, outputs, Attrs(attrs), name="n")


def recv(
    shard: Box, result: Box, local: Box | None = None, add: bool = False, x: Value | None = None
) -> Node:
    """A RECV without its pieces, which decide nothing here."""
    x, dtype = x or tensor(shard.shape, I32 if add else I8), I32 if add else I8
    local = local or shard.intersect(result)
    options: dict[str, AttrValue] = {
        "tensor": "t", "origin": result.origin, "local_origin": shard.origin, "sum": int(add),
        "early": 0,
        "local": tuple(at for interval in local.intervals for at in interval),
        "channels": (), "from": (), "boxes": (),
    }  # fmt: skip
    attrs = wire.encode(wire.RECV, options)
    return Node(wire.RECV, (x, x), (tensor(result.shape, dtype),), attrs, "n", is_custom=True)


def rows(start: int, stop: int) -> Box:
    return Box(((0, 1), (start, stop), (0, 6), (0, 8)))


@pytest.mark.parametrize(
    ("shard", "result", "offset"),
    [
        (rows(4, 8), rows(3, 8), 1),  # a row received before
        (rows(4, 8), rows(4, 9), 0),  # and behind
        (rows(4, 8), rows(2, 10), 2),
        (rows(4, 8), rows(5, 9), -1),  # the first row of the shard is not wanted
        (rows(2, 9), rows(4, 8), -2),  # neither are rows at both ends
        (rows(4, 5), rows(4, 8), 0),
        (rows(4, 8), rows(4, 8), 0),
    ],
)
def test_a_shard_lies_in_what_is_received_around_it(shard, result, offset):
    assert ties(recv(shard, result)) == [("x0", "y2", offset * ROW)]


def test_what_is_gathered_of_vectors_is_contiguous_by_channels():
    shard, result = Box(((0, 1), (0, 1), (0, 1), (32, 64))), Box.whole((1, 1, 1, 96))
    assert ties(recv(shard, result)) == [("x0", "y2", 32)]


def test_of_several_batches_the_batches_are_the_rows():
    shard, result = Box(((2, 4), (0, 3), (0, 16))), Box(((1, 4), (0, 3), (0, 16)))
    assert ties(recv(shard, result)) == [("x0", "y2", 48)]


@pytest.mark.parametrize(
    "made",
    [
        recv(rows(0, 4), rows(0, 4), add=True),  # sums are added to zeros
        recv(Box.whole((1, 4, 6, 8)), Box.whole((1, 4, 6, 16))),  # channels
        recv(Box.whole((1, 4, 3, 8)), Box.whole((1, 4, 6, 8))),  # columns
        recv(Box.whole((2, 4, 6, 8)), Box.whole((2, 5, 6, 8))),  # rows of two images
        recv(rows(4, 8), rows(3, 9), local=rows(4, 7)),  # a piece is written over row 7
        recv(Box(((0, 1), (4, 8), (0, 3), (0, 3))), Box(((0, 1), (3, 8), (0, 3), (0, 3)))),  # 9
        recv(rows(4, 8), rows(4, 8), x=tensor((1, 4, 6, 8), I16)),
        recv(rows(4, 8), rows(4, 8), x=constant(np.zeros((1, 4, 6, 8), np.int8))),
    ],
    ids=["sum", "channels", "columns", "images", "smaller box", "unaligned", "dtype", "constant"],
)
def test_what_does_not_stay_where_it_is_is_not_tied(made):
    assert ties(made) == []


def test_a_pure_wait_ties_nothing():
    x = tensor((1, 4, 6, 8))
    wait = custom.recv(
        output=None, tensor="t", origin=(), local=None, local_box=None, local_origin=(), pieces=(),
        pending=(x,), name="wait",
    )  # fmt: skip
    assert ties(wait) == []


def concatenation(axis: int, *parts: Value, activation: int = Activation.NONE) -> Node:
    extents = [part.shape[axis] for part in parts]
    shape = list(parts[0].shape)
    shape[axis] = sum(extents)
    return node(
        "CONCATENATION", parts, tensor(shape), axis=axis, fused_activation_function=activation
    )


def image(count: int = 2, scale: float = 0.5) -> Value:
    return tensor((1, count, 6, 8), scale=scale)


def test_parts_lie_in_a_concatenation_of_rows():
    parts = image(2), image(3), image(1)
    found = [("x0", "y3", 0), ("x1", "y3", 2 * ROW), ("x2", "y3", 5 * ROW)]
    assert ties(concatenation(1, *parts)) == found
    assert ties(concatenation(-3, *parts)) == found


def test_only_parts_that_fit_are_tied():
    twice = image()
    stored = constant(np.zeros((1, 2, 6, 8), np.int8), (0.5,))
    parts = image(), twice, twice, stored, image(scale=0.25), image()
    found = ties(concatenation(1, *parts))
    assert [(at, outer) for _, outer, at in found] == [(0, "y6"), (10 * ROW, "y6")]


def test_a_part_that_would_start_off_the_boundary_is_not_tied():
    parts = tensor((1, 20)), tensor((1, 12)), tensor((1, 16))
    assert ties(concatenation(1, *parts)) == [("x0", "y3", 0), ("x2", "y3", 32)]


@pytest.mark.parametrize("axis", [2, 3, -1])
def test_a_concatenation_that_interleaves_is_not_tied(axis):
    assert ties(concatenation(axis, image(), image())) == []


def test_a_concatenation_that_computes_is_not_tied():
    assert ties(concatenation(1, image(), image(), activation=Activation.RELU)) == []


def sliced(begin: tuple[int, ...], size: tuple[int, ...], shape: tuple[int, ...]) -> Node:
    x = tensor((1, 9, 6, 8))
    return node("SLICE", (x, integers(*begin), integers(*size)), tensor(shape))


def test_rows_that_are_cut_out_are_a_view():
    assert ties(sliced((0, 3, 0, 0), (1, 2, 6, 8), (1, 2, 6, 8))) == [("y3", "x0", 3 * ROW)]
    assert ties(sliced((0, 3, 0, 0), (-1, -1, -1, -1), (1, 6, 6, 8))) == [("y3", "x0", 3 * ROW)]
    assert ties(sliced((0, 0, 0, 8), (1, 9, 6, 4), (1, 9, 6, 4))) == []
    assert ties(sliced((0, 0, 2, 0), (1, 9, 2, 8), (1, 9, 2, 8))) == []


@pytest.mark.parametrize(("step", "tied"), [(1, True), (2, False), (-1, False)])
def test_a_strided_slice_is_a_view_with_steps_of_one(step, tied):
    begin, end = (0, 5, 0, 0), (1, 2 if step < 0 else 8, 6, 8)
    count = len(range(5, end[1], step))
    x = tensor((1, 9, 6, 8))
    operands = (x, integers(*begin), integers(*end), integers(1, step, 1, 1))
    masks = dict.fromkeys(
        ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask"), 0
    )
    made = node("STRIDED_SLICE", operands, tensor((1, count, 6, 8)), offset=False, **masks)
    assert ties(made) == ([("y4", "x0", 5 * ROW)] if tied else [])


def test_parts_of_a_split_are_views():
    x = tensor((1, 9, 6, 8))
    parts = [tensor((1, 3, 6, 8)) for _ in range(3)]
    found = ties(node("SPLIT", (integers(1), x), *parts, num_splits=3))
    assert found == [(f"y{2 + part}", "x1", 3 * part * ROW) for part in range(3)]
    columns = [tensor((1, 9, 2, 8)) for _ in range(3)]
    assert ties(node("SPLIT", (integers(2), x), *columns, num_splits=3)) == []


def test_parts_of_a_split_by_sizes_are_views():
    x = tensor((1, 9, 6, 8))
    parts = tensor((1, 2, 6, 8)), tensor((1, 7, 6, 8))
    made = node("SPLIT_V", (x, integers(2, 7), integers(-3)), *parts, num_splits=2)
    assert ties(made) == [("y3", "x0", 0), ("y4", "x0", 2 * ROW)]


@pytest.mark.parametrize("op", ["RESHAPE", "SQUEEZE", "EXPAND_DIMS"])
def test_another_shape_is_the_same_memory(op):
    inputs = (tensor((1, 6, 8)),) if op == "SQUEEZE" else (tensor((1, 6, 8)), integers(0))
    (tie,) = ties(node(op, inputs, tensor((6, 8))))
    assert (tie[0], tie[2]) == ("x0", 0)


def test_a_constant_in_another_shape_stays_in_flash():
    stored = constant(np.zeros((6, 8), np.int8), (0.5,))
    assert ties(node("RESHAPE", (stored, integers(48)), tensor((48,)))) == []


def test_a_variable_is_not_in_the_head():
    x = tensor((48,))
    x.is_variable = True
    assert ties(node("RESHAPE", (x, integers(6, 8)), tensor((6, 8)))) == []


def test_what_computes_is_never_tied():
    assert ties(node("FLOOR", (tensor((48,)),), tensor((48,)))) == []
