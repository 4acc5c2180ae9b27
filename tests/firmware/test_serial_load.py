# SPDX-License-Identifier: Apache-2.0
"""The rate that a board is trusted with is one whose interrupts it can serve."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tflsplit.api.clusters import board_cluster
from tflsplit.cluster.serial_ports import PORTS
from tflsplit.firmware.boards import BOARDS
from tflsplit.firmware.serial_load import (
    interrupts_per_second,
    interrupts_us,
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


def test_the_time_of_an_inference_s_interrupts():
    """Bytes by two wires of a ring and the host's, by hand."""
    cluster = board_cluster(3, "stm32f405", "uart")
    wire_bytes = {(0, 1): 500, (1, 0): 100, (2, 0): 40, (1, 2): 7, (3, 0): 9_999}
    us = 100 / 168  # 100 cycles of 168 MHz a byte
    assert interrupts_us(cluster, wire_bytes) == pytest.approx([640 * us, 607 * us, 47 * us])
    teensy = replace(cluster.devices[2], board="teensy41", clock_hz=600_000_000)
    unknown = replace(cluster.devices[1], board="")
    mixed = replace(cluster, devices=(cluster.devices[0], unknown, teensy))
    fifo = 47 / 3 * 100 / 600
    assert interrupts_us(mixed, wire_bytes) == [pytest.approx(640 * us), None, pytest.approx(fifo)]
    spi = board_cluster(3, "teensy41", "spi")
    assert interrupts_us(spi, wire_bytes) == [None] * 3
