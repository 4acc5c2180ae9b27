# SPDX-License-Identifier: Apache-2.0
"""A bias is a vector: one number for each output channel.

    before   CONV_2D(x, weights, bias [1, 1, 1, 8])
    after    CONV_2D(x, weights, bias [8])

TFLM's kernels only count the elements, and some exporters leave dimensions of 1 in front.  Rules
cut a bias where the channels are, along its only dimension.
"""

from __future__ import annotations

from dataclasses import replace

from tflsplit.ir import Graph, Node, Value
from tflsplit.ops.stock.requantization import optional
from tflsplit.passes.changed_constants import changed_constants

_BIASES = {"CONV_2D": 2, "DEPTHWISE_CONV_2D": 2, "FULLY_CONNECTED": 2, "TRANSPOSE_CONV": 3}
"""Operators by the place of their bias."""


def flat_biases(graph: Graph) -> Graph:
    """``graph`` with every constant bias of shape [channels]; nodes that have such are shared."""
    return changed_constants(graph, _place, _flat)


def _place(node: Node) -> int | None:
    place = _BIASES.get(node.op) if not node.is_custom else None
    bias = optional(node.inputs, place) if place is not None else None
    return place if bias is not None and bias.data is not None and len(bias.shape) != 1 else None


def _flat(bias: Value) -> Value:
    assert bias.data is not None
    return replace(
        bias,
        shape=(bias.size,),
        data=bias.data.reshape(bias.size),
        quantization=bias.quantization and replace(bias.quantization, axis=0),
    )
