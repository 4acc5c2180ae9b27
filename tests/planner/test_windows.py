# SPDX-License-Identifier: Apache-2.0
"""Windows of several widths: a search takes the widest that has room, and asks for few."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import pytest

from tests.planner.small import uart
from tests.splits import tiny
from tflsplit.planner.cost.evaluate import Step
from tflsplit.planner.cost.menus import NARROW, ROLLING, by_windows, hosted
from tflsplit.planner.searching.choices import Choices
from tflsplit.planner.searching.search import has_room
from tflsplit.planner.ways.options import OPTIONS, Option


def test_options_that_differ_in_their_windows_only_are_together():
    groups = by_windows((*NARROW, *OPTIONS[:2]))
    assert [[option.narrow for option in group] for group in groups] == [[1, 8, 2]] * 3 + [[0]] * 2
    assert [group[0].split for group in groups[:3]] == ["whole", "rows", "columns"]
    alone = by_windows((*NARROW, *OPTIONS[:2]), together=False)
    assert alone == tuple((option,) for option in (*NARROW, *OPTIONS[:2]))


@pytest.mark.parametrize("options", [ROLLING, hosted(NARROW), OPTIONS])
def test_no_option_is_lost(options: tuple[Option, ...]):
    found = [option for group in by_windows(options) for option in group]
    assert sorted(map(repr, found)) == sorted(map(repr, options))


@cache
def choices() -> Choices:
    return Choices(tiny("mobilenet"), uart(2), narrow=True)


def every_narrow_step() -> list[Step]:
    """Of the second unit, a block, whose input the devices have by rows."""
    first = choices().expand(0, {}, (Option("rows"),))[0]
    given = choices().given(1, first.layouts)
    return choices().expand(1, given, [o for o in NARROW if o.split == "rows"])


def test_the_wider_the_more_room_it_takes_and_the_quicker_it_is():
    """What the short cut stands on."""
    steps = sorted(every_narrow_step(), key=lambda step: step.option.narrow)
    assert len(steps) > 1
    for narrow, wide in pairwise(steps):
        assert max(narrow.cost.head_bytes) <= max(wide.cost.head_bytes)
        assert narrow.cost.tail_bytes >= wide.cost.tail_bytes
        assert narrow.cost.time_us >= wide.cost.time_us
        assert narrow.layouts == wide.layouts


def test_of_each_group_the_widest_that_has_room_is_taken():
    steps = every_narrow_step()
    fresh = Choices(tiny("mobilenet"), uart(2), narrow=True)
    first = fresh.expand(0, {}, (Option("rows"),))[0]
    given = fresh.given(1, first.layouts)
    options = [option for option in NARROW if option.split == "rows"]
    for limit in sorted({max(step.cost.head_bytes) for step in steps}):
        room = [step for step in steps if has_room(step, (limit, limit))]
        widest = max(room, key=lambda step: step.option.narrow)
        found = fresh.expand(1, given, options, lambda s, n=limit: has_room(s, (n, n)))  # type: ignore[misc]
        assert [step.cost.head_bytes for step in found] == [widest.cost.head_bytes]


def test_where_the_narrowest_has_no_room_nobody_else_is_asked():
    fresh = Choices(tiny("mobilenet"), uart(2), narrow=True)
    first = fresh.expand(0, {}, (Option("rows"),))[0]
    asked: list[int] = []

    def has_none(step: Step) -> bool:
        asked.append(step.option.narrow)
        return False

    options = [option for option in NARROW if option.split == "rows"]
    assert fresh.expand(1, fresh.given(1, first.layouts), options, has_none) == []
    assert asked == [1]
