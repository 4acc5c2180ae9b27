# SPDX-License-Identifier: Apache-2.0
"""What converters put at a network's ends: bytes without a sign, and floats.

int8 input ──▶ …        ──▶     uint8 or float32 input ─ (RESHAPE) ─ QUANTIZE ─▶ int8 ──▶ …
… ──▶ int8 output       ──▶     … ─▶ int8 ─ QUANTIZE or DEQUANTIZE ─▶ uint8 or float32 output
"""

from __future__ import annotations

import random

from tests.random_models.net import Net
from tflsplit.ir import Attrs, DType, Graph, Node, Quantization, Value


def edged(net: Net, graph: Graph, rng: random.Random) -> Graph:
    """``graph`` with other types at some of its ends, drawn from ``rng`` and not from the net's."""
    fronts = {value: made for value in graph.inputs if (made := _front(net, value, rng))}
    backs = {value: made for value in graph.outputs if (made := _back(net, value, rng))}
    before = [node for nodes in fronts.values() for node in nodes]
    behind = [node for nodes in backs.values() for node in nodes]
    inputs = tuple(fronts[v][0].input(0) if v in fronts else v for v in graph.inputs)
    outputs = tuple(backs[v][-1].output if v in backs else v for v in graph.outputs)
    return Graph(graph.name, inputs, outputs, [*before, *graph.nodes, *behind])


def _front(net: Net, value: Value, rng: random.Random) -> list[Node]:
    """QUANTIZE of what the host gives, sometimes behind a RESHAPE."""
    outside = _outside(net, "outer_input", value, rng)
    if outside is None:
        return []
    if rng.random() > 0.2:
        return [Node("QUANTIZE", (outside,), (value,))]
    flat = Value(net.name("flat"), (outside.size,), outside.dtype, outside.quantization)
    shape = net.integers(value.shape)
    reshape = Node("RESHAPE", (flat, shape), (outside,), Attrs(new_shape=value.shape))
    return [reshape, Node("QUANTIZE", (outside,), (value,))]


def _back(net: Net, value: Value, rng: random.Random) -> list[Node]:
    outside = _outside(net, "outer_output", value, rng)
    if outside is None:
        return []
    op = "DEQUANTIZE" if outside.dtype is DType.FLOAT32 else "QUANTIZE"
    return [Node(op, (value,), (outside,), version=2)]


def _outside(net: Net, name: str, value: Value, rng: random.Random) -> Value | None:
    """The tensor that the host sees instead of ``value``; None: ``value`` itself."""
    draw, own = rng.random(), value.quantization
    if draw > 0.35 or value.dtype is not DType.INT8 or own is None:
        return None
    if draw < 0.08:
        return Value(net.name(name), value.shape, DType.FLOAT32)
    zero_point = own.zero_point + 128
    if draw < 0.14:  # not only the sign changes
        zero_point, own = 255 - zero_point, Quantization((own.scale * 1.5,), (0,))
    return Value(net.name(name), value.shape, DType.UINT8, Quantization(own.scales, (zero_point,)))
