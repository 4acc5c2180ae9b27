# SPDX-License-Identifier: Apache-2.0
"""Tied buffers: joined only where that is sound, and placed as one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tflsplit.ir import DType, Value
from tflsplit.memory import Buffer
from tflsplit.memory.aliases import Tie
from tflsplit.memory.greedy import placed_in_order
from tflsplit.memory.groups import Group, meeting, peak_bytes, place, single, tied


def buffer(name: str, size: int, first: int, last: int) -> Buffer:
    value = Value(name, (size,), DType.INT8)
    return Buffer(-(-size // 16) * 16, first, last, value, name)


def tie(inner: Buffer, outer: Buffer, at: int) -> Tie:
    assert inner.value is not None
    assert outer.value is not None
    return Tie(inner.value, outer.value, at, "RESHAPE")


def shapes(groups: list[Group]) -> list[dict[str, int]]:
    """Each group as names with their offsets."""
    return [{buffer.label: at for buffer, at in group.members} for group in groups]


def test_without_ties_everybody_is_alone():
    buffers = [buffer("a", 32, 0, 1), buffer("b", 16, 1, 2)]
    assert shapes(tied(buffers, [])) == shapes(single(buffers)) == [{"a": 0}, {"b": 0}]


def test_scratch_is_nobodys():
    scratch = Buffer(64, 1, 1, None, "scratch")
    assert shapes(tied([scratch], [])) == [{"scratch": 0}]


def test_a_tied_pair_lies_as_the_tie_says():
    shard, y = buffer("shard", 64, 0, 2), buffer("y", 96, 2, 3)
    (group,) = tied([shard, y], [tie(shard, y, 16)])
    assert shapes([group]) == [{"y": 0, "shard": 16}]
    assert (group.size_bytes, group.first, group.last) == (96, 0, 3)


def test_what_overhangs_the_front_has_the_lowest_place():
    shard, y = buffer("shard", 64, 0, 2), buffer("y", 96, 2, 3)
    (group,) = tied([shard, y], [tie(shard, y, -32)])
    assert shapes([group]) == [{"y": 32, "shard": 0}]
    assert group.size_bytes == 128


def test_ties_add_up():
    a, b, c = buffer("a", 32, 0, 1), buffer("b", 64, 1, 2), buffer("c", 128, 2, 3)
    assert shapes(tied([a, b, c], [tie(a, b, 16), tie(b, c, 48)])) == [{"c": 0, "b": 48, "a": 64}]


def test_a_second_way_between_the_same_two_is_left_out():
    a, b = buffer("a", 32, 0, 1), buffer("b", 64, 1, 2)
    assert shapes(tied([a, b], [tie(a, b, 16), tie(a, b, 32)])) == [{"b": 0, "a": 16}]


def test_overlapping_views_of_one_tensor_may_be_live_together():
    x, v, w = buffer("x", 96, 0, 1), buffer("v", 48, 1, 3), buffer("w", 64, 1, 3)
    (group,) = tied([x, v, w], [tie(v, x, 0), tie(w, x, 32)])
    assert shapes([group]) == [{"x": 0, "v": 0, "w": 32}]


def test_results_that_hold_one_shard_but_other_halos_are_not_brought_together():
    x, y, z = buffer("x", 64, 0, 2), buffer("y", 96, 1, 3), buffer("z", 96, 2, 4)
    ties = [tie(x, y, 16), tie(x, z, 16)]
    assert shapes(tied([x, y, z], ties)) == [{"y": 0, "x": 16}, {"z": 0}]


def test_they_are_if_they_do_not_live_together():
    x, y, z = buffer("x", 64, 0, 4), buffer("y", 96, 1, 2), buffer("z", 96, 3, 4)
    (group,) = tied([x, y, z], [tie(x, y, 16), tie(x, z, 16)])
    assert shapes([group]) == [{"z": 0, "y": 0, "x": 16}]


def test_a_shard_that_overhangs_its_result_does_not_cover_a_neighbour():
    """x overhangs y by a row, and there, in z, lies w while x is still live."""
    x, y = buffer("x", 64, 0, 4), buffer("y", 64, 2, 5)
    w, z = buffer("w", 64, 3, 5), buffer("z", 128, 5, 6)
    ties = [tie(x, y, -16), tie(y, z, 64), tie(w, z, 0)]
    assert shapes(tied([x, y, w, z], ties)) == [{"z": 16 - 16, "y": 64, "x": 48}, {"w": 0}]


def test_members_are_counted_while_they_live():
    shard, y = buffer("shard", 64, 0, 2), buffer("y", 96, 2, 3)
    other = buffer("other", 80, 0, 1)
    groups = tied([shard, y, other], [tie(shard, y, 16)])
    assert peak_bytes(groups) == 64 + 80
    assert place(groups, meeting(groups[::-1])).offsets == place(groups).offsets
    assert peak_bytes(single([shard, y, other])) == 64 + 96


def test_a_place_under_a_member_that_is_not_yet_live_is_used():
    shard, y = buffer("shard", 32, 0, 2), buffer("y", 96, 2, 3)
    early = buffer("early", 64, 0, 1)
    plan = place(tied([shard, y, early], [tie(shard, y, 64)]))
    assert {b.label: at for b, at in plan.offsets.items()} == {"y": 0, "shard": 64, "early": 0}
    assert plan.head_bytes == 96


SPANS = st.lists(
    st.tuples(st.integers(1, 20), st.integers(0, 9), st.integers(0, 4)), min_size=1, max_size=20
)


@given(SPANS)
def test_alone_everybody_has_the_first_gap(spans):
    buffers = [Buffer(16 * s, a, a + n, None, f"b{i}") for i, (s, a, n) in enumerate(spans)]
    assert place(single(buffers)).offsets == placed_in_order(buffers).offsets
