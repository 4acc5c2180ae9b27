# SPDX-License-Identifier: Apache-2.0
"""Operators along one dimension that all others pass through: SOFTMAX, L2_NORMALIZATION, ..."""

from __future__ import annotations

from tflsplit.ir import Node
from tflsplit.ops.dims import passing_factor
from tflsplit.ops.factors import SAME_INDEX, Factor
from tflsplit.ops.rule import OpRule, rule_for


@rule_for("SOFTMAX", "LOG_SOFTMAX", "L2_NORMALIZATION")
class LastDimRule(OpRule):
    """The last dimension stays whole."""

    def find_factors(self, node: Node) -> tuple[Factor, ...]:
        x, output = node.input(0), node.output
        if x.shape != output.shape:
            return ()
        return tuple(
            passing_factor(output, dim, {0: (dim, SAME_INDEX)})
            for dim in range(len(output.shape) - 1)
        )
