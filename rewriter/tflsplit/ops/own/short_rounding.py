# SPDX-License-Identifier: Apache-2.0
"""Where two roundings are provably one: how sums become int8 with the fewest instructions.

TFLM makes int8 of an int32 sum ``t`` (bias included) by multiplier ``m`` and ``s = -shift``:

    h = (t * m + 2**30) >> 31                       rounded to nearest, halves up
    y = clamp(round(h / 2**s) + zero_point)         halves away from zero

Division with halves away from zero is ``(h - (h < 0) + 2**(s-1)) >> s``.  So for ``s >= 1``

    TWICE   y = clamp((h + (h >> 31) + r) >> s),    r = 2**(s-1) + (zero_point << s)

where ``h`` is the high word of ``2 * t * m``, one instruction of a Cortex-M (SMMULR) if ``2 * t``
fits int32.  Nothing overflows if ``-2**30 <= t < 2**30`` and ``h - 1 + r``, ``h + r`` fit int32,
both of which follow from bounds on ``t``: every product lies between ``w * (-128 - x_zero_point)``
and ``w * (127 - x_zero_point)``, and padding (product 0) lies between them, too.

    ONCE    y = clamp((h + r) >> s)

differs only for ``h < 0``.  There ``(h + 2**(s-1)) >> s <= 0`` with and without the correction, so
both are at most ``zero_point``; if ``clamp`` lets nothing through below ``zero_point`` (every
RELU), both are that bound.

Cores without a multiply-accumulate sum up two products of two positions in one word, a half for
each (``v6m_asm.cc``).  Two products fit int16 unless both weights are -128 (2 * -128 * -128 =
2**15).  They are *k* and *k + 2* of four; a layer of pairs in which two such weights are both -128
gets ANY, too (``halves_fit``).

A channel whose result is ``zero_point`` for every sum that it can have is *quiet*; it gets ``m = 0,
s = 1``, which gives just that, so that a dead channel with an odd scale spoils no layer.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from tflsplit.ops.quantmath import Int32Array

Int64Array = NDArray[np.int64]

_MOST_SHIFT = 30


class Rounding(IntEnum):
    """How a layer's sums are rounded; ANY is TFLM's arithmetic as it stands."""

    ANY = 0
    TWICE = 1
    ONCE = 2


@dataclass(frozen=True)
class Finish:
    """What makes int8 of a layer's sums; arrays are int32[channels].

    bias: with the zero point of x folded in, modulo 2**32.
    """

    bias: Int32Array
    multiplier: Int32Array
    shift: Int32Array
    y_zero_point: int
    activation: tuple[int, int]


@dataclass(frozen=True)
class Short:
    """A layer's tables under a proved rounding: ``multiplier``, ``s`` and ``r`` above."""

    rounding: Rounding
    multiplier: Int32Array
    shift: Int32Array
    addend: Int32Array


def sum_bounds(weights: NDArray[np.int8], x_zero_point: int) -> tuple[Int64Array, Int64Array]:
    """Smallest and largest sum of ``(x - x_zero_point) * w`` that int8 ``x`` can give.

    weights: int8 [channels, products]; results int64[channels].
    """
    wide = weights.astype(np.int64)
    up, down = np.maximum(wide, 0).sum(axis=1), np.minimum(wide, 0).sum(axis=1)
    low, high = -128 - x_zero_point, 127 - x_zero_point
    return up * low + down * high, up * high + down * low


def unproved(finish: Finish) -> Short:
    """TFLM's arithmetic as it stands."""
    return Short(Rounding.ANY, finish.multiplier, finish.shift, np.zeros_like(finish.bias))


def halves_fit(weights: NDArray[np.int8]) -> bool:
    """Whether no two products *k* and *k + 2* of a four both have the weight -128.

    weights: int8 [channels, products], in the order in which they are packed.
    """
    least = np.pad(weights == -128, ((0, 0), (0, -weights.shape[1] % 4)))
    fours = least.reshape(-1, 2, 2)
    return not (fours[:, 0] & fours[:, 1]).any()


def shortest(finish: Finish, weights: NDArray[np.int8], x_zero_point: int) -> Short:
    """The shortest rounding that is proved to give TFLM's bits in every channel.

    weights: int8 [channels, products], whose sums are finished.
    """
    low, high = sum_bounds(weights, x_zero_point)
    # The plain bias: with the zero point folded in, sums of products of x alone are added to.
    folded = finish.bias.astype(np.int64) + x_zero_point * weights.astype(np.int64).sum(axis=1)
    bias = folded.astype(np.int32).astype(np.int64)
    low, high = low + bias, high + bias
    doubles = (low >= -(2**30)) & (high < 2**30)
    multiplier, shift = finish.multiplier.astype(np.int64), -finish.shift.astype(np.int64)
    least, most = (low * multiplier + 2**30) >> 31, (high * multiplier + 2**30) >> 31
    least -= least < 0
    quiet = doubles & (shift >= 0) & _is_zero(least, shift) & _is_zero(most, shift)
    multiplier, shift = np.where(quiet, 0, multiplier), np.where(quiet, 1, shift)
    least, most = np.where(quiet, 0, least), np.where(quiet, 0, most)
    half = np.int64(1) << np.clip(shift - 1, 0, _MOST_SHIFT)
    addend = half + finish.y_zero_point * 2 * half
    fits = doubles & (shift >= 1) & (shift <= _MOST_SHIFT)
    fits &= (least + addend >= -(2**31)) & (most + addend < 2**31) & (addend == _int32(addend))
    if not fits.all():
        return unproved(finish)
    is_relu = finish.activation[0] >= finish.y_zero_point
    rounding = Rounding.ONCE if is_relu else Rounding.TWICE
    arrays = (_int32(array) for array in (multiplier, shift, addend))
    return Short(rounding, *arrays)


def _is_zero(high: Int64Array, shift: Int64Array) -> NDArray[np.bool_]:
    """Whether ``high / 2**shift`` rounds to 0; ``high`` is one less where it is negative."""
    half = (np.int64(1) << np.clip(shift, 0, 40)) >> 1
    rounded: NDArray[np.bool_] = ((high + half) >> np.clip(shift, 0, 40)) == 0
    return rounded


def _int32(array: Int64Array) -> Int32Array:
    return np.asarray(array, np.int64).astype(np.int32)
