# SPDX-License-Identifier: Apache-2.0
"""Operators that work element by element, on one operand or on several that broadcast."""

from __future__ import annotations

from tflsplit.ir import DType, Node
from tflsplit.ops.dims import broadcast_factors, broadcasts_to
from tflsplit.ops.factors import Factor
from tflsplit.ops.quantmath import quantize_multiplier
from tflsplit.ops.rule import OpRule, rule_for

_UNARY = (
    "ABS",
    "CAST",
    "CEIL",
    "COS",
    "DEQUANTIZE",
    "ELU",
    "EXP",
    "FLOOR",
    "HARD_SWISH",
    "LEAKY_RELU",
    "LOG",
    "LOGICAL_NOT",
    "LOGISTIC",
    "NEG",
    "QUANTIZE",
    "RELU",
    "RELU6",
    "RELU_N1_TO_1",
    "ROUND",
    "RSQRT",
    "SIN",
    "SQRT",
    "SQUARE",
    "TANH",
    "ZEROS_LIKE",
)
_BROADCAST = (
    "ADD",
    "DIV",
    "EQUAL",
    "FLOOR_DIV",
    "FLOOR_MOD",
    "GREATER",
    "GREATER_EQUAL",
    "LESS",
    "LESS_EQUAL",
    "LOGICAL_AND",
    "LOGICAL_OR",
    "MAXIMUM",
    "MINIMUM",
    "MUL",
    "NOT_EQUAL",
    "PRELU",
    "SELECT_V2",
    "SQUARED_DIFFERENCE",
    "SUB",
)


@rule_for(*_UNARY, *_BROADCAST, "ADD_N")
class ElementwiseRule(OpRule):
    """Any dimension of the result; broadcast operands are read as far as they reach."""

    def find_factors(self, node: Node) -> tuple[Factor, ...]:
        if not broadcasts_to(node.inputs, node.output):
            return ()
        return broadcast_factors(node.inputs, node.output)


_ONE = 1 << 30, 1
"""A scale of 1.0 as ``(multiplier, shift)``."""

_SIGNS = {(DType.UINT8, DType.INT8): 128, (DType.INT8, DType.UINT8): -128}
"""How much further the zero point lies, by the element types before and behind."""


def flips_signs(node: Node) -> bool:
    """Whether a QUANTIZE only flips the first bit of every byte, between uint8 and int8.

    TFLM has a loop of its own for that (``Requantize`` in ``internal/reference/requantize.h``).
    """
    if node.op != "QUANTIZE":
        return False
    x, y = node.input(0), node.output
    further = _SIGNS.get((x.dtype, y.dtype))
    if further is None or x.quantization is None or y.quantization is None:
        return False  # of floats there may be a record without a scale
    if quantize_multiplier(x.quantization.scale / y.quantization.scale) != _ONE:
        return False
    return x.quantization.zero_point - y.quantization.zero_point == further
