# SPDX-License-Identifier: Apache-2.0
"""Numbers as the page shows them."""

from __future__ import annotations

import pytest

from tflsplit.report.figures import (
    deviation,
    kib,
    millions,
    milliseconds,
    percent,
    short_name,
    ticks,
)


def test_numbers():
    assert [kib(n) for n in (None, 0, 1023, 1024, 62_669, 3 << 20)] == [
        "–", "0 B", "1023 B", "1.0 KiB", "61.2 KiB", "3.00 MiB",
    ]  # fmt: skip
    assert [millions(n) for n in (None, 768, 12_500_000)] == ["–", "768", "12.50 M"]
    assert [milliseconds(us) for us in (None, 120, 12_340, 1_234_000)] == [
        "–", "0.12 ms", "12.3 ms", "1,234 ms",
    ]  # fmt: skip
    assert (percent(1, 4), percent(1, 0)) == ("25 %", "–")
    assert deviation(103.0, 100.0) == "+3.0 %"
    assert deviation(5, 5) == "="
    assert deviation(None, 5) == deviation(5, None) == deviation(5, 0) == "–"


def test_short_names():
    assert short_name("a;b;c") == "a"
    assert len(short_name("x" * 90)) == 44
    assert short_name("model/" + "y" * 60).endswith("yyy")


@pytest.mark.parametrize("largest", [0.02, 0.9, 3.0, 7.2, 29.9, 1667.3, 123_456.0])
@pytest.mark.parametrize("count", [6, 8])
def test_ticks_are_few_and_round(largest: float, count: int):
    found = ticks(largest, count)
    assert found[0] == 0
    assert 3 <= len(found) <= count + 1
    assert found[-1] <= largest < found[-1] + found[1]
    mantissa = f"{found[1]:e}"[0:3]
    assert mantissa in ("1.0", "2.0", "5.0")


def test_no_ticks_of_nothing():
    assert ticks(0) == [0]
