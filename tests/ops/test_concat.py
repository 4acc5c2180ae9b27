# SPDX-License-Identifier: Apache-2.0
"""CONCATENATION, PACK and UNPACK: shards assembled are the whole."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import all_dims, check_drawn, check_rule, contents_of, local_inputs, node, tensor
from tflsplit.ir import DType, Node
from tflsplit.ops import local_value, rule_of
from tflsplit.ops.dims import dim_name
from tflsplit.ops.factors import Factor, Shifted
from tflsplit.ops.stock.concat import ConcatenationRule

SHAPES = st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple)
TYPES = st.sampled_from([DType.INT8, DType.INT16, DType.INT32])


def concatenation(
    shape: tuple[int, ...], axis: int, extents: list[int], dtype: DType = DType.INT8
) -> Node:
    scale = None if dtype is DType.INT32 else 0.05
    zero_point = 3 if dtype is DType.INT8 else 0
    place = axis % len(shape)

    def part(name: str, extent: int):
        return tensor(name, (*shape[:place], extent, *shape[place + 1 :]), dtype, scale, zero_point)

    inputs = [part(f"x{index}", extent) for index, extent in enumerate(extents)]
    attrs = {"axis": axis, "fused_activation_function": 0}
    return node("CONCATENATION", inputs, part("y", sum(extents)), **attrs)


@settings(max_examples=60)
@given(SHAPES, st.lists(st.integers(1, 4), min_size=2, max_size=4), TYPES, st.data())
def test_every_dimension(
    shape: tuple[int, ...], extents: list[int], dtype: DType, data: st.DataObject
):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    split = concatenation(shape, axis, extents, dtype)
    check_drawn(data, split, all_dims(split))


@pytest.mark.parametrize(
    ("interval", "op", "operands"),
    [
        ((0, 4), "RESHAPE", 1),
        ((5, 8), "RESHAPE", 1),
        ((3, 6), "CONCATENATION", 2),
        ((0, 9), "CONCATENATION", 3),
    ],
)
def test_a_piece_reads_only_what_it_meets(interval: tuple[int, int], op: str, operands: int):
    split = concatenation((1, 2, 2, 9), 3, [4, 4, 1])
    piece = rule_of(split).piece(split, {"channels": interval})
    inputs, _ = local_inputs(split, piece, contents_of(split, 0))
    assert sum(value is not None for value in inputs) == operands
    output = local_value(split.output, piece.results[0])
    assert [n.op for n in rule_of(split).localize(split, piece, inputs, [output])] == [op]


@settings(max_examples=20)
@given(SHAPES, st.integers(1, 3), st.data())
def test_pack(shape: tuple[int, ...], count: int, data: st.DataObject):
    shape = shape[:3]
    axis = data.draw(st.integers(0, len(shape)))
    inputs = [tensor(f"x{index}", shape) for index in range(count)]
    y = tensor("y", (*shape[:axis], count, *shape[axis:]))
    split = node("PACK", inputs, y, axis=axis, values_count=count)
    check_drawn(data, split, all_dims(split) - {dim_name(axis, len(y.shape))})


@settings(max_examples=20)
@given(SHAPES, st.integers(1, 3), st.data())
def test_unpack(shape: tuple[int, ...], count: int, data: st.DataObject):
    shape = shape[:3]
    axis = data.draw(st.integers(0, len(shape)))
    x = tensor("x", (*shape[:axis], count, *shape[axis:]))
    outputs = [tensor(f"y{index}", shape) for index in range(count)]
    split = node("UNPACK", [x], *outputs, axis=axis, num=count)
    check_drawn(data, split, {dim_name(dim, len(shape)) for dim in range(len(shape))})


def test_the_comparison_sees_operands_in_the_wrong_place(monkeypatch: pytest.MonkeyPatch):
    split = concatenation((1, 8), 1, [4, 4])
    wrong = Factor("channels", 8, {0: (1, Shifted(4)), 1: (1, Shifted(0))}, {0: (1, 1)})
    monkeypatch.setattr(ConcatenationRule, "find_factors", lambda *_: (wrong,))
    with pytest.raises(AssertionError, match="split by channels"):
        check_rule(split, contents_of(split, 0), {"channels": (0, 2, 4, 8)})
