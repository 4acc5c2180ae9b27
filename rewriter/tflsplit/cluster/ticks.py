# SPDX-License-Identifier: Apache-2.0
"""How often a device polls its links while a kernel runs."""

from __future__ import annotations

TICK_CYCLES = 60_000
"""Between two polls from a timer while a kernel runs: a hundred times what an idle poll costs."""
SHORTEST_TICK_US = 100
"""Shorter ones hardly help: a frame of 512 bytes is 140 us on an SPI of 30 MHz."""


def tick_period_us(clock_hz: int) -> int:
    """How often a device of this clock polls its links while a kernel runs."""
    return max(SHORTEST_TICK_US, TICK_CYCLES * 1_000_000 // clock_hz)
