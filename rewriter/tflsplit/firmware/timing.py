# SPDX-License-Identifier: Apache-2.0
"""Time-outs of the links, from their rate."""

from __future__ import annotations

from dataclasses import dataclass

from tflsplit.wire.frames import max_encoded_bytes
from tflsplit.wire.timers import MULTICAST_HOLD_US

_BITS_PER_BYTE = 10  # start, eight, stop
_US = 1_000_000
# Emulated UARTs pass some 40,000 bytes a second.
_EMULATED_BYTES_PER_SECOND = 40_000


@dataclass(frozen=True)
class LinkTiming:
    """``Timing`` of split_core's config.h, in microseconds, and the longest wait for one box."""

    hello_interval_us: int
    poll_interval_us: int
    poll_interval_max_us: int
    peer_timeout_us: int
    multicast_hold_us: int
    timeout_ms: int


def timing_of(mtu_bytes: int, rx_slots: int, baud: int | None, is_emulated: bool) -> LinkTiming:
    """A poll must come later than one window takes on the wire, or it costs bandwidth.

    A peer counts as silent only after the longest kernel between two polls: seconds on a board,
    more where several emulated processors share one.
    """
    rate = baud / _BITS_PER_BYTE if baud and not is_emulated else _EMULATED_BYTES_PER_SECOND
    window_us = int((rx_slots + 1) * max_encoded_bytes(mtu_bytes) / rate * _US)
    poll_us = max(20_000, 2 * window_us)
    return LinkTiming(
        hello_interval_us=max(20_000, window_us),
        poll_interval_us=poll_us,
        poll_interval_max_us=8 * poll_us,
        peer_timeout_us=30 * _US if is_emulated else 5 * _US,
        multicast_hold_us=MULTICAST_HOLD_US,
        timeout_ms=120_000 if is_emulated else 20_000,
    )
