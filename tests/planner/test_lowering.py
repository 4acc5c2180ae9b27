# SPDX-License-Identifier: Apache-2.0
"""What a plan needs is found device by device, and no further than it takes to say it loses."""

from __future__ import annotations

from functools import cache

import pytest

from tests.planner.small import residual, uart
from tflsplit.memory.arena import predict_arena
from tflsplit.plan.policy import choose_plan
from tflsplit.plan.spec import Plan
from tflsplit.plan.wishes import Wishes
from tflsplit.planner import Planned, finish
from tflsplit.planner.cost.lowering import Lowering
from tflsplit.planner.whole.planned import smallest_of
from tflsplit.split.lower import lower


@cache
def by_hand(split: str) -> Plan:
    return choose_plan(residual(), Wishes(3, split, weights_limit=1.0, fuse=True))


def planned(split: str) -> Planned:
    return finish(residual(), by_hand(split), uart(3))


def test_each_device_is_what_it_is_beside_the_others():
    lowered = lower(residual(), by_hand("rows"), draft=True)
    arenas = [predict_arena(device.graph, kernels="cmsis_nn").required_bytes for device in lowered]
    found = Lowering(residual(), by_hand("rows"), uart(3))
    assert [found.arena(rank).required_bytes for rank in (2, 0, 1)] == [
        arenas[rank] for rank in (2, 0, 1)
    ]
    assert planned("rows").arena_bytes == max(arenas)


def test_one_device_is_enough_to_lose():
    whole = planned("rows")
    found = Lowering(residual(), by_hand("rows"), uart(3), fullest=1)
    assert not found.is_above(whole.arena_bytes)
    beaten = Lowering(residual(), by_hand("rows"), uart(3), fullest=1)
    assert beaten.is_above(whole.arenas[1].required_bytes - 1)
    assert set(beaten._unpacked) == {1}
    assert not beaten._drafts  # what is live at once was enough: nothing was placed
    assert not Lowering(residual(), by_hand("rows"), uart(3)).is_above(float("inf"))


@pytest.mark.parametrize("split", ["rows", "channels", "out_channels"])
def test_no_arena_is_below_what_is_known_before_anything_is_placed(split: str):
    found = Lowering(residual(), by_hand(split), uart(3))
    floors = [found._floor(rank) for rank in range(3)]
    assert not found._drafts
    arenas = [found.arena(rank).required_bytes for rank in range(3)]
    assert all(0.8 * arena < floor <= arena for floor, arena in zip(floors, arenas, strict=True))


def test_the_smallest_is_the_smallest_whoever_loses_early():
    plans = [planned(split) for split in ("channels", "rows", "out_channels", "rows")]
    least = min(planned.arena_bytes for planned in plans)
    smallest = smallest_of(residual(), plans)
    assert smallest is not None
    assert smallest.arena_bytes == least
    above = smallest_of(residual(), plans, least - 1)
    assert above is not None
    assert above.is_above(least - 1)
    assert smallest_of(residual(), []) is None
