# SPDX-License-Identifier: Apache-2.0
"""Quantization parameters, exactly as a model stores them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

_T = TypeVar("_T", int, float)


@dataclass(frozen=True)
class Quantization:
    """``real = scale * (stored - zero_point)``, for the whole tensor or per slice of ``axis``.

    scales: floats that are exactly float32 values (nothing here ever rounds them).
    zero_points: as many as scales, or empty.
    axis: the dimension that the scales run along; meaningful with more than one scale.
    minimum, maximum, details: carried through a file round trip, never interpreted.
    """

    scales: tuple[float, ...] = ()
    zero_points: tuple[int, ...] = ()
    axis: int = 0
    minimum: tuple[float, ...] = ()
    maximum: tuple[float, ...] = ()
    details: bytes | None = None

    @property
    def per_channel(self) -> bool:
        """Whether the parameters run along ``axis``."""
        return len(self.scales) > 1

    @property
    def scale(self) -> float:
        """The only scale; raises ValueError if there is not exactly one."""
        (scale,) = self.scales
        return scale

    @property
    def zero_point(self) -> int:
        """The zero point of a per-tensor quantization (0 where none is stored)."""
        if not self.zero_points:
            return 0
        if len(set(self.zero_points)) != 1:
            raise ValueError("per-channel quantization has several zero points")
        return self.zero_points[0]

    def cut(self, axis: int, start: int, stop: int) -> Quantization:
        """The quantization of the slice ``[start, stop)`` of ``axis``.

        A per-tensor scale, or a cut along another axis, changes nothing.
        """
        return self.take(axis, range(start, min(stop, len(self.scales))))

    def take(self, axis: int, channels: Sequence[int]) -> Quantization:
        """The quantization of some ``channels`` of ``axis``.

        The one place where per-channel parameters are cut, see ``cut``.
        """
        if not self.per_channel or axis != self.axis:
            return self

        return replace(
            self,
            scales=_taken(self.scales, len(self.scales), channels),
            zero_points=_taken(self.zero_points, len(self.scales), channels),
            minimum=_taken(self.minimum, len(self.scales), channels),
            maximum=_taken(self.maximum, len(self.scales), channels),
        )


def _taken(values: tuple[_T, ...], count: int, channels: Sequence[int]) -> tuple[_T, ...]:
    return tuple(values[channel] for channel in channels) if len(values) == count else values
