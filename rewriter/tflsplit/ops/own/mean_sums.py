# SPDX-License-Identifier: Apache-2.0
"""MEAN and AVERAGE_POOL_2D of a whole map from exact sums of parts of it.

    x[:, 0:4] -- TFLSPLIT_PARTIAL_SUM --> sums --.
                                                 + -- TFLSPLIT_REQUANTIZE --> y
    x[:, 4:7] -- TFLSPLIT_PARTIAL_SUM --> sums --'

TFLM adds up the stored values of x in int32, and scales once, at the end.  So sums of parts, added,
are its sums, and requantizing those gives its bits:

* MEAN (``QuantizedMeanOrSum`` in ``internal/reference/reduce.h``) takes the zero point off,
  multiplies as convolutions do and clamps: with the multiplier of ``mean_multiplier`` the same.
  (SUM would go the same way, but LiteRT's int8 SUM does not scale: no two engines to agree on.)
* AVERAGE_POOL_2D (``integer_ops/pooling.h``) divides by the number of values, half away from 0 of
  the *stored* value.  One multiplier does that for every sum there can be where the number is odd
  (no halves), or the zero point is 0; ``pool_multiplier`` tries all sums and says so.

Sums of at most 128 values fit int16, whatever the values: half as many bytes on the wires.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from tflsplit.ir import DType, Node, Value
from tflsplit.ops.dims import dim_name
from tflsplit.ops.factors import SAME_INDEX, Factor, Kind
from tflsplit.ops.own.custom import partial_sum, requantize
from tflsplit.ops.own.custom_options import INT8_RANGE, MOST_SHORT_SUMMED, MOST_SUMMED, Pair
from tflsplit.ops.quantmath import multiply_by_quantized_multiplier, quantize_multiplier

_MOST_POOLED = 1 << 12
"""Values of a pool whose sums are all tried."""


def summed_axes(rank: int, axes: Sequence[int]) -> Pair | None:
    """The dimensions as a run ``[first, stop)``; None where they are no run."""
    distinct = sorted(set(axes))
    if not distinct or not 0 <= distinct[0] <= distinct[-1] < rank:
        return None
    run = distinct[0], distinct[-1] + 1
    return run if len(distinct) == run[1] - run[0] else None


def sum_factors(node: Node, axes: Sequence[int]) -> tuple[Factor, ...]:
    """A reduction factor for every dimension of x that is summed up and longer than 1.

    Empty where partial sums cannot be exact, or the kernel does not take the dimensions.
    """
    x, y = node.input(0), node.output
    if x.dtype is not DType.INT8 or y.dtype is not DType.INT8 or not have_one_scale(x, y):
        return ()
    run = summed_axes(len(x.shape), axes)
    if run is None or not 0 < math.prod(x.shape[run[0] : run[1]]) <= MOST_SUMMED:
        return ()
    names = {dim: f"in_{dim_name(dim, len(x.shape))}" for dim in range(*run)}
    return tuple(
        Factor(name, x.shape[dim], {0: (dim, SAME_INDEX)}, {}, Kind.REDUCTION)
        for dim, name in names.items()
        if x.shape[dim] > 1
    )


def have_one_scale(*values: Value) -> bool:
    """Whether each is quantized by one sound scale and a zero point of int8."""
    return all(
        v.quantization is not None
        and len(v.quantization.scales) == 1
        and 0 < v.quantization.scale < math.inf
        and -128 <= v.quantization.zero_point <= 127
        for v in values
    )


def dtype_of_sums(node: Node, axes: Sequence[int]) -> DType:
    """int16, if that holds the sum of all values of x over ``axes`` minus its zero point."""
    count = math.prod(node.input(0).shape[axis] for axis in set(axes))
    return DType.INT16 if count <= MOST_SHORT_SUMMED else DType.INT32


def summed(x: Value | None, output: Value, axes: Sequence[int]) -> list[Node]:
    """``OpRule.partial``: ``output``, the sums of the values of ``x`` over ``axes``."""
    assert x is not None
    run = summed_axes(len(x.shape), axes)
    assert run is not None
    return [partial_sum(x, output, axes=run, name=output.name)]


def finished_sums(
    sums: Value,
    output: Value,
    scaling: Pair,
    offset: int = 0,
    activation: Pair = INT8_RANGE,
) -> list[Node]:
    """``OpRule.requantize``: complete sums plus ``offset`` times ``(multiplier, shift)``."""
    channels = output.shape[-1]
    bias, multiplier, shift = (
        Value(
            f"{output.name}/{name}",
            (channels,),
            DType.INT32,
            data=np.full(channels, number, np.int32),
        )
        for name, number in zip(("bias", "multiplier", "shift"), (offset, *scaling), strict=True)
    )
    given = bias if offset else None
    return [
        requantize(sums, given, multiplier, shift, output, activation=activation, name=output.name)
    ]


def mean_multiplier(node: Node, count: int) -> Pair:
    """``(multiplier, shift)`` of an int8 MEAN of ``count`` values."""
    x, y = node.input(0).quantization, node.output.quantization
    assert x is not None
    assert y is not None
    multiplier, shift = quantize_multiplier(x.scale / y.scale)
    more = min(count.bit_length() - 1, 32, 31 + shift)
    return (multiplier << more) // count, shift - more


@lru_cache(maxsize=64)
def pool_multiplier(count: int, zero_point: int) -> Pair | None:
    """``(multiplier, shift)`` that divides every sum of ``count`` int8 as AVERAGE_POOL_2D does.

    Of sums from which ``count * zero_point`` was taken, y's, which is added again.  The shift is 0,
    so that it rounds once.  None where no such multiplier was found.
    """
    if not 1 <= count <= _MOST_POOLED:
        return None
    sums = np.arange(-128 * count, 127 * count + 1, dtype=np.int64)
    half = np.where(sums > 0, count // 2, -(count // 2))
    want = np.trunc((sums + half) / count).astype(np.int64)
    offset = (sums - zero_point * count).astype(np.int32)
    nearest = round((1 << 31) / count)
    for multiplier in (nearest, nearest + 1, nearest - 1):
        if multiplier < 1 << 31:
            got = multiply_by_quantized_multiplier(offset, multiplier, 0)
            if np.array_equal(got + np.int64(zero_point), want):
                return multiplier, 0
    return None
