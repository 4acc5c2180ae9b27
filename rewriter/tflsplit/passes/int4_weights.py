# SPDX-License-Identifier: Apache-2.0
"""Weights of 4 bits become weights of 8 bits that hold the same numbers.

    before   CONV_2D(x int8, weights int4 [8, 3, 3, 4], two in a byte)
    after    CONV_2D(x int8, weights int8 [8, 3, 3, 4])

TFLM's kernels do the same in every inference, into a buffer in the arena, and go on with what they
do for int8: the bits are the same.  Weights take twice the flash, and can be cut at any place.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tflsplit.ir import DType, Graph, Node, Value

_PLACES = {"CONV_2D": 1, "DEPTHWISE_CONV_2D": 1, "FULLY_CONNECTED": 1}
"""Operators of which TFLM takes such weights, by the place of the weights."""


def int4_weights(graph: Graph) -> Graph:
    """``graph`` with weights of whole bytes; itself if all are."""
    made: dict[Value, Value] = {}
    nodes = [_whole(node, made) for node in graph.nodes]
    return replace(graph, nodes=nodes) if made else graph


def _whole(node: Node, made: dict[Value, Value]) -> Node:
    place = _PLACES.get(node.op) if not node.is_custom else None
    if place is None or place >= len(node.inputs) or node.input(0).dtype is not DType.INT8:
        return node
    weights = node.inputs[place]
    if weights is None or weights.dtype is not DType.INT4 or weights.data is None:
        return node
    if weights not in made:
        data = unpacked(weights.data.view(np.uint8), weights.size).reshape(weights.shape)
        made[weights] = replace(weights, dtype=DType.INT8, data=data)
    return replace(node, inputs=(*node.inputs[:place], made[weights], *node.inputs[place + 1 :]))


def unpacked(packed: NDArray[np.uint8], size: int) -> NDArray[np.int8]:
    """``size`` numbers of 4 bits with a sign, of which the first of two lies in the low bits."""
    low, high = (packed << 4).view(np.int8) >> 4, packed.view(np.int8) >> 4
    return np.stack([low, high], axis=-1).reshape(-1)[:size].astype(np.int8)
