# SPDX-License-Identifier: Apache-2.0
"""DEPTHWISE_CONV_2D, also with a channel multiplier."""

from __future__ import annotations

from collections.abc import Sequence

from tflsplit.ir import Node, Value
from tflsplit.ops.factors import SAME_INDEX, Factor, Piece
from tflsplit.ops.own.custom import depthwise_conv_2d
from tflsplit.ops.quantmath import convolution_multipliers
from tflsplit.ops.rule import OpRule, clone, rule_for
from tflsplit.ops.stock.conv import spatial_factors, stock_window_nodes, window_options, windows_of
from tflsplit.ops.stock.requantization import (
    fused_range,
    has_scales,
    multiplier_constants,
    optional,
    per_output_channel,
)


@rule_for("DEPTHWISE_CONV_2D")
class DepthwiseConv2DRule(OpRule):
    """x NHWC, weights [1, kh, kw, C * multiplier], bias [C * multiplier]."""

    knows_per_channel = True

    def find_factors(self, node: Node) -> tuple[Factor, ...]:
        x, output = node.input(0), node.output
        windows = windows_of(node)
        if not (has_scales(node, 3) and windows.fits(x, output)) or output.shape[3] % x.shape[3]:
            return ()
        return (*spatial_factors(node, windows), _channels(node))

    def macs(self, node: Node) -> int:
        _, rows, columns, _ = node.input(1).shape
        return node.output.size * rows * columns

    def localize(
        self,
        node: Node,
        piece: Piece,
        inputs: Sequence[Value | None],
        outputs: Sequence[Value],
    ) -> list[Node]:
        if not self.factors(node):
            return [clone(node, inputs, outputs)]
        output, x = outputs[0], inputs[0]
        assert x is not None
        attrs = node.attrs.replace(depth_multiplier=output.shape[3] // x.shape[3])
        stock = stock_window_nodes(node, piece, inputs, output, attrs)
        if stock:
            return stock
        weights, bias = inputs[1], optional(inputs, 2)
        assert weights is not None
        options = window_options(node, piece)
        multiplier, shift = multiplier_constants(node, piece, convolution_multipliers, output.name)
        own = depthwise_conv_2d(
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


def _channels(node: Node) -> Factor:
    """Steps of whole input channels; of output channels where all are made of one input channel."""
    inputs, outputs = node.input(0).shape[3], node.output.shape[3]
    if inputs == 1:
        return Factor("channels", outputs, per_output_channel(node, 1, dim=3), {0: (3, 1)})
    step = outputs // inputs
    touched = {0: (3, SAME_INDEX), **per_output_channel(node, step, dim=3)}
    return Factor("channels", inputs, touched, {0: (3, step)})
