# SPDX-License-Identifier: Apache-2.0
"""What is a copy of what, found by moving numbers."""

from __future__ import annotations

import numpy as np
import pytest

from tests.memory.op_cases import I16, I32, constant, integers, tensor
from tests.memory.test_aliases import concatenation, node, recv, rows
from tflsplit.ir import Activation, Graph, Node, Value
from tflsplit.memory.identity import Identities
from tflsplit.ops import Box


def numbers(made: Node) -> list[np.ndarray]:
    """Of the operands in their order, then of the results; without constants."""
    values = [v for v in dict.fromkeys(made.operands) if not v.is_constant]
    identities = Identities(Graph("g", tuple(values), made.outputs, [made]))
    return [identities.of(value) for value in [*values, *made.outputs]]


def fresh(*parts: np.ndarray) -> bool:
    """Whether no number occurs twice."""
    together = np.concatenate(parts)
    return len(np.unique(together)) == len(together)


def test_what_is_computed_is_nobodys_copy():
    x, y = numbers(node("FLOOR", (tensor((5, 3)),), tensor((5, 3))))
    assert fresh(x, y)


def test_every_byte_has_a_number():
    x, y = numbers(node("FLOOR", (tensor((5,), I32),), tensor((3,), I16)))
    assert (len(x), len(y)) == (20, 6)
    assert fresh(x, y)


def test_a_reshape_is_the_same():
    x, y = numbers(node("RESHAPE", (tensor((5, 3), I32), integers(15)), tensor((15,), I32)))
    assert np.array_equal(x, y)


def test_the_local_box_is_the_shards_and_the_rest_is_new():
    x, y = numbers(recv(rows(4, 8), rows(3, 9)))
    assert np.array_equal(y[48 : 5 * 48], x)
    assert fresh(y)


def test_columns_are_found_at_their_places():
    x, y = numbers(recv(Box.whole((1, 2, 3, 4)), Box.whole((1, 2, 5, 4))))
    grid = y.reshape(2, 5, 4)
    assert np.array_equal(grid[:, :3], x.reshape(2, 3, 4))
    assert fresh(y)


def test_sums_are_new():
    x, y = numbers(recv(rows(0, 2), rows(0, 2), add=True))
    assert fresh(x, y)


def test_a_concatenation_has_its_parts_in_their_order():
    a, b, y = numbers(concatenation(1, tensor((1, 2, 4)), tensor((1, 3, 4))))
    assert np.array_equal(y, np.concatenate([a, b]))


def test_a_concatenation_along_the_last_axis_interleaves():
    a, b, y = numbers(concatenation(-1, tensor((2, 1)), tensor((2, 2))))
    assert y.tolist() == [a[0], b[0], b[1], a[1], b[2], b[3]]


def test_a_constant_part_is_in_flash_and_its_copy_is_another():
    stored = constant(np.zeros((1, 2), np.int8), (0.5,))
    x, y = numbers(concatenation(1, tensor((1, 3)), stored))
    assert np.array_equal(y[:3], x)
    assert fresh(y)


def test_a_concatenation_with_an_activation_computes():
    made = concatenation(1, tensor((1, 2)), tensor((1, 2)), activation=Activation.RELU)
    assert fresh(*numbers(made))


def test_a_slice_is_what_it_was_cut_from():
    operands = (tensor((4, 5)), integers(1, 2), integers(2, -1))
    x, y = numbers(node("SLICE", operands, tensor((2, 3))))
    assert np.array_equal(y, x.reshape(4, 5)[1:3, 2:].reshape(-1))


@pytest.mark.parametrize("axis", [0, 1])
def test_a_split_gives_every_part_its_own(axis):
    parts = [tensor((2, 6) if axis == 0 else (4, 3)) for _ in range(2)]
    x, *found = numbers(node("SPLIT", (integers(axis), tensor((4, 6))), *parts))
    wanted = np.split(x.reshape(4, 6), 2, axis)
    assert [list(part) for part in found] == [part.reshape(-1).tolist() for part in wanted]


def test_a_split_by_sizes():
    parts = tensor((1, 6)), tensor((3, 6))
    operands = (tensor((4, 6)), integers(1, 3), integers(0))
    x, first, second = numbers(node("SPLIT_V", operands, *parts))
    assert np.array_equal(np.concatenate([first, second]), x)


@pytest.mark.parametrize(
    "made",
    [
        node("RESHAPE", (tensor((4,)), integers(5)), tensor((5,))),
        node("RESHAPE", (tensor((4,), I32), integers(4)), tensor((4,), I16)),
        node("SLICE", (tensor((4,)), tensor((1,), I32), integers(2)), tensor((2,))),
        node("SLICE", (tensor((4,)), integers(3), integers(2)), tensor((2,))),
        concatenation(1, tensor((1, 2)), tensor((1, 3), I16)),
        recv(rows(4, 8), rows(3, 9), local=rows(5, 9)),
    ],
    ids=["size", "dtype", "computed", "outside", "mixed", "box"],
)
def test_what_contradicts_itself_is_no_copy(made: Node):
    assert fresh(*numbers(made))


def test_copies_of_copies():
    x, a, b = tensor((4, 4)), tensor((2, 4)), tensor((8,))
    nodes = [
        Node("SLICE", (x, integers(1, 0), integers(2, 4)), (a,), name="cut"),
        Node("RESHAPE", (a, integers(8)), (b,), name="flat"),
    ]
    identities = Identities(Graph("g", (x,), (b,), nodes))
    assert np.array_equal(identities.of(b), identities.of(x)[4:12])


def test_a_value_of_no_graph_is_its_own():
    stray, x = Value("stray", (3,), tensor(()).dtype), tensor((3,))
    identities = Identities(Graph("g", (x,), (x,), []))
    assert fresh(identities.of(stray), identities.of(x))
