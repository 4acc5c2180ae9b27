# SPDX-License-Identifier: Apache-2.0
"""TRANSPOSE_CONV."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tflsplit.ir import Node, Padding, Value
from tflsplit.ops.factors import SAME_INDEX, DimMap, Factor, Piece, Scaled
from tflsplit.ops.local import int32_constant, sliced, temporary
from tflsplit.ops.region import Interval
from tflsplit.ops.rule import OpRule, clone, rule_for
from tflsplit.ops.stock.requantization import has_scales, optional
from tflsplit.ops.window import Windows


@dataclass(frozen=True)
class Scattered:
    """Element i of the operand adds to results ``i * stride - pad`` to that plus ``kernel``."""

    kernel: int
    stride: int
    pad: int

    def need(self, start: int, stop: int) -> Interval:
        """Every element that adds to one of the results ``[start, stop)``."""
        first = -((self.kernel - 1 - start - self.pad) // self.stride)
        return first, (stop - 1 + self.pad) // self.stride + 1

    def first_result(self, element: int) -> int:
        """The first result that an element adds to."""
        return element * self.stride - self.pad


@rule_for("TRANSPOSE_CONV")
class TransposeConvRule(OpRule):
    """Operands: shape of the result, weights OHWI, x NHWC, bias [O].

    A piece of rows is computed without padding from the rows of x that it needs, as a somewhat
    larger result of which the piece is cut out:

        x[2:5] -- TRANSPOSE_CONV (VALID) --> 7 rows -- SLICE --> y[4:8]
    """

    knows_per_channel = True

    def find_factors(self, node: Node) -> tuple[Factor, ...]:
        x, output = node.input(2), node.output
        weights = node.input(1)
        if not has_scales(convolution_view(node)) or len(weights.shape) != 4:
            return ()
        channels: dict[int, tuple[int, DimMap]] = {1: (0, Scaled(1))}
        if optional(node.inputs, 3) is not None:
            channels[3] = 0, Scaled(1)
        spatial = [
            Factor(name, output.shape[dim], {2: (dim, _scattered(node, dim))}, {0: (dim, 1)})
            for dim, name in ((1, "rows"), (2, "columns"))
            if _covers(node, dim)
        ]
        return (
            Factor("batch", x.shape[0], {2: (0, SAME_INDEX)}, {0: (0, 1)}),
            *spatial,
            Factor("out_channels", output.shape[3], channels, {0: (3, 1)}),
        )

    def macs(self, node: Node) -> int:
        out_channels, rows, columns, _ = node.input(1).shape
        return node.input(2).size * rows * columns * out_channels

    def piece(self, node: Node, intervals: Mapping[str, Interval]) -> Piece:
        piece = super().piece(node, intervals)
        box = piece.operands[2]
        assert box is not None
        # The kernel multiplies every element that it reads, so pieces that share some work more.
        _, rows, columns, _ = node.input(1).shape
        macs = box.size * rows * columns * piece.results[0].shape[3]
        return replace(piece, macs=macs)

    def localize(
        self,
        node: Node,
        piece: Piece,
        inputs: Sequence[Value | None],
        outputs: Sequence[Value],
    ) -> list[Node]:
        output, x = outputs[0], inputs[2]
        if not self.factors(node) or x is None:
            return [clone(node, inputs, outputs)]
        cut = [dim for dim in (1, 2) if piece.results[0].shape[dim] != node.output.shape[dim]]
        if not cut:
            return [_local(node, inputs, output, node.attrs.integer("padding"))]
        begin = [0, *(_margin(node, piece, dim) for dim in (1, 2)), 0]
        least = tuple(n + margin for n, margin in zip(output.shape, begin, strict=True))
        shape = (least[0], *(_natural(node, x, least[dim], dim) for dim in (1, 2)), least[3])
        wide = temporary(output, "wide", shape, output)
        return [_local(node, inputs, wide, Padding.VALID), sliced(wide, begin, output)]


def convolution_view(node: Node) -> Node:
    """The same operands in CONV_2D's order: x, weights."""
    return Node(node.op, (node.input(2), node.input(1)), node.outputs, node.attrs)


def _scattered(node: Node, dim: int) -> Scattered:
    windows = Windows.of(node, (node.input(1).shape[1], node.input(1).shape[2]))
    axis = windows.axes[dim - 1]
    # TFLM derives the padding from the extents of the result, as if it were the operand.
    before, _ = axis.pads(windows.padding, node.output.shape[dim])
    return Scattered(axis.kernel, axis.stride, before)


def _covers(node: Node, dim: int) -> bool:
    """Whether every result is made of some element of x, so that no piece is bias alone."""
    scattered = _scattered(node, dim)
    last = scattered.first_result(node.input(2).shape[dim] - 1) + scattered.kernel
    return 0 < scattered.stride <= scattered.kernel and node.output.shape[dim] <= last


def _margin(node: Node, piece: Piece, dim: int) -> int:
    """Results before the piece that its first element of x adds to."""
    box = piece.operands[2]
    assert box is not None
    first = _scattered(node, dim).first_result(box.intervals[dim][0])
    return piece.results[0].intervals[dim][0] - first


def _natural(node: Node, x: Value, least: int, dim: int) -> int:
    """Extent of the result that a local x makes without padding: LiteRT takes no other."""
    scattered = _scattered(node, dim)
    return max(least, (x.shape[dim] - 1) * scattered.stride + scattered.kernel)


def _local(node: Node, inputs: Sequence[Value | None], output: Value, padding: int) -> Node:
    shape = int32_constant(f"{output.name}/shape", output.shape)
    return clone(node, (shape, *inputs[1:]), (output,), node.attrs.replace(padding=padding))
