# SPDX-License-Identifier: Apache-2.0
"""What a search adds up, and what it compares ways by."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tflsplit.planner.cost.evaluate import Step
from tflsplit.planner.searching.search import Label


def value_of(label: Label) -> float:
    """Of the objective, so far."""
    return label.value


_USUAL_RATE = 2e-3
"""Bytes that a microsecond is worth in a usual plan: a kilobyte is worth half a second."""
_TIMES = 2
"""A way of fewer bytes may take so many times as long as the usual one."""
_HARDLY = 1e-6


def smallest_label(labels: Sequence[Label]) -> Label:
    """The way of the least tail; of equal ones the quickest.

    Not one that takes more than ``_TIMES`` the time of the way that trades both at a usual rate:
    the last few bytes of a tail would be bought at any price.
    """
    usual = min(labels, key=lambda label: _tail_bytes(label) + _USUAL_RATE * label.value)
    near = (label for label in labels if label.value <= _TIMES * usual.value)
    return min(near, key=lambda label: (_tail_bytes(label), label.value))


def ram_of(label: Label) -> float:
    """The tail; of equal ones the time decides."""
    return _tail_bytes(label) + _HARDLY * label.value


def _tail_bytes(label: Label) -> float:
    return max(label.tail_bytes)


VALUES: dict[str, Callable[[Step], float]] = {
    "latency": lambda step: step.cost.time_us,
    "ram": lambda step: step.cost.time_us,
    "bytes": lambda step: step.cost.wire_bytes + 1e-3 * step.cost.time_us,
}
"""What a step adds to an objective; RAM is a limit (the head) and a label (the tail)."""
