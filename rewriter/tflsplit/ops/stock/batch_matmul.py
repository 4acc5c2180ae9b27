# SPDX-License-Identifier: Apache-2.0
"""BATCH_MATMUL: two computed matrices (or stacks of them), as attention multiplies them.

    q [1, heads, rows, dim]  x  k [1, heads, columns, dim] (adj_y)  -->  [1, heads, rows, columns]

Every dimension of the result may be split, and a shard is a smaller BATCH_MATMUL: a head needs that
head of both operands, a run of rows those rows of x, a run of columns those columns of y.

TFLM multiplies rows with rows, and keeps a transposed copy of an operand that lies otherwise in the
arena's tail, for good.  In a shard, TRANSPOSE makes it in the head, where it is gone afterwards.

The dimension that is summed over stays whole.  Its int32 sums would be exact, but four times as
large as the result, on every device; what a rank lacks without them is int8, and SOFTMAX, which
comes before or after, wants whole rows in any case.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tflsplit.ir import Node, Value
from tflsplit.ops.dims import aligned_operands, broadcasts_to, passing_factor
from tflsplit.ops.factors import SAME_INDEX, DimMap, Factor, Piece
from tflsplit.ops.local import int32_constant, temporary
from tflsplit.ops.region import Box
from tflsplit.ops.rule import OpRule, clone, rule_for

_MATRIX = 2  # dimensions of a matrix; those before them are a stack


@rule_for("BATCH_MATMUL")
class BatchMatmulRule(OpRule):
    """x [..., M, K] (adj_x: [..., K, M]), y [..., K, N] (adj_y: [..., N, K]), result [..., M, N].

    Dimensions in front of the matrices broadcast; an operand of extent 1 there is read whole.
    """

    def find_factors(self, node: Node) -> tuple[Factor, ...]:
        output = node.output
        rank = len(output.shape)
        if not _fits(node):
            return ()
        stacked = tuple(
            passing_factor(output, dim, _stacks(node, dim)) for dim in range(rank - _MATRIX)
        )
        rows: dict[int, tuple[int, DimMap]] = {0: (_row_dim(node), SAME_INDEX)}
        columns: dict[int, tuple[int, DimMap]] = {1: (_column_dim(node), SAME_INDEX)}
        return (
            *stacked,
            passing_factor(output, rank - 2, rows),
            passing_factor(output, rank - 1, columns),
        )

    def macs(self, node: Node) -> int:
        if len(node.inputs) < 2 or len(node.input(0).shape) < _MATRIX:
            return 0
        return node.output.size * node.input(0).shape[_summed_dim(node)]

    def localize(
        self,
        node: Node,
        piece: Piece,
        inputs: Sequence[Value | None],
        outputs: Sequence[Value],
    ) -> list[Node]:
        x, y = inputs[:2]
        if x is None or y is None or piece.results[0] == Box.whole(node.output.shape):
            return [clone(node, inputs, outputs)]
        nodes: list[Node] = []
        if _is_set(node, "adj_x"):
            x = _transposed(x, outputs[0], "x", nodes)
        if not _is_set(node, "adj_y"):
            y = _transposed(y, outputs[0], "y", nodes)
        attrs = node.attrs.replace(adj_x=False, adj_y=True)
        return [*nodes, clone(node, (x, y), outputs, attrs)]


def _transposed(value: Value, output: Value, suffix: str, nodes: list[Node]) -> Value:
    """``value`` with its last two dimensions swapped, by a further node if it is computed."""
    shape = (*value.shape[:-2], value.shape[-1], value.shape[-2])
    swapped = temporary(output, suffix, shape, value)
    if value.data is not None:
        swapped.data = np.ascontiguousarray(np.swapaxes(value.data, -1, -2))
        return swapped
    rank = len(shape)
    order = int32_constant(f"{swapped.name}/order", [*range(rank - 2), rank - 1, rank - 2])
    nodes.append(Node("TRANSPOSE", (value, order), (swapped,), name=swapped.name))
    return swapped


def _stacks(node: Node, dim: int) -> dict[int, tuple[int, DimMap]]:
    """The operands' dimensions in front of the matrices that follow ``dim`` of the result."""
    return aligned_operands(node.inputs, node.output, dim)


def _is_set(node: Node, option: str) -> bool:
    return bool(node.attrs.integer(option))


def _row_dim(node: Node) -> int:
    """Dimension of x along which the rows of the result run."""
    return len(node.input(0).shape) - (1 if _is_set(node, "adj_x") else 2)


def _summed_dim(node: Node) -> int:
    """Dimension of x that is summed over."""
    return len(node.input(0).shape) - (2 if _is_set(node, "adj_x") else 1)


def _column_dim(node: Node) -> int:
    """Dimension of y along which the columns of the result run."""
    return len(node.input(1).shape) - (2 if _is_set(node, "adj_y") else 1)


def _fits(node: Node) -> bool:
    """Whether operands and result are matrices, or stacks, of shapes that belong together."""
    x, y, output = node.input(0), node.input(1), node.output
    if min(len(value.shape) for value in (x, y, output)) < _MATRIX:
        return False
    summed = y.shape[len(y.shape) - (1 if _is_set(node, "adj_y") else 2)]
    return (
        x.shape[_summed_dim(node)] == summed
        and output.shape[-2:] == (x.shape[_row_dim(node)], y.shape[_column_dim(node)])
        and broadcasts_to([_stack(x), _stack(y)], _stack(output))
    )


def _stack(value: Value) -> Value:
    """A tensor of the dimensions in front of the matrices alone."""
    return Value(value.name, value.shape[:-_MATRIX], value.dtype)
