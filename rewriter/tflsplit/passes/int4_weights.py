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
from tflsplit.ops.stock.requantization import optional
from tflsplit.passes.changed_constants import changed_constants

_PLACES = {"CONV_2D": 1, "DEPTHWISE_CONV_2D": 1, "FULLY_CONNECTED": 1}
"""Operators of which TFLM takes such weights, by the place of the weights."""


def int4_weights(graph: Graph) -> Graph:
    """``graph`` with weights of whole bytes; itself if all are."""
    return changed_constants(graph, _place, _whole)


def _place(node: Node) -> int | None:
    place = _PLACES.get(node.op) if not node.is_custom else None
    weights = optional(node.inputs, place) if place is not None else None
    if weights is None or weights.data is None or node.input(0).dtype is not DType.INT8:
        return None
    return place if weights.dtype is DType.INT4 else None


def _whole(weights: Value) -> Value:
    assert weights.data is not None
    data = unpacked(weights.data.view(np.uint8), weights.size).reshape(weights.shape)
    return replace(weights, dtype=DType.INT8, data=data)


def unpacked(packed: NDArray[np.uint8], size: int) -> NDArray[np.int8]:
    """``size`` numbers of 4 bits with a sign, of which the first of two lies in the low bits."""
    low, high = (packed << 4).view(np.int8) >> 4, packed.view(np.int8) >> 4
    return np.stack([low, high], axis=-1).reshape(-1)[:size].astype(np.int8)
