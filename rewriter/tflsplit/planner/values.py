# SPDX-License-Identifier: Apache-2.0
"""What a search adds up, and what it compares ways by."""

from __future__ import annotations

from collections.abc import Callable

from tflsplit.planner.evaluate import Step
from tflsplit.planner.search import Label


def value_of(label: Label) -> float:
    """Of the objective, so far."""
    return label.value


def ram_of(label: Label) -> float:
    """The tail, and a little of the time: a kilobyte is worth half a second, not ten."""
    return max(label.tail_bytes) + 2e-3 * label.value


VALUES: dict[str, Callable[[Step], float]] = {
    "latency": lambda step: step.cost.time_us,
    "ram": lambda step: step.cost.time_us,
    "bytes": lambda step: step.cost.wire_bytes + 1e-3 * step.cost.time_us,
}
"""What a step adds to an objective; RAM is a limit (the head) and a label (the tail)."""
