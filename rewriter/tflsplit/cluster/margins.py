# SPDX-License-Identifier: Apache-2.0
"""How far a predicted time may be off, as far as published measurements tell.

A board's cycles are instructions that were counted, times one factor for its core from published
latencies (``boards.toml``).  Where several were published, their range is the factor's; the counts
themselves are within 0.97 to 1.02 (docs/simulate.md, "How far off it is").
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

COUNTED = (1 / 1.02, 1 / 0.97)
"""What instructions really are, of those predicted."""

_M7, _M4, _COUNTED = (4.2, 4.5, 4.35), (3.7, 5.4, 5.0), (1.0, 1.0, 1.0)
PUBLISHED: Mapping[str, tuple[float, float, float]] = MappingProxyType(
    {
        "teensy41": _M7,
        "teensy41_psram": _M7,
        "nucleo_h743zi": _M7,
        "pico2": (3.0, 4.0, 4.0),
        "nano33ble": _M4,
        "stm32f4_discovery": _M4,
        "stm32f405": _M4,
        "mps2_an386": _COUNTED,
        "mps2_an500": _COUNTED,
        "mps2_an500_64k": _COUNTED,
        "mps2_an500_128k": _COUNTED,
        "mps2_an500_banks": _COUNTED,
        "mps2_an505": _COUNTED,
        "mps3_an547": _COUNTED,
    }
)
"""By board: the least and most cycles per multiply-accumulate that were published for its core, and
what is taken; 1 where instructions are the time (emulated boards).  Not here: of whose core one
figure or none was published."""


def time_margin(board: str) -> tuple[float, float] | None:
    """A time on a board over what is predicted of it, at least and at most; None: unknown."""
    if board not in PUBLISHED:
        return None
    least, most, taken = PUBLISHED[board]
    return least / taken * COUNTED[0], most / taken * COUNTED[1]


def margin_text(board: str) -> str:
    """``-5 to +7 %``; ``unknown``."""
    margin = time_margin(board)
    if margin is None:
        return "unknown"
    return f"{100 * (margin[0] - 1):+.0f} to {100 * (margin[1] - 1):+.0f} %".replace("-", "−")
