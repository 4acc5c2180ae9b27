# SPDX-License-Identifier: Apache-2.0
"""The predicted arenas against TFLM's own recording allocator."""

from __future__ import annotations

from collections.abc import Sequence

from tflsplit.devices import DeviceGraph
from tflsplit.memory import HOST_64, measure_arena, predict_arena


def arena_problems(devices: Sequence[DeviceGraph]) -> list[str]:
    """Every device graph whose arena TFLM allocates in another size than is predicted.

    The head is the same on every target; of the tail this confirms the formula, with this host's
    pointers (docs/arena.md).  Graphs with operators that nothing is known of are left out, and all
    of them where tflite-micro is not installed.
    Raises EngineError if TFLM refuses a graph.
    """
    problems = []
    for device in devices:
        here = predict_arena(device.graph, HOST_64, recording=True)
        measured = measure_arena(device.graph) if here.exact else None
        if measured is None:
            continue
        for what, predicted, found in (
            ("head", here.head_bytes, measured.head_bytes),
            ("tail", here.tail_bytes, measured.tail_bytes),
        ):
            if predicted != found:
                problems.append(
                    f"rank {device.rank}: the arena's {what} is predicted as {predicted} bytes "
                    f"here, but TFLM's recording allocator takes {found}"
                )
    return problems
