# SPDX-License-Identifier: Apache-2.0
"""Window geometry: TFLM's formulas, and when a stock kernel pads as a piece needs it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tflsplit.ir import Padding
from tflsplit.ops.window import WindowAxis, Windows

axes = st.builds(WindowAxis, st.integers(1, 5), st.integers(1, 4), st.integers(1, 3))


@pytest.mark.parametrize(
    ("axis", "padding", "extent", "out", "pads"),
    [
        (WindowAxis(3, 1), Padding.SAME, 8, 8, (1, 1)),
        (WindowAxis(3, 2), Padding.SAME, 224, 112, (0, 1)),
        (WindowAxis(3, 2), Padding.SAME, 7, 4, (1, 1)),
        (WindowAxis(3, 2), Padding.VALID, 225, 112, (0, 0)),
        (WindowAxis(3, 1, 2), Padding.SAME, 8, 8, (2, 2)),
        (WindowAxis(1, 2), Padding.SAME, 8, 4, (0, 0)),
        (WindowAxis(5, 1), Padding.VALID, 3, 0, (0, 0)),
    ],
)
def test_known_geometry(
    axis: WindowAxis, padding: int, extent: int, out: int, pads: tuple[int, int]
):
    assert axis.out_extent(padding, extent) == out
    if out:
        assert axis.pads(padding, extent) == pads


@given(axes, st.integers(1, 30))
def test_same_padding_is_just_enough(axis: WindowAxis, extent: int):
    before, after = axis.pads(Padding.SAME, extent)
    needed = (axis.out_extent(Padding.SAME, extent) - 1) * axis.stride + axis.reach
    assert before + after == max(0, needed - extent)
    assert after - before in (0, 1)
    if axis.out_extent(Padding.VALID, extent):
        assert axis.pads(Padding.VALID, extent) == (0, 0)


def padding_for(rows: int, pads: tuple[int, int], whole: int = Padding.SAME) -> int | None:
    """For a 3x1 window over ``rows`` local rows, of which ``pads`` are missing."""
    windows = Windows(WindowAxis(3, 1), WindowAxis(1, 1), whole)
    out = rows + sum(pads) - 2
    return windows.stock_padding((1, rows, 4, 1), (1, out, 4, 1), [(0, 0), pads, (0, 0), (0, 0)])


def test_an_inner_strip_is_valid_and_a_border_strip_neither():
    assert padding_for(5, (1, 1)) == Padding.SAME
    assert padding_for(5, (0, 0)) == Padding.VALID
    assert padding_for(5, (1, 0)) is None
    assert padding_for(5, (0, 1)) is None
    assert padding_for(5, (2, 0)) is None


def test_the_node_s_own_padding_is_kept_where_both_would_do():
    windows = Windows(WindowAxis(1, 1), WindowAxis(1, 1), Padding.VALID)
    shape, none = (1, 5, 4, 1), [(0, 0)] * 4
    assert windows.stock_padding(shape, shape, none) == Padding.VALID
