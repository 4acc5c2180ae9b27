# SPDX-License-Identifier: Apache-2.0
"""Factors that are simply dimensions of the result: their names, and broadcasting."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tflsplit.ir import Value
from tflsplit.ops.factors import SAME_INDEX, DimMap, Factor

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


def broadcast_factors(inputs: Sequence[Value | None], output: Value) -> tuple[Factor, ...]:
    """Every dimension of the result; operands are aligned at the last one, as NumPy does.

    An operand dimension of extent 1 that is broadcast is read whole by every piece.
    """
    return tuple(
        passing_factor(output, dim, _aligned(inputs, output, dim))
        for dim in range(len(output.shape))
    )


def _aligned(
    inputs: Sequence[Value | None], output: Value, dim: int
) -> dict[int, tuple[int, DimMap]]:
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
