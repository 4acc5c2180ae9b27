# SPDX-License-Identifier: Apache-2.0
"""What bytes on the wires take from kernels."""

from __future__ import annotations

import pytest

from tflsplit.api.clusters import board_cluster
from tflsplit.cluster import LinkKind
from tflsplit.plan.cost.polling import POLL_CYCLES, poll_costs


@pytest.mark.parametrize(
    ("board", "kind", "interrupts"),
    [
        ("teensy41", LinkKind.UART, 100 / 3),
        ("teensy41", LinkKind.SPI, 0),
        ("nucleo_h743zi", LinkKind.UART, 250),
        ("mps2_an500", LinkKind.UART, 0),
    ],
)
def test_a_byte_costs_its_poll_and_its_share_of_an_interrupt(
    board: str, kind: LinkKind, interrupts: float
):
    cluster = board_cluster(2, board, kind.value)
    cost, cycles = poll_costs(cluster)[1], POLL_CYCLES[kind]
    us = 7e6 / cluster.devices[1].clock_hz
    assert cost.sent_us(7, kind) == pytest.approx((cycles.sent_byte + interrupts) * us)
    assert cost.received_us(7, kind) == pytest.approx((cycles.received_byte + interrupts) * us)
    usb = POLL_CYCLES[LinkKind.USB].sent_byte * us  # of the host's wire
    assert cost.sent_us(7, LinkKind.USB) == pytest.approx(usb)
