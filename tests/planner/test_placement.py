# SPDX-License-Identifier: Apache-2.0
"""Shares, and the packing of units into what flash is left, worked out by hand."""

from __future__ import annotations

import pytest

from tests.planner.small import mixed, residual, uart
from tflsplit.plan.spec import Plan
from tflsplit.planner.cost.evaluate import Cost, Memory, Step, Traffic
from tflsplit.planner.searching.choices import Choices
from tflsplit.planner.ways.options import Option
from tflsplit.planner.ways.shares import fewest_shares, only, part_of, share_vectors
from tflsplit.planner.whole.placement import place

EVEN = (0.25,) * 4


def step(option, weights, pooled=True, head=0):
    unit = Choices(residual(), uart(2)).units[0]
    cost = Cost(lambda: Traffic(0.0, 0), lambda: Memory((head,) * 4, (0,) * 4, tuple(weights)))
    return Step(unit, option, Plan(4, (), EVEN), (), cost, pooled)


ROWS, CHANNELS = Option("rows"), Option("channels")
PLACED, WHOLE = Option("whole", placed=True), Option("whole")


def test_units_go_where_most_is_left_largest_first():
    steps = [step(ROWS, (10, 0, 0, 20), pooled=False)]
    steps += [step(PLACED, (size, 0, 0, 0)) for size in (30, 80, 50)]
    placement = place((100,) * 4, steps, EVEN)
    assert placement.ranks == {2: 1, 3: 2, 1: 0}


def test_a_unit_that_follows_stays_with_the_one_before_if_there_is_room():
    steps = [step(PLACED, (40, 0, 0, 0)), step(WHOLE, (30, 0, 0, 0))]
    assert set(place((100, 60, 60, 60), steps, EVEN).ranks.values()) == {0}
    apart = place((60,) * 4, steps, EVEN).ranks
    assert apart[0] != apart[1]


def test_channels_are_even_while_there_is_room_and_the_last_takes_what_is_left():
    steps = [
        step(PLACED, (90, 0, 0, 0)),
        step(CHANNELS, (20, 20, 20, 20), head=9000),
        step(CHANNELS, (30, 30, 30, 30), head=100),
    ]
    placement = place((100,) * 4, steps, EVEN)
    amounts = [share * 80 for share in placement.shares[1]]
    assert amounts[0] == pytest.approx(10)
    assert amounts[1:] == pytest.approx([70 / 3] * 3)
    assert placement.shares[2] == pytest.approx((0, 1 / 3, 1 / 3, 1 / 3), abs=1e-6)


def test_equal_devices_have_one_vector_and_others_two():
    assert share_vectors(uart(4)).keys() == {"speed"}
    vectors = share_vectors(mixed())
    assert vectors.keys() == {"speed", "RAM"}
    assert vectors["speed"][0] > vectors["RAM"][0]
    assert sum(vectors["RAM"]) == pytest.approx(1)


@pytest.mark.parametrize(
    ("devices", "rows", "busy"), [(8, 14, 7), (8, 28, 7), (8, 56, 8), (16, 14, 14), (3, 1, 1)]
)
def test_no_more_devices_than_make_it_faster(devices, rows, busy):
    shares = fewest_shares((1 / devices,) * devices, rows)
    assert sum(share > 0 for share in shares) == busy


def test_parts_of_shares():
    assert only((0.5, 0.25, 0.25), [1, 2]) == (0, 0.5, 0.5)
    assert part_of((0.25,) * 4, 2) == (0.5, 0.5, 0, 0)
    assert part_of((0.25,) * 4, 4) == (1, 0, 0, 0)
