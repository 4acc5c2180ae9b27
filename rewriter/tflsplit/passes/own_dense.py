# SPDX-License-Identifier: Apache-2.0
"""FULLY_CONNECTED of one position, scaled by channel or large, as sums and their requantization.

    before   x, w, b -- FULLY_CONNECTED --> y               8 bytes a channel in the arena's tail
    after    x, w -- TFLSPLIT_PARTIAL_FULLY_CONNECTED --> sums      4 in its head, for a moment
             sums, b, multiplier, shift -- TFLSPLIT_REQUANTIZE --> y

Multipliers and shifts stay in flash, as those of convolutions do (``own_kernels``).  With one scale
there are no tables, but a large product is far quicker than by TFLM's own kernel.  Of a sequence
the sums would be larger than the tables, so that it stays; and so do nodes that share their weights
(a recurrent network that was unrolled), which our own form would repeat in flash for each of them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from tflsplit.ir import DType, Graph, Node, Value
from tflsplit.ops import rule_of
from tflsplit.ops.stock.requantization import can_sum_parts, has_scales

LEAST_CHANNELS = 8
"""With fewer, the further operator takes more of the tail than the tables did."""
LARGE_BYTES = 65536
"""Of weights with one scale, for which speed is worth the further operator."""


def own_dense(graph: Graph, layers: Mapping[str, str]) -> tuple[Graph, dict[str, str]]:
    """The graph with every such node as two of our own, and ``layers`` with theirs.

    layers: the layer that each node works for, by the node's name.
    """
    nodes: list[Node] = []
    known = dict(layers)
    readers = Counter(id(v.data) for node in graph.nodes for v in node.operands if v.is_constant)
    for node in graph.nodes:
        takes = _keeps_tables(node) and readers[id(node.input(1).data)] == 1
        made = _without_tables(node) if takes else [node]
        if made[0] is not node and node.name in layers:
            known.update({part.name: layers[node.name] for part in made})
        nodes += made
    return replace(graph, nodes=nodes), known


def _keeps_tables(node: Node) -> bool:
    if node.op != "FULLY_CONNECTED" or not rule_of(node).factors(node):
        return False
    weights, output = node.input(1), node.output
    return (
        weights.is_constant
        and weights.quantization is not None
        and (weights.quantization.per_channel or weights.size_bytes >= LARGE_BYTES)
        and output.dtype is DType.INT8
        and output.shape[-1] >= LEAST_CHANNELS
        and math.prod(output.shape) == output.shape[-1]
        and has_scales(node)
        and can_sum_parts(node)
    )


def _without_tables(node: Node) -> list[Node]:
    rule, output = rule_of(node), node.output
    piece = rule.piece(node, {})
    sums = Value(f"{output.name}/sums", output.shape, DType.INT32)
    partial = rule.partial(node, piece, node.inputs, sums)
    return [*partial, *rule.requantize(node, piece, sums, output)]
