# SPDX-License-Identifier: Apache-2.0
"""TRANSPOSE, GATHER, SPACE_TO_DEPTH and their kin: shards assembled are the whole."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import all_dims, check_drawn, check_rule, contents_of, integers, node, tensor
from tflsplit.ops import rule_of
from tflsplit.ops.factors import SAME_INDEX, Factor
from tflsplit.ops.stock.rearrange import TransposeRule

SHAPES = st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple)


@settings(max_examples=40)
@given(SHAPES, st.data())
def test_transpose(shape: tuple[int, ...], data: st.DataObject):
    order = data.draw(st.permutations(range(len(shape))))
    y = tensor("y", [shape[dim] for dim in order])
    split = node("TRANSPOSE", [tensor("x", shape), integers("order", order)], y)
    check_drawn(data, split, all_dims(split))


@settings(max_examples=40)
@given(SHAPES, st.lists(st.integers(1, 4), max_size=2).map(tuple), st.data())
def test_gather(shape: tuple[int, ...], chosen: tuple[int, ...], data: st.DataObject):
    shape = shape[:3]
    axis = data.draw(st.integers(0, len(shape) - 1))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    indices = integers("indices", rng.integers(0, shape[axis], chosen).tolist())
    y = tensor("y", (*shape[:axis], *indices.shape, *shape[axis + 1 :]))
    split = node("GATHER", [tensor("x", shape), indices], y, axis=axis, batch_dims=0)
    check_drawn(data, split, all_dims(split))


@settings(max_examples=20)
@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 3), st.integers(1, 3), st.data())
def test_space_and_depth(block: int, rows: int, columns: int, channels: int, data: st.DataObject):
    wide = (2, rows * block, columns * block, channels)
    deep = (2, rows, columns, channels * block * block)
    for op, before, after in (("SPACE_TO_DEPTH", wide, deep), ("DEPTH_TO_SPACE", deep, wide)):
        split = node(op, [tensor("x", before)], tensor("y", after), block_size=block)
        check_drawn(data, split, {"batch", "rows", "columns"})


@settings(max_examples=20)
@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 5), st.data())
def test_space_and_batch(rows: int, columns: int, channels: int, data: st.DataObject):
    wide, many = (1, rows * 2, columns * 2, channels), (4, rows, columns, channels)
    for op, before, after in (("SPACE_TO_BATCH_ND", wide, many), ("BATCH_TO_SPACE_ND", many, wide)):
        extra = integers("extra", [[0, 0], [0, 0]])
        inputs = [tensor("x", before), integers("block", [2, 2]), extra]
        check_drawn(data, node(op, inputs, tensor("y", after)), {"channels"})


def test_blocks_are_not_cut():
    split = node("SPACE_TO_DEPTH", [tensor("x", (1, 6, 4, 1))], tensor("y", (1, 3, 2, 4)))
    split.attrs = split.attrs.replace(block_size=2)
    box = rule_of(split).piece(split, {"rows": (1, 2)}).operands[0]
    assert box is not None
    assert box.intervals == ((0, 1), (2, 4), (0, 4), (0, 1))


def test_the_comparison_sees_the_wrong_dimension(monkeypatch: pytest.MonkeyPatch):
    x, y = tensor("x", (4, 4)), tensor("y", (4, 4))
    split = node("TRANSPOSE", [x, integers("order", [1, 0])], y)
    wrong = Factor("batch", 4, {0: (0, SAME_INDEX)}, {0: (0, 1)})
    monkeypatch.setattr(TransposeRule, "find_factors", lambda *_: (wrong,))
    with pytest.raises((AssertionError, RuntimeError)):
        check_rule(split, contents_of(split, 0), {"batch": (0, 2, 4)})
