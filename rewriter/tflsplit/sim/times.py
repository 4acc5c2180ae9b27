# SPDX-License-Identifier: Apache-2.0
"""Sums over time: intervals that overlap, and energy."""

from __future__ import annotations

from tflsplit.cluster import Device

Intervals = list[tuple[float, float]]
"""(start, end) in microseconds."""


def merged(intervals: Intervals) -> Intervals:
    """The union of intervals, in order and apart."""
    union: Intervals = []
    for start, end in sorted(intervals):
        if union and start <= union[-1][1]:
            union[-1] = union[-1][0], max(union[-1][1], end)
        else:
            union.append((start, end))
    return union


def overlap_us(a: Intervals, b: Intervals) -> float:
    """How long two ordered lists of intervals, each apart, have in common."""
    total, i, j = 0.0, 0, 0
    while i < len(a) and j < len(b):
        total += max(0.0, min(a[i][1], b[j][1]) - max(a[i][0], b[j][0]))
        if a[i][1] < b[j][1]:
            i += 1
        else:
            j += 1
    return total


def energy_mj(hardware: Device, compute_us: float, total_us: float) -> float | None:
    """mJ over ``total_us``: active while computing, idle otherwise; None if power is not known.

    A device whose idle power is not known polls at full power, as the firmware does by default.
    """
    if hardware.active_mw is None:
        return None
    idle_mw = hardware.active_mw if hardware.idle_mw is None else hardware.idle_mw
    return (hardware.active_mw * compute_us + idle_mw * (total_us - compute_us)) / 1e6
