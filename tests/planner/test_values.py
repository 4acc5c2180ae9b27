# SPDX-License-Identifier: Apache-2.0
"""The least RAM is the smallest tail, but for the last bytes at more than twice the time."""

from __future__ import annotations

from tflsplit.planner.searching.front import Front
from tflsplit.planner.searching.search import Label
from tflsplit.planner.searching.values import ram_of, smallest_label


def label(tail: int, time_us: float) -> Label:
    return Label(time_us, (0, 0), (tail - 8, tail), 0, Front.start(2), 0)


def test_the_smallest_tail_is_taken_though_it_takes_longer():
    quick, small = label(1024, 10_000), label(976, 19_000)
    assert smallest_label([quick, small]) is small
    assert smallest_label([small, quick]) is small


def test_not_at_more_than_twice_the_time():
    quick, smaller, smallest = label(1024, 10_000), label(1008, 20_000), label(1007, 20_001)
    assert smallest_label([smallest, smaller, quick]) is smaller


def test_what_is_much_smaller_sets_the_time_itself():
    """512 bytes are worth 256 ms: the slower way is the one to compare with."""
    quick, small, smallest = label(1024, 10_000), label(512, 200_000), label(496, 390_000)
    assert smallest_label([quick, small, smallest]) is smallest


def test_of_equal_tails_the_quicker():
    assert smallest_label([label(512, 9_000), (quick := label(512, 8_000))]) is quick
    assert ram_of(label(512, 8_000)) < ram_of(label(512, 9_000)) < ram_of(label(513, 0))
