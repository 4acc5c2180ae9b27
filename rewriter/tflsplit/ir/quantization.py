# SPDX-License-Identifier: Apache-2.0
"""Quantization parameters, exactly as a model stores them."""

from __future__ import annotations

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

        The one place where per-channel parameters are cut: a per-tensor scale, or a cut along
        another axis, changes nothing.
        """
        if not self.per_channel or axis != self.axis:
            return self

        return replace(
            self,
            scales=self.scales[start:stop],
            zero_points=_slice(self.zero_points, len(self.scales), start, stop),
            minimum=_slice(self.minimum, len(self.scales), start, stop),
            maximum=_slice(self.maximum, len(self.scales), start, stop),
        )


def _slice(values: tuple[_T, ...], channels: int, start: int, stop: int) -> tuple[_T, ...]:
    return values[start:stop] if len(values) == channels else values
