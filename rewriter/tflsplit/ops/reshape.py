# SPDX-License-Identifier: Apache-2.0
"""RESHAPE, SQUEEZE and EXPAND_DIMS: the same elements in the same order under another shape."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from tflsplit.ir import Node, Value
from tflsplit.ops.dims import passing_factor
from tflsplit.ops.factors import Factor, Piece, Scaled
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
        factors = []
        for dim, place in matching_dims(x.shape, output.shape):
            size = math.gcd(x.shape[dim], output.shape[place])
            step = Scaled(x.shape[dim] // size)
            factors.append(
                passing_factor(output, place, {0: (dim, step)}, size, output.shape[place] // size)
            )
        return tuple(factors)

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
