# SPDX-License-Identifier: Apache-2.0
"""What SPACE_TO_BATCH_ND pads is padded by a PAD before it.

    before   x [1, 10, 8] -- SPACE_TO_BATCH_ND (paddings 4, 0) --> y [2, 7, 8]
    after    x [1, 10, 8] -- PAD 4, 0 --> [1, 14, 8] -- SPACE_TO_BATCH_ND --> y [2, 7, 8]

TFLM (``micro/kernels/space_to_batch_nd.cc``) pads with ``SpaceToBatchParams::output_offset``,
which it never sets: with whatever the arena held.  LiteRT pads with the zero point of the result,
as TFLM's PAD does.  Paddings without effect and tensors that PAD does not take stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from tflsplit.ir import Attrs, DType, Graph, Node, Value
from tflsplit.ops.dims import constant_integers

_TYPES = (DType.INT8, DType.FLOAT32)


def pads_of_blocks(graph: Graph) -> Graph:
    """``graph`` with such paddings apart; itself where there are none."""
    nodes = [part for node in graph.nodes for part in _parted(node)]
    return graph if len(nodes) == len(graph.nodes) else replace(graph, nodes=nodes)


def _parted(node: Node) -> Iterator[Node]:
    paddings = constant_integers(node.inputs[2]) if _is_padding(node) else None
    if not paddings or not any(paddings) or min(paddings) < 0:
        yield node
        return
    x, old = node.input(0), node.input(2)
    pairs = [(0, 0), *zip(paddings[::2], paddings[1::2], strict=True), (0, 0)]
    shape = tuple(n + sum(pair) for n, pair in zip(x.shape, pairs, strict=True))
    padded = replace(x, name=f"{node.name}/padded", shape=shape, file_extra=Attrs())
    name = f"{node.name}/paddings"
    pads = Value(name, (len(pairs), 2), DType.INT32, data=np.array(pairs, np.int32))
    yield Node("PAD", (x, pads), (padded,), name=padded.name)
    none = replace(old, name=f"{node.name}/none", data=np.zeros(old.shape, old.dtype.numpy))
    yield replace(node, inputs=(padded, node.inputs[1], none))


def _is_padding(node: Node) -> bool:
    """Whether it is a SPACE_TO_BATCH_ND, declared as it should be, of what PAD takes."""
    if node.op != "SPACE_TO_BATCH_ND" or node.is_custom or len(node.inputs) != 3:
        return False
    x, paddings = node.inputs[0], node.inputs[2]
    return (
        x is not None
        and paddings is not None
        and len(node.outputs) == 1
        and x.dtype in _TYPES
        and _zero(x) == _zero(node.output)
        and paddings.shape == (len(x.shape) - 2, 2)
    )


def _zero(value: Value) -> object:
    """What tells whether PAD takes two tensors as quantized alike."""
    quantization = value.quantization
    return quantization and (quantization.scales, quantization.zero_points)
