# SPDX-License-Identifier: Apache-2.0
"""Boxes: checked against NumPy arrays of flags."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tflsplit.ops import Box, is_partition

SHAPE = (4, 5, 3)


def flags(box: Box) -> np.ndarray:
    array = np.zeros(SHAPE, bool)
    if not box.is_empty:
        array[box.slices] = True
    return array


boxes = st.tuples(
    *(
        st.tuples(st.integers(0, extent), st.integers(0, extent)).map(lambda ab: (min(ab), max(ab)))
        for extent in SHAPE
    )
).map(Box)


@given(boxes, boxes)
def test_intersection_hull_and_containment(a: Box, b: Box):
    np.testing.assert_array_equal(flags(a.intersect(b)), flags(a) & flags(b))
    hull = a.hull(b)
    assert hull.contains(a)
    assert hull.contains(b)
    assert a.contains(b) == (not (flags(b) & ~flags(a)).any())
    assert a.size == flags(a).sum()


@given(boxes, boxes)
def test_hulls_are_the_smallest(a: Box, b: Box):
    hull = a.hull(b)
    for dim, (start, stop) in enumerate(hull.intervals):
        if not hull.is_empty:
            for smaller in ((start + 1, stop), (start, stop - 1)):
                less = hull.with_dim(dim, smaller)
                assert not (less.contains(a) and less.contains(b))


@given(boxes)
def test_flat_bounds_round_trip(box: Box):
    assert Box.from_flat(box.flat()) == box
    moved = box.relative_to((1, 2, 3))
    assert moved.shape == box.shape
    assert moved.origin == tuple(o - d for o, d in zip(box.origin, (1, 2, 3), strict=True))


def test_an_odd_number_of_bounds_is_refused():
    with pytest.raises(ValueError, match="even"):
        Box.from_flat((0, 1, 2))


def test_scalars_are_whole():
    assert Box.whole(()).size == 1
    assert not Box.whole(()).is_empty
    assert str(Box(((0, 2), (1, 3)))) == "[0:2, 1:3]"


def test_partitions():
    left, right = Box(((0, 2), (0, 3))), Box(((2, 4), (0, 3)))
    assert is_partition([left, right, Box.empty(2)], (4, 3))
    assert not is_partition([left], (4, 3))
    assert not is_partition([left, right, right], (4, 3))
    assert not is_partition([left, Box(((2, 5), (0, 3)))], (4, 3))
