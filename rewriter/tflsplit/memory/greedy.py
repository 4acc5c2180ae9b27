# SPDX-License-Identifier: Apache-2.0
"""TFLM's GreedyMemoryPlanner, reproduced to the byte.

Source: ``micro/memory_planner/greedy_memory_planner.cc`` of TFLM at commit 90b983c.  Buffers with
a fixed offset come first, in their order; the others by falling size, of equal sizes the one that
was added last first.  Each goes into the first gap, in order of address, between the buffers
placed so far that are live at the same time.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from tflsplit.memory.buffers import ArenaPlan, Buffer

_Placed = tuple[int, int, int, int]  # offset, end, first, last


def greedy_plan(buffers: Sequence[Buffer], walls: Sequence[Buffer] = ()) -> ArenaPlan:
    """Offsets for ``buffers``, which stand in the order in which TFLM adds them.

    walls: added before them, and left out of the plan (``banks``).
    """
    plan = placed_in_order(_planning_order([*walls, *buffers]))
    if not walls:
        return plan
    return ArenaPlan({buffer: at for buffer, at in plan.offsets.items() if buffer not in walls})


def placed_in_order(buffers: Sequence[Buffer]) -> ArenaPlan:
    """Every buffer in the first gap that the ones before it leave."""
    placed: list[_Placed] = []
    offsets: dict[Buffer, int] = {}
    for buffer in buffers:
        offset = buffer.offset_bytes
        if offset is None:
            offset = _first_gap(placed, buffer)
        offsets[buffer] = offset
        # Behind those with the same offset, as TFLM inserts them.
        place = bisect_right(placed, offset, key=_offset_of)
        placed.insert(place, (offset, offset + buffer.size_bytes, buffer.first, buffer.last))
    return ArenaPlan(offsets)


def _offset_of(entry: _Placed) -> int:
    return entry[0]


def _planning_order(buffers: Sequence[Buffer]) -> list[Buffer]:
    fixed = [buffer for buffer in buffers if buffer.offset_bytes is not None]
    free = [buffer for buffer in reversed(buffers) if buffer.offset_bytes is None]
    return fixed + sorted(free, key=lambda buffer: -buffer.size_bytes)


def _first_gap(placed: Sequence[_Placed], buffer: Buffer) -> int:
    size, wanted_first, wanted_last = buffer.size_bytes, buffer.first, buffer.last
    candidate = 0
    for offset, end, first, last in placed:
        if first > wanted_last or wanted_first > last:
            continue
        if offset - candidate >= size:
            break
        candidate = max(candidate, end)
    return candidate
