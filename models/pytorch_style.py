# SPDX-License-Identifier: Apache-2.0
"""A network as exports from PyTorch have it: explicit PADs, and input in NCHW.

    before   x [1, 224, 224, 3] -- CONV_2D (SAME, stride 2) --> ...
    after    x [1, 3, 224, 224] -- TRANSPOSE -- PAD 1, 1 -- CONV_2D (VALID, stride 2) --> ...

PyTorch pads the same number of rows and columns on both sides, whatever the stride; SAME pads less
before than behind.  So a window of stride 2 lies one step further up, and behind the last one a row
of padding is left that nothing reads.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tflsplit.ir import DType, Graph, Node, Padding, Value

_CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")


def pytorch_style(graph: Graph) -> Graph:
    """``graph`` with a PAD before every padded convolution, and a TRANSPOSE behind each image.

    Shapes of results stay; their values do not where a stride is not 1.
    """
    nodes: list[Node] = []
    inputs = tuple(_nchw(value) for value in graph.inputs)
    for value, transposed in zip(graph.inputs, inputs, strict=True):
        if transposed is not value:
            order = _integers(f"{value.name}/order", [0, 2, 3, 1])
            nodes.append(
                Node(
                    "TRANSPOSE", (transposed, order), (value,), name=f"{value.name}/nhwc", version=2
                )
            )
    for node in graph.nodes:
        nodes += _padded(node)
    return replace(graph, name=f"{graph.name}_pytorch", inputs=inputs, nodes=nodes)


def _nchw(value: Value) -> Value:
    if len(value.shape) != 4:
        return value
    images, rows, columns, channels = value.shape
    return replace(value, name=f"{value.name}/nchw", shape=(images, channels, rows, columns))


def _padded(node: Node) -> list[Node]:
    """The convolution behind a PAD; as it is where it pads nothing."""
    if node.op not in _CONVOLUTIONS or node.attrs.integer("padding") != Padding.SAME:
        return [node]
    x, weights = node.input(0), node.input(1)
    pads = [
        (weights.shape[dim] - 1) * node.attrs.integer(f"dilation_{name}_factor", 1) // 2
        for dim, name in ((1, "h"), (2, "w"))
    ]
    if not any(pads) or any(weights.shape[dim] % 2 == 0 for dim in (1, 2)):
        return [node]
    pairs = [[0, 0], [pads[0]] * 2, [pads[1]] * 2, [0, 0]]
    shape = tuple(n + sum(pair) for n, pair in zip(x.shape, pairs, strict=True))
    name = f"{node.name}/pad"
    padded = Value(name, shape, x.dtype, x.quantization)
    pad = Node("PAD", (x, _integers(f"{name}/paddings", pairs)), (padded,), name=name)
    attrs = node.attrs.replace(padding=Padding.VALID)
    return [pad, replace(node, inputs=(padded, *node.inputs[1:]), attrs=attrs)]


def _integers(name: str, numbers: list[int] | list[list[int]]) -> Value:
    data = np.array(numbers, "<i4")
    return Value(name, data.shape, DType.INT32, data=data)
