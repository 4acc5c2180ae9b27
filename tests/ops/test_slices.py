# SPDX-License-Identifier: Apache-2.0
"""SLICE, STRIDED_SLICE, SPLIT and SPLIT_V: shards assembled are the whole."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.support import all_dims, check_drawn, check_rule, contents_of, integers, node, tensor
from tflsplit.ir import Node
from tflsplit.ops import rule_of
from tflsplit.ops.dims import dim_name
from tflsplit.ops.factors import Strided
from tflsplit.ops.stock.slices import strided_ranges

SHAPES = st.lists(st.integers(1, 6), min_size=1, max_size=4).map(tuple)


@settings(max_examples=40)
@given(SHAPES, st.data())
def test_slice(shape: tuple[int, ...], data: st.DataObject):
    begin = [data.draw(st.integers(0, extent - 1)) for extent in shape]
    size = [data.draw(st.integers(1, n - b)) for n, b in zip(shape, begin, strict=True)]
    inputs = [tensor("x", shape), integers("begin", begin), integers("size", size)]
    split = node("SLICE", inputs, tensor("y", size))
    check_drawn(data, split, all_dims(split))


@st.composite
def strided(draw: st.DrawFn) -> Node:
    shape = draw(SHAPES)
    begins, ends, strides, ranges = [], [], [], []
    masks = {name: draw(st.integers(0, 15)) for name in ("begin_mask", "end_mask")}
    shrunk = draw(st.integers(0, 15)) & draw(st.integers(0, 15)) & ~masks["begin_mask"]
    for dim, extent in enumerate(shape):
        begins.append(draw(st.integers(-extent, extent - 1)))
        ends.append(draw(st.integers(-extent - 1, extent + 2)))
        shrinks = shrunk >> dim & 1
        strides.append(1 if shrinks else draw(st.sampled_from([1, 1, 2, 3, -1, -2])))
        start = None if masks["begin_mask"] >> dim & 1 else begins[-1]
        stop = None if masks["end_mask"] >> dim & 1 else ends[-1]
        ranges.append(range(extent)[slice(start, stop, strides[-1])])
    kept = [dim for dim in range(len(shape)) if not shrunk >> dim & 1]
    assume(all(len(ranges[dim]) for dim in kept))
    inputs = [
        tensor("x", shape),
        *(integers(name, n) for name, n in zip("bes", (begins, ends, strides), strict=True)),
    ]
    y = tensor("y", [len(ranges[dim]) for dim in kept])
    attrs = {**masks, "shrink_axis_mask": shrunk, "ellipsis_mask": 0, "new_axis_mask": 0}
    return node("STRIDED_SLICE", inputs, y, **attrs)


@settings(max_examples=100)
@given(strided(), st.data())
def test_strided_slice(split: Node, data: st.DataObject):
    ranges = strided_ranges(split)
    assert ranges is not None
    shrunk = split.attrs.integer("shrink_axis_mask")
    kept = [dim for dim in range(len(ranges)) if not shrunk >> dim & 1]
    forward = {dim_name(place, len(kept)) for place, dim in enumerate(kept) if ranges[dim].step > 0}
    check_drawn(data, split, forward)
    assert {factor.name for factor in rule_of(split).factors(split)} == forward


@pytest.mark.parametrize("mask", ["ellipsis_mask", "new_axis_mask"])
def test_masks_that_insert_dimensions_stay_whole(mask: str):
    inputs = [tensor("x", (4,)), *(integers(str(n), [n]) for n in (0, 4, 1))]
    split = node("STRIDED_SLICE", inputs, tensor("y", (4,)), **{mask: 1})
    assert rule_of(split).factors(split) == ()
    without = replace(split, attrs=split.attrs.replace(**{mask: 0}))
    assert rule_of(without).factors(without)


@settings(max_examples=30)
@given(st.sampled_from(["SPLIT", "SPLIT_V"]), SHAPES, st.integers(1, 3), st.data())
def test_split(op: str, shape: tuple[int, ...], count: int, data: st.DataObject):
    place = data.draw(st.integers(0, len(shape) - 1))
    even = [shape[place]] * count
    extents = even if op == "SPLIT" else [data.draw(st.integers(1, 3)) for _ in even]
    x = tensor("x", (*shape[:place], sum(extents), *shape[place + 1 :]))
    axis = integers("axis", place if op == "SPLIT" else [place - len(shape)])
    inputs = [axis, x] if op == "SPLIT" else [x, integers("sizes", extents), axis]
    outputs = [
        tensor(f"y{index}", (*shape[:place], extent, *shape[place + 1 :]))
        for index, extent in enumerate(extents)
    ]
    split = node(op, inputs, *outputs, num_splits=count)
    rank = len(shape)
    check_drawn(data, split, {dim_name(dim, rank) for dim in range(rank)} - {dim_name(place, rank)})


def test_the_comparison_sees_a_slice_read_one_step_off(monkeypatch: pytest.MonkeyPatch):
    inputs = [tensor("x", (9,)), *(integers(str(n), [n]) for n in (1, 8, 2))]
    split = node("STRIDED_SLICE", inputs, tensor("y", (4,)))
    check_rule(split, contents_of(split, 0), {"channels": (0, 2, 4)})

    def off(self: Strided, start: int, stop: int) -> tuple[int, int]:
        return start * self.stride, (stop - 1) * self.stride + 1

    monkeypatch.setattr(Strided, "need", off)
    split = node("STRIDED_SLICE", inputs, tensor("y", (4,)))  # what a node reads is found once
    with pytest.raises(AssertionError, match="split by channels"):
        check_rule(split, contents_of(split, 0), {"channels": (0, 2, 4)})
