# SPDX-License-Identifier: Apache-2.0
"""The rate that a board is trusted with is one whose interrupts it can serve."""

from __future__ import annotations

import pytest

from tflsplit.firmware.boards import BOARDS
from tflsplit.firmware.serial_load import (
    PORTS,
    interrupts_per_second,
    rate_warnings,
    share,
    trusted_baud,
)


def test_a_byte_to_an_interrupt_both_ways_on_two_wires():
    assert interrupts_per_second("nucleo_h743zi", 2_000_000) == 800_000
    assert share("nucleo_h743zi", 2_000_000) == pytest.approx(800_000 * 250 / 480e6)


@pytest.mark.parametrize("name", sorted(PORTS))
def test_a_boards_own_rate_is_one_that_it_is_trusted_with(name: str):
    baud = BOARDS[name].baud
    assert baud is not None
    assert rate_warnings([name], "uart", baud) == []
    assert baud <= trusted_baud(name)
    assert share(name, trusted_baud(name)) <= 0.25 < share(name, trusted_baud(name) + 100_000)


def test_a_rate_that_is_too_much_is_said_once_for_each_board():
    (text,) = rate_warnings(["nucleo_h743zi", "teensy41", "nucleo_h743zi"], "uart", 6_000_000)
    assert text.startswith("6,000,000 baud is up to 2,400,000 interrupts a second on nucleo_h743zi")
    assert "125% of its processor" in text
    assert text.endswith("it is trusted with 1,200,000 baud")
    assert rate_warnings(["nucleo_h743zi"], "spi", 30_000_000) == []
    assert rate_warnings(["mps2_an500", None], "uart", 6_000_000) == []
    assert rate_warnings(["nucleo_h743zi"], "uart", None) == []
