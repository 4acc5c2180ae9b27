# SPDX-License-Identifier: Apache-2.0
"""The search against the enumeration of all combinations of options."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.planner.small import every_way, residual, uart
from tests.splits import tiny
from tflsplit.plan.spec import Plan
from tflsplit.planner.cost.evaluate import Cost, Memory, Step, Traffic
from tflsplit.planner.searching.choices import Choices
from tflsplit.planner.searching.front import Front, arrived, best_rows, best_stairs
from tflsplit.planner.searching.search import Limits, search, unlimited
from tflsplit.planner.ways.options import WHOLE, Option

OBJECTIVES = {
    "latency": lambda step: step.cost.time_us,
    "bytes": lambda step: float(step.cost.wire_bytes),
}


def fits(way, heads, weights):
    used = [sum(each) for each in zip(*(s.cost.weights_bytes for s in way), strict=True)]
    return all(
        max(step.cost.head_bytes[r] for step in way) <= heads[r] and used[r] <= weights[r]
        for r in range(len(heads))
    )


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("world_size", [2, 3])
@pytest.mark.parametrize("share", [0.3, 0.5, 0.7, 1.0])
def test_the_search_finds_the_enumerated_optimum_under_limits(objective, world_size, share):
    choices = Choices(residual(), uart(world_size))
    ways = list(every_way(choices))
    assert len(ways) > 20
    top = max(max(step.cost.head_bytes) for way in ways for step in way)
    total = max(sum(max(s.cost.weights_bytes) for s in way) for way in ways)
    for heads, weights in (
        (share * top, total),
        (top, share * total),
        (share * top, share * total),
    ):
        limits = Limits((heads,) * world_size, (weights,) * world_size)
        found = search(choices.units, choices.expand, OBJECTIVES[objective], limits)
        allowed = [w for w in ways if fits(w, limits.head_bytes, limits.weights_bytes)]
        values = [sum(map(OBJECTIVES[objective], way)) for way in allowed]
        assert bool(found) == bool(allowed)
        if found:
            best = min(found, key=lambda label: label.value)
            assert best.value == pytest.approx(min(values), rel=1e-12)
            assert best.value == pytest.approx(sum(map(OBJECTIVES[objective], best.steps())))
            assert fits(best.steps(), limits.head_bytes, limits.weights_bytes)


def test_the_front_holds_the_flattest_tail_too():
    choices = Choices(residual(), uart(2))
    limits = Limits((1e9, 1e9), (1e9, 1e9))
    found = search(choices.units, choices.expand, OBJECTIVES["latency"], limits)
    tails = [
        max(sum(each) for each in zip(*(s.cost.tail_bytes for s in way), strict=True))
        for way in every_way(choices)
    ]
    assert min(max(label.tail_bytes) for label in found) == min(tails)


def test_weights_that_fit_nowhere_are_known_before_anything_is_lowered():
    choices = Choices(residual(), uart(2))
    total = sum(unit.matrices_bytes for unit in choices.units)
    assert 0 < total <= sum(unit.weights_bytes for unit in choices.units)
    limits = Limits((1e9, 1e9), (total / 2 - 1, total / 2))
    assert not search(choices.units, choices.expand, OBJECTIVES["bytes"], limits)
    assert not choices.all_steps()


def test_no_step_holds_less_than_the_weights_that_a_unit_is_said_to_bring():
    choices = Choices(tiny("mobilenet"), uart(3))
    ways = every_way(Choices(residual(), uart(2)))
    for step in (*choices.expand(0, {}), *(step for way in ways for step in way)):
        assert sum(step.cost.weights_bytes) >= step.unit.matrices_bytes


NUMBERS = st.integers(0, 4)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_without_limits_the_best_way_is_found_and_memory_is_not_looked_at(objective):
    graph = tiny("mobilenet")
    choices, cost = Choices(graph, uart(3)), OBJECTIVES[objective]
    options = (WHOLE, *choices.quick[:3])
    found = unlimited(choices.units, lambda i, g: choices.expand(i, g, options), cost)
    assert found
    assert not any("memory" in vars(step.cost) for step in choices.all_steps())
    limits = Limits((float("inf"),) * 3, (float("inf"),) * 3)
    labels = search(choices.units, lambda i, g: choices.expand(i, g, options), cost, limits)
    assert sum(map(cost, found)) == pytest.approx(min(label.value for label in labels))


@given(st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS), min_size=1, max_size=40))
def test_a_front_keeps_what_nothing_beats(rows):
    """Against the definition: of equal labels one stays, of others those that none beats."""
    cost = [
        Cost(partial(Traffic, float(v), 0), partial(Memory, (0, 0), (t, 0), (a, b)))
        for v, t, a, b in rows
    ]
    unit = Choices(residual(), uart(2)).units[0]
    plan = Plan(2, (), (0.5, 0.5))
    steps = [Step(unit, Option("rows"), plan, (), each) for each in cost]
    front = arrived([(Front.start(2), s, s.cost.time_us) for s in steps], (100.0, 100.0))
    kept = sorted(
        (front.values[i], front.tails[i].max(), *front.weights[i, :2]) for i in range(len(front))
    )

    def beats(x, y):
        return x != y and all(a <= b for a, b in zip(x, y, strict=True))

    wanted = {row for row in rows if not any(beats(other, row) for other in rows)}
    assert kept == sorted(tuple(map(float, row)) for row in wanted)
    assert len(best_rows(front)) == len(front)


@given(st.lists(st.tuples(*[st.integers(0, 4)] * 3), min_size=1, max_size=40))
def test_where_flash_is_not_scarce_a_front_keeps_what_nothing_beats_in_value_and_tail(rows):
    values, tails, weights = np.array(rows, np.float64).T[:, :, None]
    nothing = np.full(len(rows), -1)
    front = Front(values[:, 0], tails, np.hstack([weights, 0 * weights]), nothing, nothing)
    kept = best_stairs(front)
    pairs = set(zip(kept.values, kept.tails[:, 0], strict=True))
    assert len(pairs) == len(kept)
    every = {(value, tail) for value, tail, _ in rows}
    assert pairs == {
        (v, t) for v, t in every if not any(a <= v and b <= t for a, b in every - {(v, t)})
    }
    for value, tail, weight in zip(kept.values, kept.tails[:, 0], kept.weights[:, 0], strict=True):
        assert weight == min(w for v, t, w in rows if (v, t) == (value, tail))
