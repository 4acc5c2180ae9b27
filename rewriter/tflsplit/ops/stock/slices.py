# SPDX-License-Identifier: Apache-2.0
"""SLICE, STRIDED_SLICE, SPLIT and SPLIT_V."""

from __future__ import annotations

from collections.abc import Sequence

from tflsplit.ir import Node, Value
from tflsplit.ops.dims import constant_integers, dim_name, normal_axis, passing_factor
from tflsplit.ops.factors import SAME_INDEX, Factor, Piece, Shifted, Strided
from tflsplit.ops.local import int32_constant, sliced
from tflsplit.ops.rule import OpRule, clone, rule_for

_MASKS = ("ellipsis_mask", "new_axis_mask", "offset")


@rule_for("SLICE")
class SliceRule(OpRule):
    """Every dimension: a piece's operand box is already what the piece wants."""

    def find_factors(self, node: Node) -> tuple[Factor, ...]:
        begin, x = constant_integers(node.inputs[1]), node.input(0)
        if begin is None or len(begin) != len(x.shape) or min(begin, default=0) < 0:
            return ()
        return tuple(
            passing_factor(node.output, dim, {0: (dim, Shifted(-start))})
            for dim, start in enumerate(begin)
        )

    def localize(
        self,
        node: Node,
        piece: Piece,
        inputs: Sequence[Value | None],
        outputs: Sequence[Value],
    ) -> list[Node]:
        x = inputs[0]
        if x is None or not self.factors(node):
            return [clone(node, inputs, outputs)]
        return [sliced(x, [0] * len(x.shape), outputs[0])]


@rule_for("STRIDED_SLICE")
class StridedSliceRule(OpRule):
    """Dimensions with a positive stride that stay; shrunk ones are read as they are."""

    def find_factors(self, node: Node) -> tuple[Factor, ...]:
        ranges = strided_ranges(node)
        if ranges is None:
            return ()
        shrunk = node.attrs.integer("shrink_axis_mask")
        kept = [dim for dim in range(len(ranges)) if not shrunk >> dim & 1]
        output = node.output
        if [len(ranges[dim]) for dim in kept] != list(output.shape):
            return ()
        return tuple(
            passing_factor(output, place, {0: (dim, Strided(ranges[dim].start, ranges[dim].step))})
            for place, dim in enumerate(kept)
            if ranges[dim].step > 0
        )

    def localize(
        self,
        node: Node,
        piece: Piece,
        inputs: Sequence[Value | None],
        outputs: Sequence[Value],
    ) -> list[Node]:
        factors, ranges, x = self.factors(node), strided_ranges(node), inputs[0]
        if not factors or ranges is None or x is None:
            return [clone(node, inputs, outputs)]
        moved = {factor.operands[0][0] for factor in factors}
        begin = [0 if dim in moved else span.start for dim, span in enumerate(ranges)]
        # An end of -1 would mean the last element: the mask below says "to the very front".
        end = [x.shape[dim] if dim in moved else span.stop for dim, span in enumerate(ranges)]
        backwards = sum(1 << dim for dim, span in enumerate(ranges) if span.stop < 0)
        name = outputs[0].name
        operands = (
            x,
            int32_constant(f"{name}/begin", begin),
            int32_constant(f"{name}/end", [max(0, stop) for stop in end]),
            int32_constant(f"{name}/strides", [span.step for span in ranges]),
        )
        return [
            clone(node, operands, outputs, node.attrs.replace(begin_mask=0, end_mask=backwards))
        ]


def strided_ranges(node: Node) -> list[range] | None:
    """The elements that STRIDED_SLICE reads along every dimension of its operand.

    None where begin, end or strides are computed or a mask inserts dimensions.
    """
    x, attrs = node.input(0), node.attrs
    given = [constant_integers(value) for value in node.inputs[1:4]]
    if any(numbers is None or len(numbers) != len(x.shape) for numbers in given):
        return None
    if any(attrs.integer(mask) for mask in _MASKS):
        return None
    begins, ends, strides = (numbers or () for numbers in given)
    ranges = []
    for dim, (begin, end, stride) in enumerate(zip(begins, ends, strides, strict=True)):
        if not stride:
            return None
        start = None if attrs.integer("begin_mask") >> dim & 1 else begin
        stop = None if attrs.integer("end_mask") >> dim & 1 else end
        if attrs.integer("shrink_axis_mask") >> dim & 1:
            first = begin + x.shape[dim] if begin < 0 else begin
            ranges.append(range(first, first + 1))
        else:
            ranges.append(range(x.shape[dim])[slice(start, stop, stride)])
    return ranges


class _SplitRule(OpRule):
    """Every dimension but the one that is split into results."""

    operand: int
    axis_operand: int

    def find_factors(self, node: Node) -> tuple[Factor, ...]:
        x = node.input(self.operand)
        axes = constant_integers(node.inputs[self.axis_operand])
        if axes is None or len(axes) != 1:
            return ()
        rank = len(x.shape)
        return tuple(
            Factor(
                dim_name(dim, rank),
                x.shape[dim],
                {self.operand: (dim, SAME_INDEX)},
                dict.fromkeys(range(len(node.outputs)), (dim, 1)),
            )
            for dim in range(rank)
            if dim != normal_axis(axes[0], rank)
        )


@rule_for("SPLIT")
class SplitRule(_SplitRule):
    """Operands axis, x."""

    operand = 1
    axis_operand = 0


@rule_for("SPLIT_V")
class SplitVRule(_SplitRule):
    """Operands x, sizes, axis."""

    operand = 0
    axis_operand = 2
