# SPDX-License-Identifier: Apache-2.0
"""MEAN, SUM, REDUCE_MAX and their kin, ARG_MAX: the dimensions that are kept may be split.

The dimensions that are reduced stay whole: the kernels round (and MEAN divides) once, at the end,
and int8 results cannot carry exact partial sums.
"""

from __future__ import annotations

from collections.abc import Sequence

from tflsplit.ir import Node
from tflsplit.ops.dims import constant_integers, normal_axis, passing_factor
from tflsplit.ops.factors import SAME_INDEX, Factor
from tflsplit.ops.rule import OpRule, rule_for


@rule_for(
    "MEAN",
    "SUM",
    "REDUCE_MAX",
    "REDUCE_MIN",
    "REDUCE_PROD",
    "REDUCE_ANY",
    "REDUCE_ALL",
    "ARG_MAX",
    "ARG_MIN",
)
class ReduceRule(OpRule):
    """x and a constant of the dimensions that are reduced."""

    def find_factors(self, node: Node) -> tuple[Factor, ...]:
        x, output = node.input(0), node.output
        axes = constant_integers(node.inputs[1]) if len(node.inputs) > 1 else None
        if axes is None:
            return ()
        rank = len(x.shape)
        places = result_dims(rank, [normal_axis(axis, rank) for axis in axes], len(output.shape))
        if any(x.shape[dim] != output.shape[place] for dim, place in places.items()):
            return ()
        return tuple(
            passing_factor(output, place, {0: (dim, SAME_INDEX)}) for dim, place in places.items()
        )


def result_dims(rank: int, removed: Sequence[int], result_rank: int) -> dict[int, int]:
    """Which dimension of the result each dimension that stays becomes.

    removed: dimensions of the operand that go; they stay as 1 where both ranks are equal.
    Empty if the ranks make no sense.
    """
    kept = [dim for dim in range(rank) if dim not in removed]
    if result_rank == rank:
        return {dim: dim for dim in kept}
    return {dim: place for place, dim in enumerate(kept)} if len(kept) == result_rank else {}
