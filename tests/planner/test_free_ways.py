# SPDX-License-Identifier: Apache-2.0
"""Ways without limits: when they are sure to need too much, and what a search keeps meanwhile."""

from __future__ import annotations

import gc

import pytest

from tests.planner.small import residual, uart
from tflsplit.planner.collecting import collecting_rarely
from tflsplit.planner.cost.evaluate import arena_of
from tflsplit.planner.searching.choices import Choices
from tflsplit.planner.searching.free_ways import FreeWays


@pytest.fixture(scope="module")
def choices() -> Choices:
    return Choices(residual(), uart(2))


@pytest.mark.parametrize("objective", ["latency", "bytes"])
def test_what_a_way_needs_is_known_up_to_a_limit(choices: Choices, objective: str):
    """The short cut says the same as finding the way and adding up what it needs."""
    way = FreeWays(choices).best(objective)
    assert way
    exact = arena_of(way)
    for most in (0.3 * exact, exact - 1, exact, 2 * exact):
        found = FreeWays(choices).arena_bytes(objective, most)
        assert found == (exact if exact <= most else float("inf")), most


def test_a_limit_does_not_change_what_the_best_way_is(choices: Choices):
    ways = FreeWays(choices)
    assert ways.arena_bytes("latency", 1.0) == float("inf")
    found, plain = ways.best("latency"), FreeWays(choices).best("latency")
    assert found
    assert plain
    assert [step.option for step in found] == [step.option for step in plain]


def test_work_of_the_first_units_adds_up(choices: Choices):
    whole = choices.work_us(len(choices.units))
    assert choices.work_us(0) == [0.0, 0.0]
    assert all(a <= b for a, b in zip(choices.work_us(1), whole, strict=True))
    least = choices.least_work_us()
    assert all(0 < a <= b for a, b in zip(least, whole, strict=True))


def test_the_collector_is_left_as_it_was():
    before = gc.get_threshold()
    try:
        gc.set_threshold(700, 10, 10)
        with collecting_rarely():
            assert gc.get_threshold()[0] > 700
        assert gc.get_threshold() == (700, 10, 10)
        gc.set_threshold(0, 10, 10)
        with collecting_rarely():
            assert gc.get_threshold()[0] == 0
    finally:
        gc.set_threshold(*before)
