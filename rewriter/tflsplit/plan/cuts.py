# SPDX-License-Identifier: Apache-2.0
"""How the boxes of a layout cut a tensor."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from tflsplit.ops import Box


def is_replicated(owned: Sequence[Box], shape: Sequence[int]) -> bool:
    """Whether every rank has all of a tensor."""
    return all(box == Box.whole(shape) for box in owned)


def cuts_along(owned: Sequence[Box], shape: Sequence[int], dim: int) -> tuple[int, ...] | None:
    """The cuts if the boxes divide the tensor along ``dim`` alone, in rank order; else None."""
    cuts = [0]
    for box in owned:
        if box.is_empty:
            cuts.append(cuts[-1])
            continue
        start, stop = box.intervals[dim]
        if start != cuts[-1] or box.with_dim(dim, (0, shape[dim])) != Box.whole(shape):
            return None
        cuts.append(stop)
    return tuple(cuts) if cuts[-1] == shape[dim] else None


def busy(bounds: Sequence[int]) -> int:
    """How many ranks get a step."""
    return sum(start < stop for start, stop in pairwise(bounds))
