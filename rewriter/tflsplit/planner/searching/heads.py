# SPDX-License-Identifier: Apache-2.0
"""For the least RAM: which limits on the arena's head to search under.

The head is a limit for every unit alone, the tail adds up; a search under a limit on the head finds
the least tail.  What counts is their sum, and what saves head (tiles) costs tail (operators)::

    head + least tail  |  no way  |     ~
                       |          | ~   |  ~~  |        the lowest limit need not be the best;
                       |          |     | ~  ~~|~~~     beyond ``reach`` none can be better
                       +----------low----------reach--> limit on the head

Most of the steps that units could take need far more than the best limit allows.  So the limit is
raised from far below until there is a way: what no way under it can take is never looked at.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence

GRAIN_BYTES = 512
_FIRST_BYTES = 2048
_FACTOR = 1.2
_STRIDE_BYTES = 2048
_LEAST_TAIL = 0.7
"""The least tail of all, under no limit, is no less than this part of that under the lowest
(measured: from 0.77 on, mostly 0.94 to 1; a search under a high limit looks at every step)."""

Total = Callable[[float], float | None]
"""Head and least tail under a limit on the head; None if there is no way under it."""

Heads = Callable[[], Sequence[int]]
"""Bytes of head that the steps need which were looked at so far."""


def best_heads(total: Total, heads: Heads, most: float, wanted: int) -> list[float]:
    """So many limits on the head, the one with the smallest head and tail together first.

    most: RAM for the arena.
    """
    high = next((limit for limit in limits(most) if total(limit) is not None), None)
    if high is None:
        return []
    low = _lowest(total, _grains(heads(), high))
    reach = min(_reach(low, total(low) or most), most)
    tail = (total(reach) or reach) - reach  # the least of all; and now every step is known
    totals: list[tuple[float, float]] = []
    for head in _strides([grain for grain in _grains(heads(), reach) if grain >= low]):
        if len(totals) >= wanted and head + tail >= sorted(totals)[wanted - 1][0]:
            break
        if (found := total(head)) is not None:
            totals.append((found, head))
    return [head for _, head in sorted(totals)[:wanted]]


def _reach(low: float, total: float) -> float:
    """The limit beyond which the least tail would have to be smaller than it ever is."""
    least_tail = _LEAST_TAIL * (total - low)
    return max(low, -(-(total - least_tail) // GRAIN_BYTES) * GRAIN_BYTES)


def limits(most: float) -> Iterator[float]:
    """Limits to look for the first way under: ``_FACTOR`` times as much each, up to ``most``."""
    limit = min(float(_FIRST_BYTES), most)
    yield limit
    while limit < most:
        limit = min(_FACTOR * limit, most)
        yield limit


def _lowest(total: Total, grains: Sequence[float]) -> float:
    """The lowest limit under which there is a way; there is one under the last."""
    last = len(grains) - 1
    return grains[bisect_left(grains, True, hi=last, key=lambda head: total(head) is not None)]


def _strides(grains: Sequence[float]) -> Iterator[float]:
    """The first, and from each the last within a stride, or the next.

    A way under one that is passed over is a way under the next of these, less than a stride above.
    """
    at = 0
    while at < len(grains):
        yield grains[at]
        at = max(at + 1, bisect_right(grains, grains[at] + _STRIDE_BYTES) - 1)


def _grains(heads: Sequence[int], limit: float) -> list[float]:
    """The limits that make a difference up to one, in ascending order."""
    rounded = {-(-head // GRAIN_BYTES) * GRAIN_BYTES for head in heads if head <= limit}
    return [float(head) for head in sorted(rounded)]
