# SPDX-License-Identifier: Apache-2.0
"""Which limits on the head are tried, against trying all of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tflsplit.planner.searching.heads import best_heads

MOST = 100_000.0

STEPS = st.lists(st.tuples(st.integers(1, 90_000), st.integers(0, 40_000)), min_size=1, max_size=12)
"""(head, tail) of ways through a model: under a limit, the least tail among those below it."""


class Model:
    """Ways, of which a search finds those that fit; it looks at those only."""

    def __init__(self, ways: list[tuple[int, int]]) -> None:
        self.ways = ways
        self.looked_at: set[int] = set()

    def total(self, limit: float) -> float | None:
        fitting = [way for way in self.ways if way[0] <= limit]
        self.looked_at |= {head for head, _ in fitting}
        return limit + min(tail for _, tail in fitting) if fitting else None


@given(STEPS)
def test_the_first_is_within_a_stride_of_the_best_of_all(ways: list[tuple[int, int]]):
    model = Model(ways)
    found = best_heads(model.total, lambda: list(model.looked_at), MOST, 3)
    everything = [-(-head // 512) * 512 for head, _ in ways]
    least = min(total for head in everything if (total := model.total(head)) is not None)
    best = model.total(found[0])
    assert best is not None
    assert best <= least + 2048
    totals = [model.total(head) for head in found]
    assert totals == sorted(totals)  # type: ignore[type-var]


def test_the_best_between_two_strides_is_not_passed_over():
    model = Model([(440, 5493), (1420, 259), (5360, 211)])
    assert best_heads(model.total, lambda: list(model.looked_at), MOST, 3)[0] == 1536


@given(STEPS)
def test_what_cannot_be_best_is_not_looked_at(ways: list[tuple[int, int]]):
    model = Model(ways)
    best_heads(model.total, lambda: list(model.looked_at), MOST, 3)
    low = min(head for head, _ in ways)
    tail = min(tail for head, tail in ways if head <= -(-low // 512) * 512)
    assert max(model.looked_at) <= max(16_384, 2 * low, -(-low // 512) * 512 + tail)


def test_beyond_what_a_smaller_tail_could_make_up_for_nothing_is_looked_at():
    """The lowest way has a tail of 2000, the least of all is no less than 0.7 of that."""
    model = Model([(2048, 2000), (2648, 1500), (3500, 1400)])
    found = best_heads(model.total, lambda: [*model.looked_at, 2648, 3500], MOST, 3)
    assert found[0] == 2048
    assert model.looked_at == {2048, 2648}


def test_nothing_is_found_where_nothing_fits():
    model = Model([(90_000, 0)])
    assert best_heads(model.total, lambda: list(model.looked_at), 50_000, 3) == []


def test_a_limit_between_two_grains_is_found():
    """All of the RAM is needed, and is no multiple of anything."""
    model = Model([(50_001, 7)])
    assert best_heads(model.total, lambda: list(model.looked_at), 50_001, 3) == [50_176]
