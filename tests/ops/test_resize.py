# SPDX-License-Identifier: Apache-2.0
"""RESIZE: shards assembled are the whole, bit for bit, on TFLM."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import check_drawn, check_rule, contents_of, integers, node, run_whole, tensor
from tflsplit.ir import Node
from tflsplit.ops import rule_of
from tflsplit.ops.stock import resize

EXTENTS = st.tuples(st.integers(1, 6), st.integers(1, 6))


def resized(
    op: str,
    before: tuple[int, int],
    after: tuple[int, int],
    align: bool = False,
    half: bool = False,
) -> Node:
    x, y = tensor("x", (1, *before, 3)), tensor("y", (1, *after, 3))
    attrs = {"align_corners": align, "half_pixel_centers": half and not align}
    return node(op, [x, integers("size", after)], y, **attrs)


@settings(max_examples=60)
@given(
    st.sampled_from(["RESIZE_NEAREST_NEIGHBOR", "RESIZE_BILINEAR"]),
    EXTENTS,
    st.one_of(EXTENTS, st.tuples(st.just(0), st.integers(1, 5))),
    st.booleans(),
    st.booleans(),
    st.data(),
)
def test_every_factor(
    op: str,
    before: tuple[int, int],
    after: tuple[int, int],
    align: bool,
    half: bool,
    data: st.DataObject,
):
    if not after[0]:
        after = before[0] * after[1], before[1] * after[1]
    check_drawn(data, resized(op, before, after, align, half), {"batch", "channels"})


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("factor", [1, 2, 3, 4, 8])
def test_enlarged_rows_may_be_split(factor: int, half: bool):
    split = resized("RESIZE_NEAREST_NEIGHBOR", (5, 4), (5 * factor, 4 * factor), half=half)
    sizes = {f.name: f.size for f in rule_of(split).factors(split)}
    assert sizes == {"batch": 1, "rows": 5, "columns": 4, "channels": 3}
    bounds = {name: (0, size // 2, size) for name, size in sizes.items()}
    check_rule(split, contents_of(split, 0), bounds)


def test_interpolated_and_aligned_rows_stay_whole():
    for split in (
        resized("RESIZE_BILINEAR", (4, 4), (8, 8)),
        resized("RESIZE_NEAREST_NEIGHBOR", (4, 4), (8, 8), align=True),
    ):
        assert [f.name for f in rule_of(split).factors(split)] == ["batch", "channels"]


@settings(max_examples=30)
@given(st.integers(1, 40), st.integers(1, 60), st.booleans())
def test_the_elements_read_are_those_of_tflm(before: int, after: int, half: bool):
    x, y = tensor("x", (1, before, 1, 1)), tensor("y", (1, after, 1, 1))
    attrs = {"align_corners": False, "half_pixel_centers": half}
    whole = node("RESIZE_NEAREST_NEIGHBOR", [x, integers("size", [after, 1])], y, **attrs)
    known = {x: np.arange(before, dtype=np.int8).reshape(x.shape)}
    read = resize.nearest_elements(before, after, half)
    np.testing.assert_array_equal(run_whole(whole, known)[0].ravel(), read)


def test_the_comparison_sees_a_pattern_that_does_not_repeat(monkeypatch: pytest.MonkeyPatch):
    split = resized("RESIZE_NEAREST_NEIGHBOR", (5, 2), (15, 2), align=True)
    monkeypatch.setattr(resize, "_repeats", lambda *_: True)
    bounds = {"batch": (0, 1), "rows": (0, 1, 5), "columns": (0, 2), "channels": (0, 3)}
    with pytest.raises(AssertionError, match="split by rows"):
        check_rule(split, contents_of(split, 0), bounds)
