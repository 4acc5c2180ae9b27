# SPDX-License-Identifier: Apache-2.0
"""Stock convolutions as our own, whose requantization constants stay in flash.

    before   x, w, b -- CONV_2D (SAME) --> y            8 bytes a channel in the arena's tail
    after    x, w, b, multiplier, shift -- TFLSPLIT_CONV_2D (pads 0,1,0,1) --> y            none

The same for DEPTHWISE_CONV_2D.  A node that our kernels do not take (int16, several scales on an
activation, weights that are computed) stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tflsplit.ir import DType, Graph, Node, Value
from tflsplit.ops.own.custom import conv_2d, depthwise_conv_2d
from tflsplit.ops.quantmath import convolution_multipliers
from tflsplit.ops.stock.conv import windows_of
from tflsplit.ops.stock.requantization import fused_range, has_scales, optional

_OWN: dict[str, tuple[Callable[..., Node], int]] = {
    "CONV_2D": (conv_2d, 0),
    "DEPTHWISE_CONV_2D": (depthwise_conv_2d, 3),
}
"""The constructor of our own operator, and the dimension of the weights with output channels."""


def own_kernels(graph: Graph) -> Graph:
    """The graph with every convolution that our kernels take in our own form."""
    return replace(graph, nodes=[own_form(node) for node in graph.nodes])


def own_form(node: Node) -> Node:
    """A stock convolution as our own operator; any other node as it is."""
    if node.op not in _OWN or not _is_ours_to_take(node):
        return node
    make, channel_dim = _OWN[node.op]
    x, weights, bias = node.input(0), node.input(1), optional(node.inputs, 2)
    windows = windows_of(node)
    rows, columns = windows.axes
    (top, bottom), (left, right) = windows.pads(x)
    multiplier, shift = _constants(node, weights.shape[channel_dim])
    return make(
        x,
        weights,
        bias,
        multiplier,
        shift,
        node.output,
        stride=(rows.stride, columns.stride),
        dilation=(rows.dilation, columns.dilation),
        pads=(top, bottom, left, right),
        activation=fused_range(node),
        name=node.name,
    )


def _is_ours_to_take(node: Node) -> bool:
    x, weights, bias = node.input(0), node.input(1), optional(node.inputs, 2)
    return (
        x.dtype is DType.INT8
        and len(x.shape) == 4
        and weights.is_constant
        and (bias is None or (bias.is_constant and bias.dtype is DType.INT32))
        and has_scales(node, _OWN[node.op][1])
        and windows_of(node).fits(x, node.output)
    )


def _constants(node: Node, channels: int) -> tuple[Value, Value]:
    quantizations = [v.quantization for v in (node.input(0), node.input(1), node.output)]
    x, weights, y = (q for q in quantizations if q is not None)
    arrays = convolution_multipliers(x.scale, weights.scales, y.scale, channels)
    multiplier, shift = (
        Value(f"{node.output.name}/{name}", (channels,), DType.INT32, data=array)
        for name, array in zip(("multiplier", "shift"), arrays, strict=True)
    )
    return multiplier, shift
