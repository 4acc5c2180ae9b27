# SPDX-License-Identifier: Apache-2.0
"""Equal constants of one layer's nodes as one tensor.

    before   tile 1: w, multiplier, shift -- TFLSPLIT_CONV_2D
             tile 2: w, multiplier#2, shift#2 -- TFLSPLIT_CONV_2D
    after    tile 2: w, multiplier, shift -- TFLSPLIT_CONV_2D

A layer that is run in tiles is several nodes, and what our kernels need beside the weights is made
for each anew: 8 bytes of flash a channel, and 12 bytes of the arena's tail a tensor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from tflsplit.ir import Graph, Node, Value


def share_constants(graph: Graph, layers: Mapping[str, str]) -> Graph:
    """The graph, nodes of the same layer sharing constants that are equal in everything but name.

    layers: the layer that each node works for, by the node's name.
    """
    known: dict[tuple[object, ...], Value] = {}

    def shared(value: Value | None, layer: str) -> Value | None:
        if value is None or value.data is None:
            return value
        same = layer, value.shape, value.dtype, value.quantization, value.data.tobytes()
        return known.setdefault(same, value)

    nodes: list[Node] = []
    for node in graph.nodes:
        layer = layers.get(node.name, node.name)
        inputs = tuple(shared(value, layer) for value in node.inputs)
        changed = any(a is not b for a, b in zip(inputs, node.inputs, strict=True))
        nodes.append(replace(node, inputs=inputs) if changed else node)
    return replace(graph, nodes=nodes)
