# SPDX-License-Identifier: Apache-2.0
"""Factors that are simply dimensions of the result: their names, and broadcasting."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from tflsplit.ir import Value
from tflsplit.ops.factors import SAME_INDEX, DimMap, Factor, Scaled

_NAMES: dict[int, tuple[str, ...]] = {
    1: ("channels",),
    2: ("batch", "channels"),
    3: ("batch", "rows", "channels"),
    4: ("batch", "rows", "columns", "channels"),
}


def dim_name(dim: int, rank: int) -> str:
    """What dimension ``dim`` of a tensor with ``rank`` dimensions is called (NHWC)."""
    return _NAMES[rank][dim] if rank in _NAMES else f"dim{dim}"


def passing_factor(
    result: Value,
    dim: int,
    operands: dict[int, tuple[int, DimMap]],
    size: int | None = None,
    scale: int = 1,
) -> Factor:
    """A parallel factor named after dimension ``dim`` of the only result.

    size: steps (the dimension's extent if not given); scale: elements of the result per step.
    """
    extent = result.shape[dim] if size is None else size
    name = dim_name(dim, len(result.shape))
    return Factor(name, extent, operands, {0: (dim, scale)})


def run_factors(before: Sequence[int], after: Sequence[int], result: Value) -> tuple[Factor, ...]:
    """A factor for every run of dimensions that hold the same elements in ``before`` and ``after``.

    before, after: leading dimensions of operand 0 and of the only result.  [8, 8] -> [64] is one
    run, whose factor has 8 steps: a row of the operand and 8 elements of the result each.
    """
    factors = []
    for dim, place in matching_dims(before, after):
        size = math.gcd(before[dim], after[place])
        step, made = before[dim] // size, after[place] // size
        factors.append(passing_factor(result, place, {0: (dim, Scaled(step))}, size, made))
    return tuple(factors)


def matching_dims(before: Sequence[int], after: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Outermost dimensions (of ``before``, of ``after``) of runs that hold equally many elements.

    Dimensions of extent 1 belong to no run.
    """
    i = j = 0
    while True:
        while i < len(before) and before[i] == 1:
            i += 1
        while j < len(after) and after[j] == 1:
            j += 1
        if i == len(before) or j == len(after):
            return
        yield i, j
        left, right = before[i], after[j]
        i, j = i + 1, j + 1
        while left != right:
            if left < right:
                left, i = left * before[i], i + 1
            else:
                right, j = right * after[j], j + 1


def broadcast_factors(inputs: Sequence[Value | None], output: Value) -> tuple[Factor, ...]:
    """Every dimension of the result; operands are aligned at the last one, as NumPy does.

    An operand dimension of extent 1 that is broadcast is read whole by every piece.
    """
    return tuple(
        passing_factor(output, dim, aligned_operands(inputs, output, dim))
        for dim in range(len(output.shape))
    )


def aligned_operands(
    inputs: Sequence[Value | None], output: Value, dim: int
) -> dict[int, tuple[int, DimMap]]:
    """By operand that follows dimension ``dim`` of the result: its own dimension there."""
    touched: dict[int, tuple[int, DimMap]] = {}
    for index, value in enumerate(inputs):
        if value is None:
            continue
        own = dim - len(output.shape) + len(value.shape)
        if own >= 0 and value.shape[own] == output.shape[dim]:
            touched[index] = own, SAME_INDEX
    return touched


def broadcasts_to(inputs: Sequence[Value | None], output: Value) -> bool:
    """Whether the shapes of the operands broadcast to exactly the shape of the result."""
    shapes = [value.shape for value in inputs if value is not None]
    try:
        return np.broadcast_shapes(*shapes) == tuple(output.shape)
    except ValueError:
        return False


def constant_integers(value: Value | None) -> tuple[int, ...] | None:
    """The contents of a constant of integers, flat; None if it is absent or computed."""
    if value is None or value.data is None:
        return None
    return tuple(int(number) for number in np.ravel(value.data))


def normal_axis(axis: int, rank: int) -> int:
    """``axis`` counted from the front; from the back where it is negative."""
    return axis + rank if axis < 0 else axis
