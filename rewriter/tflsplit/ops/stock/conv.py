# SPDX-License-Identifier: Apache-2.0
"""CONV_2D: plain, grouped, dilated, and one-dimensional ones written with one row or column."""

from __future__ import annotations

from collections.abc import Sequence

from tflsplit.ir import Attrs, DType, Node, Padding, Value
from tflsplit.ops.factors import SAME_INDEX, DimMap, Factor, Kind, Piece, Scaled
from tflsplit.ops.local import padded, padded_shape, temporary
from tflsplit.ops.own.custom import WindowOptions, conv_2d, partial_conv_2d
from tflsplit.ops.quantmath import convolution_multipliers
from tflsplit.ops.rule import OpRule, clone, rule_for
from tflsplit.ops.stock.requantization import (
    can_sum_parts,
    fused_range,
    has_scales,
    multiplier_constants,
    optional,
    per_output_channel,
    requantized,
)
from tflsplit.ops.window import Windows, as_in_files


def windows_of(node: Node) -> Windows:
    """Windows of a node whose weights are OHWI (or 1HWC)."""
    return Windows.of(node, (node.input(1).shape[1], node.input(1).shape[2]))


def window_options(node: Node, piece: Piece) -> WindowOptions:
    """Options of our own convolutions: the node's, with the piece's four pads."""
    rows, columns = windows_of(node).axes
    pads = piece.pads[0]
    return WindowOptions(
        stride=(rows.stride, columns.stride),
        dilation=(rows.dilation, columns.dilation),
        pads=(*pads[1], *pads[2]),
    )


def spatial_factors(node: Node, windows: Windows) -> tuple[Factor, Factor, Factor]:
    """batch, rows and columns."""
    x, output = node.input(0), node.output
    batch = Factor("batch", x.shape[0], {0: (0, SAME_INDEX)}, {0: (0, 1)})
    return batch, windows.factor(1, x, output), windows.factor(2, x, output)


def stock_window_nodes(
    node: Node, piece: Piece, inputs: Sequence[Value | None], output: Value, attrs: Attrs
) -> list[Node]:
    """A piece with stock kernels: as it is, or for int16 with PAD (zeros) before it.

    Empty where a stock int8 kernel cannot say it.
    """
    x, pads = inputs[0], piece.pads[0]
    attrs = as_in_files(attrs)
    assert x is not None
    padding = windows_of(node).stock_padding(x.shape, output.shape, pads)
    if padding is not None:
        return [clone(node, inputs, (output,), attrs.replace(padding=padding))]
    if x.dtype is DType.INT8:
        return []
    wide = temporary(output, "padded", padded_shape(x.shape, pads), x)
    attrs = attrs.replace(padding=Padding.VALID)
    return [padded(x, pads, wide), clone(node, (wide, *inputs[1:]), (output,), attrs)]


@rule_for("CONV_2D")
class Conv2DRule(OpRule):
    """x NHWC, weights OHWI, bias [O]; several groups if I is less than C."""

    knows_per_channel = True

    def find_factors(self, node: Node) -> tuple[Factor, ...]:
        x, weights = node.input(0), node.input(1)
        windows = windows_of(node)
        if not (has_scales(node) and windows.fits(x, node.output)):
            return ()
        spatial = spatial_factors(node, windows)
        groups = x.shape[3] // weights.shape[3]
        if groups > 1:
            step_in, step_out = weights.shape[3], weights.shape[0] // groups
            touched = {0: (3, Scaled(step_in)), **per_output_channel(node, step_out)}
            return (*spatial, Factor("groups", groups, touched, {0: (3, step_out)}))
        touched = per_output_channel(node, 1)
        out_channels = Factor("out_channels", weights.shape[0], touched, {0: (3, 1)})
        if not can_sum_parts(node):
            return (*spatial, out_channels)
        read: dict[int, tuple[int, DimMap]] = {0: (3, SAME_INDEX), 1: (3, SAME_INDEX)}
        in_channels = Factor("in_channels", x.shape[3], read, {}, Kind.REDUCTION)
        return (*spatial, out_channels, in_channels)

    def macs(self, node: Node) -> int:
        _, rows, columns, per_group = node.input(1).shape
        return node.output.size * rows * columns * per_group

    def localize(
        self,
        node: Node,
        piece: Piece,
        inputs: Sequence[Value | None],
        outputs: Sequence[Value],
    ) -> list[Node]:
        if not self.factors(node):
            return [clone(node, inputs, outputs)]
        output = outputs[0]
        stock = stock_window_nodes(node, piece, inputs, output, node.attrs)
        if stock:
            return stock
        x, weights, bias = inputs[0], inputs[1], optional(inputs, 2)
        assert x is not None
        assert weights is not None
        options = window_options(node, piece)
        multiplier, shift = multiplier_constants(node, piece, convolution_multipliers, output.name)
        own = conv_2d(
            x,
            weights,
            bias,
            multiplier,
            shift,
            output,
            stride=options.stride,
            dilation=options.dilation,
            pads=options.pads,
            activation=fused_range(node),
            name=output.name,
        )
        return [own]

    def partial(
        self, node: Node, piece: Piece, inputs: Sequence[Value | None], output: Value
    ) -> list[Node]:
        x, weights = inputs[0], inputs[1]
        assert x is not None
        assert weights is not None
        options = window_options(node, piece)
        sums = partial_conv_2d(
            x,
            weights,
            output,
            stride=options.stride,
            dilation=options.dilation,
            pads=options.pads,
            name=output.name,
        )
        return [sums]

    def requantize(self, node: Node, piece: Piece, sums: Value, output: Value) -> list[Node]:
        return [requantized(node, piece, sums, output, convolution_multipliers)]
