# SPDX-License-Identifier: Apache-2.0
"""Data for an operator that runs alone, and what it makes of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tflsplit.ir import DType, Node, Value
from tflsplit.ops.own.chain import blocks_of, whole_x
from tflsplit.ops.own.fused import residual_of, unfused
from tflsplit.ops.own.middle import middle_of
from tflsplit.ops.own.packed import unpacked
from tflsplit.ops.own.semantics import Array, residual_add, run_node
from tflsplit.wire import custom_ops as wire


def computed_operands(node: Node) -> tuple[Value, ...]:
    """The operands of an explicit node that are no constants, each once."""
    return tuple(dict.fromkeys(value for value in node.operands if not value.is_constant))


def seeded(node: Node) -> list[Array]:
    """Data for ``computed_operands``."""
    rng = np.random.default_rng(7)
    x = node.input(0)
    if node.op == wire.CHAIN:  # all of it, also where it comes in pieces
        shape, low = whole_x(node).shape, 0 if x.dtype is DType.UINT8 else -128
        return [rng.integers(low, low + 256, shape).astype(x.dtype.numpy)]
    if x.dtype is DType.INT32:
        return [rng.integers(-(2**20), 2**20, x.shape).astype(np.int32)]
    if x.dtype is DType.UINT8:
        return [rng.integers(0, 256, x.shape, np.uint8)]
    return [rng.integers(-128, 128, value.shape, np.int8) for value in computed_operands(node)]


def added(node: Node, arrays: Sequence[Array]) -> Array:
    """What an explicit block adds, of the shape of its result."""
    value = residual_of(node)
    if value is not node.input(0):
        return arrays[-1]
    place, (_, rows, columns, _) = middle_of(node, value), node.output.shape
    row, column = place or (0, 0)
    return arrays[0][:, row : row + rows, column : column + columns]


def reference(node: Node, arrays: Sequence[Array]) -> Array:
    """What an explicit node means; ``arrays`` as of ``computed_operands``."""
    if node.op == wire.ADD:
        return run_node(node, arrays)
    value = arrays[0]
    if node.op == wire.CHAIN:
        value = (value ^ 128).view(np.int8) if value.dtype == np.uint8 else value
        for block in blocks_of(node):
            value = reference(unpacked(block), [value])
        return value
    for part in unfused(node) if node.op == wire.FUSED_BLOCK else [node]:
        if part.is_custom:
            value = run_node(part, [value])
        elif part.op == "ADD":  # and not what cuts x for it
            value = residual_add(value, added(node, arrays), node)
    return value
