# SPDX-License-Identifier: Apache-2.0
"""A DEPTHWISE_CONV_2D of an image of one channel is a CONV_2D.

    before   x [1, 96, 96, 1] -- DEPTHWISE_CONV_2D, w [1, 3, 3, 8] --> y [1, 48, 48, 8]
    after    x [1, 96, 96, 1] -- CONV_2D, w [8, 3, 3, 1] ------------> y [1, 48, 48, 8]

Both add up the same products, window by window, and scale the sums with the same multipliers, so
that TFLM makes the same bits of them.  As a CONV_2D it can begin a fused block
(``ops.own.fused.block_parts``), or a chain of them behind an input that comes row by row: networks
of grey images (TFLM's person_detect) begin so, and their first map is the largest.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tflsplit.ir import Attrs, DType, Graph, Node, Quantization, Value
from tflsplit.ops.stock.requantization import has_scales


def dense_depthwise(graph: Graph) -> Graph:
    """``graph`` with every such layer as a CONV_2D; pure, itself if there is none."""
    readers = graph.consumers()
    nodes = [
        _dense(node) if _is_dense(node) and len(readers[node.input(1)]) == 1 else node
        for node in graph.nodes
    ]
    return graph if nodes == graph.nodes else replace(graph, nodes=nodes)


def _is_dense(node: Node) -> bool:
    """Whether an int8 depthwise layer reads one channel and makes several, of known weights."""
    if node.op != "DEPTHWISE_CONV_2D" or node.is_custom:
        return False
    x, weights = node.input(0), node.input(1)
    return (
        x.dtype is weights.dtype is DType.INT8
        and weights.data is not None
        and len(x.shape) == len(weights.shape) == 4
        and x.shape[3] == 1 < weights.shape[3]
        and has_scales(node, 3)
    )


def _dense(node: Node) -> Node:
    weights = node.input(1)
    attrs = Attrs({key: value for key, value in node.attrs.items() if key != "depth_multiplier"})
    inputs = (node.inputs[0], _by_output_channels(weights), *node.inputs[2:])
    return replace(node, op="CONV_2D", inputs=inputs, attrs=attrs)


def _by_output_channels(weights: Value) -> Value:
    """[1, rows, columns, channels] as [channels, rows, columns, 1]."""
    assert weights.data is not None
    assert weights.quantization is not None
    data = np.ascontiguousarray(weights.data.transpose(3, 1, 2, 0))
    scales, points = weights.quantization.scales, weights.quantization.zero_points
    return Value(weights.name, data.shape, weights.dtype, Quantization(scales, points), data)
