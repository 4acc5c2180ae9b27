# SPDX-License-Identifier: Apache-2.0
"""Shares, bounds in proportion to them, and what a split says of one rank."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tflsplit.errors import PlanError
from tflsplit.plan.spec import (
    NodeSplit,
    Plan,
    Way,
    even_shares,
    parse_shares,
    proportional_bounds,
)


def test_even_shares():
    assert even_shares(1) == (1.0,)
    assert even_shares(4) == (0.25, 0.25, 0.25, 0.25)


def test_parse_shares_makes_fractions():
    assert parse_shares("2,1,1", 3) == (0.5, 0.25, 0.25)
    assert parse_shares("0, 5", 2) == (0.0, 1.0)
    assert parse_shares("5e-1,1.5", 2) == (0.25, 0.75)


@pytest.mark.parametrize(
    ("text", "world_size", "says"),
    [
        ("2,1", 3, "names 2 devices, not 3"),
        ("2,1,1,1", 3, "names 4 devices, not 3"),
        ("2,x,1", 3, "not a comma-separated list of numbers"),
        ("", 1, "not a comma-separated list of numbers"),
        ("1,,1", 3, "not a comma-separated list of numbers"),
        ("1,-1", 2, "0 or more, and not all 0"),
        ("0,0", 2, "0 or more, and not all 0"),
        ("1,nan", 2, "0 or more, and not all 0"),
        ("1,inf", 2, "0 or more, and not all 0"),
    ],
)
def test_parse_shares_says_what_is_wrong(text: str, world_size: int, says: str):
    with pytest.raises(PlanError, match=says) as caught:
        parse_shares(text, world_size)
    assert f"shares={text}" in str(caught.value)


@pytest.mark.parametrize(
    ("size", "shares", "bounds"),
    [
        (56, even_shares(8), (0, 7, 14, 21, 28, 35, 42, 49, 56)),
        (7, even_shares(8), (0, 1, 2, 3, 4, 4, 5, 6, 7)),
        (10, (0.5, 0.25, 0.25), (0, 5, 8, 10)),
        (10, (0.0, 1.0, 0.0), (0, 0, 10, 10)),
        (1, even_shares(3), (0, 0, 1, 1)),
        (3, (1.0,), (0, 3)),
    ],
)
def test_proportional_bounds(size: int, shares: tuple[float, ...], bounds: tuple[int, ...]):
    assert proportional_bounds(size, shares) == bounds


@given(st.integers(1, 2000), st.lists(st.integers(0, 9), min_size=1, max_size=64).filter(any))
def test_proportional_bounds_are_ascending_and_half_a_step_off_at_most(size: int, parts: list[int]):
    shares = tuple(part / sum(parts) for part in parts)
    bounds = proportional_bounds(size, shares)
    assert len(bounds) == len(shares) + 1
    assert (bounds[0], bounds[-1]) == (0, size)
    assert all(a <= b for a, b in pairwise(bounds))
    for rank in range(1, len(parts)):
        exact = size * sum(parts[:rank]) / sum(parts)
        assert abs(bounds[rank] - exact) <= 0.5 + 1e-9
    assert all(
        start == stop
        for part, (start, stop) in zip(parts, pairwise(bounds), strict=True)
        if part == 0
    )


def test_a_split_says_what_a_rank_gets():
    halves = NodeSplit("a", Way.ROWS, "rows", (0, 3, 8), extents=((0, 4), (2, 8)))
    assert halves.share(1) == {"rows": (3, 8)}
    assert halves.computed(1) == {"rows": (2, 8)}
    plain = NodeSplit("a", Way.ROWS, "rows", (0, 3, 8))
    assert plain.computed(0) == plain.share(0) == {"rows": (0, 3)}
    assert NodeSplit("a", Way.REPLICATED).share(0) == {}
    assert NodeSplit("a", Way.WHOLE, rank=1).computed(1) == {}


def test_a_reduction_says_what_a_rank_keeps():
    split = NodeSplit(
        "a",
        Way.IN_CHANNELS,
        "in_channels",
        (0, 4, 8),
        scatter_factor="out_channels",
        scatter_bounds=(0, 2, 6),
    )
    assert split.share(1) == {"in_channels": (4, 8)}
    assert split.scatter_interval(1) == {"out_channels": (2, 6)}


def test_a_plan_finds_splits_by_node():
    splits = (NodeSplit("a", Way.WHOLE), NodeSplit("b", Way.REPLICATED))
    assert Plan(2, splits, even_shares(2)).by_node() == {"a": splits[0], "b": splits[1]}
