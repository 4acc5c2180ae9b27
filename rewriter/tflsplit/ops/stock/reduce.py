# SPDX-License-Identifier: Apache-2.0
"""MEAN, SUM, REDUCE_MAX and their kin, ARG_MAX: the dimensions that are kept may be split.

Those that are reduced may be split in a MEAN of int8, as exact int32 sums (``mean_sums``); in the
others they stay whole.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from tflsplit.ir import DType, Node, Value
from tflsplit.ops.dims import constant_integers, normal_axis, passing_factor
from tflsplit.ops.factors import SAME_INDEX, Factor, Piece
from tflsplit.ops.own.mean_sums import (
    dtype_of_sums,
    finished_sums,
    mean_multiplier,
    sum_factors,
    summed,
)
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
        axes = _axes(node)
        if axes is None:
            return ()
        places = result_dims(len(x.shape), axes, len(output.shape))
        if any(x.shape[dim] != output.shape[place] for dim, place in places.items()):
            return ()
        kept = tuple(
            passing_factor(output, place, {0: (dim, SAME_INDEX)}) for dim, place in places.items()
        )
        return (*kept, *sum_factors(node, axes)) if kept and node.op == "MEAN" else kept

    def partial(
        self, node: Node, piece: Piece, inputs: Sequence[Value | None], output: Value
    ) -> list[Node]:
        return summed(inputs[0], output, _axes(node) or ())

    def sums_dtype(self, node: Node) -> DType:
        return dtype_of_sums(node, _axes(node) or ())

    def requantize(self, node: Node, piece: Piece, sums: Value, output: Value) -> list[Node]:
        count = math.prod(node.input(0).shape[axis] for axis in set(_axes(node) or ()))
        return finished_sums(sums, output, mean_multiplier(node, count))


def _axes(node: Node) -> list[int] | None:
    """The dimensions that are reduced, counted from the front; None if they are not known."""
    axes = constant_integers(node.inputs[1]) if len(node.inputs) > 1 else None
    rank = len(node.input(0).shape)
    return None if axes is None else [normal_axis(axis, rank) for axis in axes]


def result_dims(rank: int, removed: Sequence[int], result_rank: int) -> dict[int, int]:
    """Which dimension of the result each dimension that stays becomes.

    removed: dimensions of the operand that go; they stay as 1 where both ranks are equal.
    Empty if the ranks make no sense.
    """
    kept = [dim for dim in range(rank) if dim not in removed]
    if result_rank == rank:
        return {dim: dim for dim in kept}
    return {dim: place for place, dim in enumerate(kept)} if len(kept) == result_rank else {}
