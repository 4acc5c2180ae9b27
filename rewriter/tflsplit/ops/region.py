# SPDX-License-Identifier: Apache-2.0
"""Half-open intervals and boxes: which part of a tensor."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Interval = tuple[int, int]
"""``[start, stop)``; empty when ``stop <= start``."""


@dataclass(frozen=True)
class Box:
    """The part ``[start, stop)`` of a tensor along every dimension; of a scalar, ``()``."""

    intervals: tuple[Interval, ...]

    @classmethod
    def whole(cls, shape: Sequence[int]) -> Box:
        """All of a tensor of this shape."""
        return cls(tuple((0, extent) for extent in shape))

    @classmethod
    def at(cls, origin: Sequence[int], shape: Sequence[int]) -> Box:
        """What a tensor of this shape covers when its element 0 lies at ``origin``."""
        return cls(tuple([(o, o + extent) for o, extent in zip(origin, shape, strict=True)]))

    @classmethod
    def empty(cls, ndim: int) -> Box:
        """Nothing of a tensor with ``ndim`` dimensions (``ndim`` >= 1)."""
        return cls(((0, 0),) * ndim)

    @property
    def shape(self) -> tuple[int, ...]:
        """Extent along every dimension."""
        return tuple([max(0, stop - start) for start, stop in self.intervals])

    @property
    def origin(self) -> tuple[int, ...]:
        """Where the box begins."""
        return tuple(start for start, _ in self.intervals)

    @property
    def size(self) -> int:
        """Number of elements."""
        # A plain loop: planning asks this a million times.
        size = 1
        for start, stop in self.intervals:
            if stop <= start:
                return 0
            size *= stop - start
        return size

    @property
    def is_empty(self) -> bool:
        """Whether the box holds no element."""
        # A plain loop, as above.
        for start, stop in self.intervals:  # noqa: SIM110
            if stop <= start:
                return True
        return False

    def contains(self, other: Box) -> bool:
        """Whether ``other`` lies inside (an empty box lies everywhere)."""
        if other.is_empty:
            return True
        # A plain loop, as above.
        for (a0, a1), (b0, b1) in zip(self.intervals, other.intervals, strict=True):
            if b0 < a0 or a1 < b1:
                return False
        return True

    def intersect(self, other: Box) -> Box:
        """The common part; empty (all zero) if there is none."""
        common = []
        for (a0, a1), (b0, b1) in zip(self.intervals, other.intervals, strict=True):
            start, stop = b0 if a0 < b0 else a0, b1 if b1 < a1 else a1
            if stop <= start:
                return Box.empty(len(self.intervals))
            common.append((start, stop))
        return Box(tuple(common))

    def common_size(self, other: Box) -> int:
        """Number of elements of ``intersect``, which is not made."""
        size = 1
        for (a0, a1), (b0, b1) in zip(self.intervals, other.intervals, strict=True):
            extent = (a1 if a1 < b1 else b1) - (b0 if a0 < b0 else a0)
            if extent <= 0:
                return 0
            size *= extent
        return size

    def hull(self, other: Box) -> Box:
        """The smallest box around both; an empty one adds nothing."""
        if self.is_empty or other.is_empty:
            return other if self.is_empty else self
        return Box(
            tuple(
                (min(a0, b0), max(a1, b1))
                for (a0, a1), (b0, b1) in zip(self.intervals, other.intervals, strict=True)
            )
        )

    def relative_to(self, origin: Sequence[int]) -> Box:
        """The same box in the coordinates of a tensor that begins at ``origin``."""
        return Box(
            tuple([(a - o, b - o) for (a, b), o in zip(self.intervals, origin, strict=True)])
        )

    def with_dim(self, dim: int, interval: Interval) -> Box:
        """A copy with one dimension's interval replaced."""
        return Box((*self.intervals[:dim], interval, *self.intervals[dim + 1 :]))

    @property
    def slices(self) -> tuple[slice, ...]:
        """Index for a NumPy array."""
        return tuple(slice(start, stop) for start, stop in self.intervals)

    def flat(self) -> tuple[int, ...]:
        """``(start0, stop0, start1, stop1, ...)``, as plans and custom options store it."""
        return tuple([bound for interval in self.intervals for bound in interval])

    @classmethod
    def from_flat(cls, bounds: Iterable[int]) -> Box:
        """The inverse of ``flat``; ValueError for an odd number of bounds."""
        numbers = [int(bound) for bound in bounds]
        if len(numbers) % 2:
            raise ValueError(f"a box needs an even number of bounds, not {len(numbers)}")
        return cls(tuple(zip(numbers[::2], numbers[1::2], strict=True)))

    def __str__(self) -> str:
        return "[" + ", ".join(f"{a}:{b}" for a, b in self.intervals) + "]"


def is_partition(boxes: Sequence[Box], shape: Sequence[int]) -> bool:
    """Whether every element of a tensor of ``shape`` lies in exactly one of ``boxes``."""
    return bool((_counts(boxes, shape) == 1).all())


def covers(boxes: Sequence[Box], shape: Sequence[int]) -> bool:
    """Whether every element of a tensor of ``shape`` lies in one or more of ``boxes``."""
    return bool((_counts(boxes, shape) >= 1).all())


def _counts(boxes: Sequence[Box], shape: Sequence[int]) -> NDArray[np.int16]:
    """In how many boxes each element lies; a box that sticks out counts nowhere (-1)."""
    count: NDArray[np.int16] = np.zeros(tuple(shape), np.int16)
    whole = Box.whole(shape)
    for box in boxes:
        if not whole.contains(box):
            return np.full(tuple(shape), -1, np.int16)
        if not box.is_empty:
            count[box.slices] += 1
    return count
