# SPDX-License-Identifier: Apache-2.0
"""Maps from factors to operands, and pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import node, tensor
from tflsplit.errors import InternalError
from tflsplit.ops import Box
from tflsplit.ops.factors import (
    DimMap,
    Factor,
    Scaled,
    Shifted,
    Strided,
    Window,
    piece_of,
)

spans = st.tuples(st.integers(0, 20), st.integers(1, 10)).map(lambda ab: (ab[0], sum(ab)))


@given(spans, st.integers(1, 5), st.integers(1, 4), st.integers(1, 3), st.integers(0, 3))
def test_windows_reach_every_tap(span, kernel, stride, dilation, before):
    taps = [
        step * stride - before + tap * dilation for step in range(*span) for tap in range(kernel)
    ]
    window = Window(kernel, stride, dilation, before, steps=99, extent=0)
    assert window.need(*span) == (min(taps), max(taps) + 1)


@given(spans, st.integers(1, 5), st.integers(0, 5))
def test_maps_reach_every_element(span, scale, offset):
    steps = range(*span)

    def reached(dim_map: DimMap, elements: list[int]) -> None:
        assert dim_map.need(*span) == (min(elements), max(elements) + 1)

    reached(Scaled(scale), [step * scale + i for step in steps for i in range(scale)])
    reached(Shifted(offset), [step - offset for step in steps])
    reached(Strided(offset, scale), [offset + step * scale for step in steps])


def test_all_steps_of_a_window_read_all_of_the_operand():
    """1x1 with stride 2 over 8 rows needs half of them; every row is somebody's all the same."""
    window = Window(1, 2, steps=4, extent=8)
    assert window.need(0, 4) == (0, 8)
    assert window.need(2, 4) == (4, 8)
    assert window.need(0, 2) == (0, 4)
    assert Window(3, 1, pad_before=1, steps=4, extent=4).need(0, 4) == (-1, 5)


@given(st.integers(1, 5), st.integers(1, 4), st.integers(0, 3), st.integers(1, 9), st.data())
def test_steps_leave_no_row_over(kernel, stride, before, steps, data):
    """Whatever rows a convolution leaves out, the pieces of any split read all of them."""
    before = min(before, kernel - 1)
    least = max(1, (steps - 1) * stride - before + 1)  # the last window touches the operand
    extent = data.draw(st.integers(least, least + kernel + stride))
    window = Window(kernel, stride, 1, before, steps, extent)
    cut = data.draw(st.integers(0, steps))
    read: set[int] = set()
    for start, stop in ((0, cut), (cut, steps)):
        if start < stop:
            first, last = window.need(start, stop)
            read.update(range(max(0, first), min(extent, last)))
            taps = [s * stride - before + tap for s in range(start, stop) for tap in range(kernel)]
            assert first <= min(taps)
            assert last > max(taps)
            # padding is what a tap reads outside, and nothing else
            assert max(0, last - extent) == max(0, max(taps) + 1 - extent)
    assert read == set(range(extent))


ROWS = Factor("rows", 4, {0: (0, Window(3, 1, 1, 1))}, {0: (0, 2)})
CHANNELS = Factor("channels", 3, {0: (1, Scaled(1))}, {0: (1, 1)})
NODE = node("X", [tensor("x", (4, 3)), None], tensor("y", (8, 3)))


def test_a_piece_is_clipped_and_knows_what_is_missing():
    piece = piece_of(NODE, (ROWS, CHANNELS), {"rows": (0, 2), "channels": (1, 3)}, 120)
    assert piece.results == (Box(((0, 4), (1, 3))),)
    assert piece.operands == (Box(((0, 3), (1, 3))), None)
    assert piece.pads == (((1, 0), (0, 0)), ())
    assert piece.macs == 120 * (2 * 2) // (4 * 3)


def test_factors_that_are_not_named_run_whole():
    piece = piece_of(NODE, (ROWS, CHANNELS), {}, 120)
    assert piece.results == (Box.whole((8, 3)),)
    assert piece.operands[0] == Box.whole((4, 3))
    assert piece.pads[0] == ((1, 1), (0, 0))
    assert piece.macs == 120


def test_an_empty_interval_makes_and_reads_nothing():
    piece = piece_of(NODE, (ROWS, CHANNELS), {"rows": (2, 2)}, 120)
    assert piece.is_empty
    assert piece.operands[0] is not None
    assert piece.operands[0].is_empty
    assert piece.macs == 0


def test_unknown_factors_are_a_bug():
    with pytest.raises(InternalError, match="no factor depth"):
        piece_of(NODE, (ROWS, CHANNELS), {"depth": (0, 1)})
