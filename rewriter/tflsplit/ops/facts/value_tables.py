# SPDX-License-Identifier: Apache-2.0
"""Layers that compute value by value from one operand and constants, as tables of 256 values.

Sources (TFLM): ``kernels/mul_common.cc`` and ``integer_ops/mul.h``, ``kernels/add_common.cc`` and
``integer_ops/add.h``, ``kernels/sub_common.cc`` and ``reference/sub.h``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tflsplit.errors import ModelError
from tflsplit.ir import DType, Node, Value
from tflsplit.ops.quantmath import (
    add_int8,
    add_multipliers,
    multiply_by_quantized_multiplier,
    quantize_multiplier,
    sub_multipliers,
)
from tflsplit.ops.stock.requantization import fused_range

Table = NDArray[np.int8]
"""int8 [256, channels] (or one for all): what -128, -127, ..., 127 become."""

VALUES = np.arange(-128, 128, dtype=np.int8).reshape(256, 1)


def table_of(node: Node) -> Table | None:
    """The table of an int8 MUL, ADD or SUB of a computed operand and a constant; else None.

    The constant is one value, or one for each channel (the last dimension); subtracted from a
    constant nothing is.
    """
    if node.op not in ("MUL", "ADD", "SUB") or node.is_custom or len(node.inputs) != 2:
        return None
    x, other = (node.input(0), node.input(1)) if node.inputs[1] else (None, None)
    if x is not None and x.is_constant and node.op != "SUB":
        x, other = other, x
    if x is None or other is None or not _are_tabled(x, other, node.output):
        return None
    assert other.data is not None
    constants = other.data.reshape(1, -1)
    try:
        return _multiplied(node, x, other, constants) if node.op == "MUL" else _added(
            node, x, other, constants
        )  # fmt: skip
    except ModelError:
        return None


def _are_tabled(x: Value, other: Value, y: Value) -> bool:
    values = x, other, y
    if not x.is_computed or x.is_variable or other.data is None or x.shape != y.shape:
        return False
    per_channel = other.size == 1 or other.shape[-1:] == x.shape[-1:] == (other.size,)
    return per_channel and all(
        v.dtype is DType.INT8 and v.quantization is not None and len(v.quantization.scales) == 1
        for v in values
    )


def _multiplied(node: Node, x: Value, other: Value, constants: NDArray[np.int8]) -> Table:
    a, b, y = x.quantization, other.quantization, node.output.quantization
    assert a is not None
    assert b is not None
    assert y is not None
    products = (VALUES.astype(np.int32) - a.zero_point) * (
        constants.astype(np.int32) - b.zero_point
    )
    scaled = multiply_by_quantized_multiplier(
        products, *quantize_multiplier(a.scale * b.scale / y.scale)
    )
    low, high = fused_range(node)
    return np.asarray(np.clip(scaled + y.zero_point, low, high), np.int8)


def _added(node: Node, x: Value, other: Value, constants: NDArray[np.int8]) -> Table:
    a, b, y = x.quantization, other.quantization, node.output.quantization
    assert a is not None
    assert b is not None
    assert y is not None
    find = sub_multipliers if node.op == "SUB" else add_multipliers
    return add_int8(
        VALUES,
        constants,
        (a.zero_point, b.zero_point, y.zero_point),
        find(a.scale, b.scale, y.scale),
        fused_range(node),
        -1 if node.op == "SUB" else 1,
    )
