# SPDX-License-Identifier: Apache-2.0
"""A convolution whose map is only added up runs some channels at a time.

    before   x -- TFLSPLIT_CONV_2D --> map -- TFLSPLIT_PARTIAL_SUM --> sums

    after    x -- TFLSPLIT_CONV_2D --> map[..., 0:320] ---- TFLSPLIT_PARTIAL_SUM --.
               -- TFLSPLIT_CONV_2D --> map[..., 320:640] -- TFLSPLIT_PARTIAL_SUM --+
               ...                                                  CONCATENATION --+--> sums

Only where nothing else reads the map and the plan says so (``NodeSplit.chained``).  The parts are
as many as make one about as large as what is there anyway: x, and the sums.  Every value is the
same sum of the same products; the parts of the sums lie in their place in the whole
(``memory/aliases.py``), so that the CONCATENATION copies nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from itertools import pairwise

from tflsplit.ir import Activation, Attrs, Graph, Node, Value
from tflsplit.wire import custom_ops as wire

MOST_PARTS = 10
"""Each is two operators more."""
_GRAIN = 8
"""Channels of a part are a multiple: its weights are pairs, its sums begin at 16 bytes."""


def sums_in_parts(
    graph: Graph, chained: Collection[str], layers: Mapping[str, str]
) -> tuple[Graph, dict[str, str]]:
    """The graph with such convolutions in parts, and ``layers`` with theirs.

    chained: names of nodes whose results are not kept; layers: the layer that each node works for,
        by the node's name.
    """
    readers, known = graph.consumers(), dict(layers)
    made: dict[Node, list[Node]] = {}
    for conv in graph.nodes:
        if conv.op != wire.CONV_2D or conv.name not in chained or conv.output in graph.outputs:
            continue
        (reader,) = readers[conv.output] if len(readers[conv.output]) == 1 else (None,)
        cuts = _cuts(conv, reader.output) if reader and reader.op == wire.PARTIAL_SUM else []
        if reader is None or len(cuts) < 3:
            continue
        made[conv], made[reader] = [], _in_parts(conv, reader, cuts)
        works_for = _works_for(made[reader], conv, reader)
        known.update({p.name: layers[by.name] for p, by in works_for if by.name in layers})
    return replace(graph, nodes=[n for node in graph.nodes for n in made.get(node, [node])]), known


def _cuts(conv: Node, sums: Value) -> list[int]:
    """Where parts begin, and the last ends; one part where the sums are not one row of channels."""
    x, channels = conv.input(0), conv.output.shape[-1]
    is_grouped = conv.input(1).shape[-1] != x.shape[-1]
    if is_grouped or not sums.size == channels == sums.shape[-1]:
        return []
    # sums of 16 bits count as if of 32: each part is two operators in the tail
    beside = max(x.size_bytes, 4 * sums.size)
    parts = min(MOST_PARTS, -(-conv.output.size_bytes // beside))
    step = -(-channels // parts // _GRAIN) * _GRAIN
    return [*range(0, channels, step), channels]


def _works_for(parts: list[Node], conv: Node, total: Node) -> Iterator[tuple[Node, Node]]:
    """Each part, and what it is a part of."""
    return ((part, conv if part.op == conv.op else total) for part in parts)


def _in_parts(conv: Node, total: Node, cuts: list[int]) -> list[Node]:
    nodes, parts = list[Node](), list[Value]()
    for number, (start, stop) in enumerate(pairwise(cuts)):
        part = _named(conv.output, number, start, stop)
        parts.append(_named(total.output, number, start, stop))
        constants = [None if v is None else _cut(v, start, stop) for v in conv.inputs[1:]]
        inputs = (conv.input(0), *constants)
        nodes.append(replace(conv, inputs=inputs, outputs=(part,), name=f"{conv.name}/{number}"))
        name = f"{total.name}/{number}"
        nodes.append(replace(total, inputs=(part,), outputs=(parts[-1],), name=name))
    axis = len(total.output.shape) - 1
    attrs = Attrs(axis=axis, fused_activation_function=Activation.NONE)
    return [*nodes, Node("CONCATENATION", tuple(parts), total.outputs, attrs, total.name)]


def _named(value: Value, number: int, start: int, stop: int) -> Value:
    """Some channels of a computed tensor of one scale."""
    shape = (*value.shape[:-1], stop - start)
    return replace(value, name=f"{value.name}/{number}", shape=shape)


def _cut(constant: Value, start: int, stop: int) -> Value:
    """A constant's rows of some output channels."""
    assert constant.data is not None
    quantization = constant.quantization and constant.quantization.cut(0, start, stop)
    data, name = constant.data[start:stop], f"{constant.name}/{start}"
    return replace(constant, name=name, shape=data.shape, data=data, quantization=quantization)
