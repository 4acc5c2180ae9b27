# SPDX-License-Identifier: Apache-2.0
"""Operators that work element by element, on one operand or on several that broadcast."""

from __future__ import annotations

from tflsplit.ir import Node
from tflsplit.ops.dims import broadcast_factors, broadcasts_to
from tflsplit.ops.factors import Factor
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
