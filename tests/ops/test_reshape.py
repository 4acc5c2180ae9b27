# SPDX-License-Identifier: Apache-2.0
"""RESHAPE, SQUEEZE, EXPAND_DIMS: shards assembled are the whole."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.support import check_drawn, contents_of, integers, node, pieces_of, run_shards, tensor
from tflsplit.ir import Node
from tflsplit.ops import rule_of

MOST_DIMENSIONS = 8
"""TFLM's file parser takes no more in RESHAPE's option new_shape."""


def regrouped(draw: st.DrawFn, primes: list[int]) -> tuple[int, ...]:
    """A shape with the elements of ``primes`` in some grouping, with ones strewn in."""
    shape: list[int] = []
    current = 1
    for prime in primes:
        current *= prime
        if draw(st.booleans()):
            shape.append(current)
            current = 1
            if draw(st.booleans()):
                shape.append(1)
    return (*shape, current)


@st.composite
def reshapes(draw: st.DrawFn) -> Node:
    primes = draw(st.lists(st.sampled_from([1, 2, 2, 3, 5]), min_size=1, max_size=4))
    before = regrouped(draw, primes)
    after = regrouped(draw, draw(st.permutations(primes)))
    assume(max(len(before), len(after)) <= MOST_DIMENSIONS)
    x, y = tensor("x", before), tensor("y", after)
    inputs = [x, integers("shape", after)] if draw(st.booleans()) else [x]
    return node("RESHAPE", inputs, y, new_shape=after)


@settings(max_examples=80)
@given(reshapes(), st.data())
def test_every_factor(reshape: Node, data: st.DataObject):
    check_drawn(data, reshape)


@settings(max_examples=20)
@given(st.lists(st.integers(1, 4), min_size=2, max_size=4).map(tuple), st.booleans(), st.data())
def test_squeeze(shape: tuple[int, ...], by_default: bool, data: st.DataObject):
    ones = tuple(dim for dim, extent in enumerate(shape) if extent == 1)
    after = tuple(extent for extent in shape if extent != 1)
    squeeze = node(
        "SQUEEZE", [tensor("x", shape)], tensor("y", after), squeeze_dims=() if by_default else ones
    )
    check_drawn(data, squeeze)


@settings(max_examples=20)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple), st.data())
def test_expand_dims(shape: tuple[int, ...], data: st.DataObject):
    axis = data.draw(st.integers(-len(shape) - 1, len(shape)))
    place = axis if axis >= 0 else axis + len(shape) + 1
    after = (*shape[:place], 1, *shape[place:])
    check_drawn(
        data, node("EXPAND_DIMS", [tensor("x", shape), integers("axis", axis)], tensor("y", after))
    )


@pytest.mark.parametrize(
    ("before", "after", "steps"),
    [
        ((1, 7, 7, 16), (1, 784), {"channels": (7, 1, 112)}),
        ((1, 1, 1, 10), (1, 10), {"channels": (10, 1, 1)}),
        ((1, 10), (1, 1, 1, 10), {"channels": (10, 1, 1)}),
        ((1, 4, 5, 18), (1, 20, 18), {"rows": (4, 1, 5), "channels": (18, 1, 1)}),
        ((6, 4), (4, 6), {"batch": (2, 3, 2)}),
        ((5, 3), (3, 5), {"batch": (1, 5, 3)}),
        ((1, 1), (1,), {}),
    ],
)
def test_steps(
    before: tuple[int, ...], after: tuple[int, ...], steps: dict[str, tuple[int, int, int]]
):
    reshape = node("RESHAPE", [tensor("x", before)], tensor("y", after), new_shape=after)
    found = {}
    for factor in rule_of(reshape).factors(reshape):
        _, step = factor.operands[0]
        start, stop = step.need(0, 1)
        assert start == 0
        found[factor.name] = factor.size, stop, factor.results[0][1]
    assert found == steps
    assert math.prod(before) == math.prod(after)


def test_the_comparison_sees_a_wrong_step():
    """A piece whose operand box is one row off gives other elements."""
    reshape = node("RESHAPE", [tensor("x", (1, 4, 2, 3))], tensor("y", (1, 24)), new_shape=(1, 24))
    rule, known = rule_of(reshape), contents_of(reshape, 0)
    pieces = pieces_of(rule, reshape, rule.factors(reshape)[0], (0, 2, 4))
    swapped = [
        type(piece)(piece.results, other.operands, piece.pads, piece.macs)
        for piece, other in zip(pieces, pieces[::-1], strict=True)
    ]
    whole = known[reshape.input(0)].reshape(1, 24)
    np.testing.assert_array_equal(run_shards(reshape, pieces, known)[0], whole)
    assert (run_shards(reshape, swapped, known)[0] != whole).any()
