# SPDX-License-Identifier: Apache-2.0
"""A bias that TFLM reads as int64 is int64.

    before   DEPTHWISE_CONV_2D(x int16, weights int8, bias int32 [8])
    after    DEPTHWISE_CONV_2D(x int16, weights int8, bias int64 [8]), the same numbers

Converters may write int32 biases for int16 activations, which TFLM's CONV_2D and FULLY_CONNECTED
know.  Its DEPTHWISE_CONV_2D and TRANSPOSE_CONV do not look: they take two biases for one, and the
last of them from whatever lies behind the tensor.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tflsplit.ir import DType, Graph, Node, Value
from tflsplit.ops.stock.requantization import optional
from tflsplit.passes.changed_constants import changed_constants

READ_AS_INT64 = {"DEPTHWISE_CONV_2D": (0, 2), "TRANSPOSE_CONV": (2, 3)}
"""Operators by the places of their activations and their bias."""


def wide_biases(graph: Graph) -> Graph:
    """``graph`` with such biases widened; itself if there are none."""
    return changed_constants(graph, _place, _wide)


def _place(node: Node) -> int | None:
    if node.is_custom or node.op not in READ_AS_INT64:
        return None
    x_place, place = READ_AS_INT64[node.op]
    x, bias = optional(node.inputs, x_place), optional(node.inputs, place)
    if x is None or bias is None or bias.data is None:
        return None
    return place if x.dtype is DType.INT16 and bias.dtype is DType.INT32 else None


def _wide(bias: Value) -> Value:
    assert bias.data is not None
    return replace(bias, dtype=DType.INT64, data=bias.data.astype(np.int64))
