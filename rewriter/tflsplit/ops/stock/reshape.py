# SPDX-License-Identifier: Apache-2.0
"""RESHAPE, SQUEEZE and EXPAND_DIMS: the same elements in the same order under another shape."""

from __future__ import annotations

from collections.abc import Sequence

from tflsplit.ir import Node, Value
from tflsplit.ops.dims import run_factors
from tflsplit.ops.factors import Factor, Piece
from tflsplit.ops.local import copied
from tflsplit.ops.rule import OpRule, clone, rule_for


@rule_for("RESHAPE", "SQUEEZE", "EXPAND_DIMS")
class ReshapeRule(OpRule):
    """Runs of dimensions that hold the same elements on both sides share one factor.

    [1, 7, 7, C] -> [1, 49 * C] has a factor of 7 steps: a step is one row of the operand and
    7 * C elements of the result.
    """

    def find_factors(self, node: Node) -> tuple[Factor, ...]:
        x, output = node.input(0), node.output
        if x.size != output.size or not x.size:
            return ()
        return run_factors(x.shape, output.shape, output)

    def localize(
        self,
        node: Node,
        piece: Piece,
        inputs: Sequence[Value | None],
        outputs: Sequence[Value],
    ) -> list[Node]:
        x, output = inputs[0], outputs[0]
        assert x is not None
        if (x.shape, output.shape) == (node.input(0).shape, node.output.shape):
            return [clone(node, inputs, outputs)]
        # SQUEEZE of a piece would also squeeze dimensions that became 1 by being cut.
        return [copied(x, output)]
