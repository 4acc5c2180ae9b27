# SPDX-License-Identifier: Apache-2.0
"""TRANSPOSE, GATHER and the operators that move elements between space, depth and batch."""

from __future__ import annotations

from tflsplit.ir import Node
from tflsplit.ops.dims import constant_integers, normal_axis, passing_factor
from tflsplit.ops.factors import SAME_INDEX, Factor, Scaled
from tflsplit.ops.rule import OpRule, rule_for


@rule_for("TRANSPOSE")
class TransposeRule(OpRule):
    """Every dimension."""

    def find_factors(self, node: Node) -> tuple[Factor, ...]:
        order, rank = constant_integers(node.inputs[1]), len(node.input(0).shape)
        if order is None or sorted(normal_axis(dim, rank) for dim in order) != list(range(rank)):
            return ()
        return tuple(
            passing_factor(node.output, place, {0: (normal_axis(dim, rank), SAME_INDEX)})
            for place, dim in enumerate(order)
        )


@rule_for("GATHER")
class GatherRule(OpRule):
    """The dimensions of the indices, and those of the table beside the gathered one."""

    def find_factors(self, node: Node) -> tuple[Factor, ...]:
        table, indices, output = node.input(0), node.input(1), node.output
        axis = normal_axis(node.attrs.integer("axis"), len(table.shape))
        if node.attrs.integer("batch_dims"):
            return ()
        before = [(0, dim) for dim in range(axis)]
        chosen = [(1, dim) for dim in range(len(indices.shape))]
        behind = [(0, dim) for dim in range(axis + 1, len(table.shape))]
        sources = [*before, *chosen, *behind]
        if len(sources) != len(output.shape):
            return ()
        return tuple(
            passing_factor(output, place, {operand: (dim, SAME_INDEX)})
            for place, (operand, dim) in enumerate(sources)
        )


@rule_for("SPACE_TO_DEPTH", "DEPTH_TO_SPACE")
class DepthSpaceRule(OpRule):
    """Batch, and blocks of rows and columns; the channels change their order, so they stay."""

    def find_factors(self, node: Node) -> tuple[Factor, ...]:
        x, output = node.input(0), node.output
        block = node.attrs.integer("block_size")
        if block < 1 or len(x.shape) != 4:
            return ()
        outwards = node.op == "DEPTH_TO_SPACE"
        batch = passing_factor(output, 0, {0: (0, SAME_INDEX)})
        return (
            batch,
            *(
                passing_factor(output, dim, {0: (dim, SAME_INDEX)}, x.shape[dim], block)
                if outwards
                else passing_factor(output, dim, {0: (dim, Scaled(block))})
                for dim in (1, 2)
            ),
        )


@rule_for("SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND")
class BatchSpaceRule(OpRule):
    """The dimensions behind the blocks: channels."""

    def find_factors(self, node: Node) -> tuple[Factor, ...]:
        block, output = node.input(1), node.output
        return tuple(
            passing_factor(output, dim, {0: (dim, SAME_INDEX)})
            for dim in range(1 + block.size, len(output.shape))
        )
