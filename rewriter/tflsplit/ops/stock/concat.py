# SPDX-License-Identifier: Apache-2.0
"""CONCATENATION, PACK and UNPACK."""

from __future__ import annotations

from collections.abc import Sequence

from tflsplit.ir import DType, Node, Value
from tflsplit.ops.dims import dim_name, normal_axis, passing_factor
from tflsplit.ops.factors import SAME_INDEX, DimMap, Factor, Piece, Shifted
from tflsplit.ops.local import copied
from tflsplit.ops.rule import OpRule, clone, rule_for

JOINED = (DType.FLOAT32, DType.INT8, DType.INT16, DType.INT32, DType.INT64, DType.BOOL)
"""Element types that TFLM's CONCATENATION takes."""


@rule_for("CONCATENATION")
class ConcatenationRule(OpRule):
    """Any dimension; a piece along the axis reads only the operands that it meets."""

    def find_factors(self, node: Node) -> tuple[Factor, ...]:
        output = node.output
        rank = len(output.shape)
        axis = normal_axis(node.attrs.integer("axis"), rank)
        operands = [node.input(index) for index in range(len(node.inputs))]
        if any(len(value.shape) != rank for value in operands):
            return ()
        along, offset = {}, 0
        for index, value in enumerate(operands):
            along[index] = axis, Shifted(offset)
            offset += value.shape[axis]
        return tuple(
            passing_factor(
                output,
                dim,
                dict(along) if dim == axis else _every_operand(node, dim),
            )
            for dim in range(rank)
        )

    def localize(
        self,
        node: Node,
        piece: Piece,
        inputs: Sequence[Value | None],
        outputs: Sequence[Value],
    ) -> list[Node]:
        parts = [value for value in inputs if value is not None]
        if len(parts) == 1 and len(node.inputs) > 1:
            return [copied(parts[0], outputs[0])]
        return [clone(node, parts, outputs)]


@rule_for("PACK")
class PackRule(OpRule):
    """Every dimension but the new one."""

    def find_factors(self, node: Node) -> tuple[Factor, ...]:
        output = node.output
        axis = normal_axis(node.attrs.integer("axis"), len(output.shape))
        return tuple(
            passing_factor(output, dim, _every_operand(node, dim - (dim > axis)))
            for dim in range(len(output.shape))
            if dim != axis
        )


@rule_for("UNPACK")
class UnpackRule(OpRule):
    """Every dimension but the one that goes."""

    def find_factors(self, node: Node) -> tuple[Factor, ...]:
        x = node.input(0)
        axis = normal_axis(node.attrs.integer("axis"), len(x.shape))
        kept = [dim for dim in range(len(x.shape)) if dim != axis]
        return tuple(
            Factor(
                dim_name(place, len(kept)),
                x.shape[dim],
                {0: (dim, SAME_INDEX)},
                dict.fromkeys(range(len(node.outputs)), (place, 1)),
            )
            for place, dim in enumerate(kept)
        )


def _every_operand(node: Node, dim: int) -> dict[int, tuple[int, DimMap]]:
    return dict.fromkeys(range(len(node.inputs)), (dim, SAME_INDEX))
