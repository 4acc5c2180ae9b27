# SPDX-License-Identifier: Apache-2.0
"""One convolution's constants: from explicit operands to packed bytes and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from tflsplit.errors import InternalError
from tflsplit.ir import DType, Quantization, Value
from tflsplit.ops.own.custom_options import Pair
from tflsplit.ops.own.packing import (
    Bytes,
    pack_pairs,
    pack_taps,
    pairs_bytes,
    taps_bytes,
    unpack_pairs,
    unpack_taps,
)
from tflsplit.ops.own.short_rounding import Finish, Rounding, Short, halves_fit, shortest, unproved
from tflsplit.ops.quantmath import Int32Array

Operands = tuple[Value | None, Value | None, Value | None, Value | None]
"""weights, bias, multiplier, shift."""


@dataclass(frozen=True)
class PackedStage:
    """One convolution (or product, or requantization) as its constants see it.

    weights: shape in explicit form: OHWI, [O, I], or [1, h, w, O] of depthwise weights; (C,) of a
        requantization, which has no weights.
    groups: 1 but in grouped convolutions.
    activation: None where int32 sums are made.
    """

    weights: tuple[int, ...]
    x_zero_point: int
    y_zero_point: int = 0
    activation: Pair | None = None
    groups: int = 1
    depthwise: bool = False

    @property
    def channels(self) -> int:
        """Output channels."""
        return self.weights[-1] if self.depthwise else self.weights[0]

    @property
    def products(self) -> int:
        """Of one value of the result."""
        return prod(self.weights[1:-1] if self.depthwise else self.weights[1:])

    @property
    def _kernel(self) -> Pair:
        return (self.weights[1], self.weights[2]) if len(self.weights) == 4 else (0, 0)

    @property
    def _has_taps(self) -> bool:
        return self.depthwise or len(self.weights) == 1

    @property
    def size_bytes(self) -> int:
        """Of the packed constants."""
        if self._has_taps:
            return taps_bytes(self.channels, self._kernel)
        per_group = self.channels // self.groups
        return pairs_bytes(self.groups, per_group, self.products, self.activation is None)

    def pack(self, operands: Sequence[Value | None]) -> tuple[Bytes, Rounding]:
        """The bytes, and the rounding that was proved for them."""
        weights, bias, multiplier, shift = (
            None if value is None else value.data for value in operands
        )
        flat = self._flat(weights)
        folded = np.zeros(self.channels, np.int32) if bias is None else np.asarray(bias, np.int32)
        folded = folded - (self.x_zero_point * flat.astype(np.int64).sum(axis=1)).astype(np.int32)
        if self.activation is None:
            return pack_pairs(flat, folded, self.groups, None), Rounding.ANY
        assert multiplier is not None
        assert shift is not None
        finish = Finish(folded, multiplier, shift, self.y_zero_point, self.activation)
        # Of REQUANTIZE nothing is known of the sums.
        if len(self.weights) == 1 or not (self._has_taps or halves_fit(flat)):
            short = unproved(finish)
        else:
            short = shortest(finish, flat, self.x_zero_point)
        if self._has_taps:
            taps = flat.reshape(self.channels, *self._kernel)
            return pack_taps(taps, folded, short), short.rounding
        return pack_pairs(flat, folded, self.groups, short), short.rounding

    def _flat(self, weights: Bytes | None) -> Bytes:
        """[channels, products]"""
        if weights is None:
            return np.zeros((self.channels, 0), np.int8)
        along = weights.reshape(-1, self.channels).T if self.depthwise else weights
        return along.reshape(self.channels, -1)

    def unpack(
        self, packed: Bytes, rounding: Rounding, x_scale: float, y_scale: float, name: str
    ) -> Operands:
        """The explicit operands, named after the result.

        x_scale, y_scale: from which, and the multipliers, the scales of the weights follow.
        """
        weights, bias, short = self._unpacked(packed, rounding)
        bias = bias + (self.x_zero_point * weights.astype(np.int64).sum(axis=1)).astype(np.int32)
        if short is None:
            return _constant(f"{name}/weights", self._shaped(weights)), None, None, None
        multiplier, shift = _plain(short)
        scales = weight_scales(multiplier, shift, x_scale, y_scale)
        axis = 3 if self.depthwise else 0
        zeros = (0,) * len(scales)
        of_bias = tuple(float(np.float32(scale * x_scale)) for scale in scales)
        stored = None
        if len(self.weights) > 1:
            quantization = Quantization(scales, zeros, axis)
            stored = _constant(f"{name}/weights", self._shaped(weights), quantization)
        return (
            stored,
            _constant(f"{name}/bias", bias, Quantization(of_bias, zeros, 0)),
            _constant(f"{name}/multiplier", multiplier),
            _constant(f"{name}/shift", shift),
        )

    def _unpacked(
        self, packed: Bytes, rounding: Rounding
    ) -> tuple[Bytes, Int32Array, Short | None]:
        if self._has_taps:
            taps, bias, short = unpack_taps(packed, self.channels, self._kernel, rounding)
            return taps.reshape(self.channels, -1), bias, short
        known = None if self.activation is None else rounding
        return unpack_pairs(packed, self.channels, self.products, self.groups, known)

    def _shaped(self, flat: Bytes) -> Bytes:
        if self.depthwise:
            return np.ascontiguousarray(flat.T).reshape(self.weights)
        return np.ascontiguousarray(flat).reshape(self.weights)

    def blank(self, name: str) -> Operands:
        """Explicit operands of the right shapes, their contents 0 (what no cost depends on)."""
        weights = _blank(f"{name}/weights", self.weights, np.int8)
        if self.activation is None:
            return weights, None, None, None
        tables = (_blank(f"{name}/{table}", (self.channels,), np.int32) for table in _TABLES)
        multiplier, shift = tables
        return (None if len(self.weights) == 1 else weights), None, multiplier, shift


_TABLES = ("multiplier", "shift")


def _plain(short: Short) -> tuple[Int32Array, Int32Array]:
    """Multipliers and shifts as TFLM has them."""
    if short.rounding is Rounding.ANY:
        return short.multiplier, short.shift
    nothing = short.multiplier == 0
    return short.multiplier, np.where(nothing, 0, -short.shift).astype(np.int32)


def weight_scales(
    multiplier: Int32Array, shift: Int32Array, x_scale: float, y_scale: float
) -> tuple[float, ...]:
    """The float32 scales of weights from which TFLM derives these multipliers.

    ``multiplier * 2**(shift - 31)`` is ``x_scale * scale / y_scale`` in 31 bits, and a float32 has
    24: the nearest one is the scale that it came from.  A multiplier of 0 comes from a scale that
    is too small to matter; any such does.
    """
    with np.errstate(over="ignore"):  # of a damaged shift, which is refused where it is checked
        real = np.ldexp(multiplier.astype(np.float64), shift.astype(np.int64) - 31)
        real = np.where(multiplier == 0, 2.0**-40, real)
        scales = (real * y_scale / x_scale).astype(np.float32)
    return tuple(float(scale) for scale in np.maximum(scales, np.float32(1e-37)))


def _constant(name: str, data: np.ndarray, quantization: Quantization | None = None) -> Value:
    return Value(name, data.shape, DType.of(data.dtype), quantization, data)


def _blank(name: str, shape: tuple[int, ...], dtype: type) -> Value:
    """Takes no memory, whatever its shape."""
    return _constant(name, np.broadcast_to(np.zeros((), dtype), shape))


def blank_bytes(name: str, size_bytes: int) -> Value:
    """A packed constant of which only the size is known."""
    if size_bytes < 1:
        raise InternalError(f"{name} has no constants")
    return _blank(name, (size_bytes,), np.int8)
