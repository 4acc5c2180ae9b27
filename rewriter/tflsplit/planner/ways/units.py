# SPDX-License-Identifier: Apache-2.0
"""A model as a chain of units: stretches between which a single tensor is alive.

    x -> [CONV] -> a -> [CONV, DEPTHWISE, CONV, ADD with a] -> b -> [CONV, DEPTHWISE, CONV] -> c

Every residual connection lies inside one unit, so a decision per unit treats residuals exactly.  A
network with long skips (a U-Net) has one large unit for all that its skips span.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from tflsplit.ir import Graph, Node, Value
from tflsplit.ops.own.fused import block_parts, fused_inside
from tflsplit.plan.wishes import is_weighted


@dataclass(frozen=True)
class Unit:
    """Nodes in execution order.

    inputs: computed tensors from before that the unit reads, and inputs of the model.
    outputs: tensors that are read later, or are outputs of the model.
    returned: those among them that go back to the host.
    """

    nodes: tuple[Node, ...]
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    returned: tuple[Value, ...] = ()

    @cached_property
    def graph(self) -> Graph:
        """The unit as a model of its own."""
        return Graph("unit", self.inputs, self.outputs, list(self.nodes))

    @cached_property
    def readers(self) -> dict[Value, list[Node]]:
        """The nodes of the unit that read each tensor."""
        return self.graph.consumers()

    @cached_property
    def inside(self) -> frozenset[str]:
        """Names of the nodes whose results would live inside fused blocks."""
        return fused_inside(self.graph)

    @cached_property
    def expansions(self) -> frozenset[str]:
        """Names of the nodes that begin a block; what they make can be received instead."""
        parts = block_parts(self.graph).values()
        return frozenset(first.name for first, _ in parts if first is not None)

    @cached_property
    def weights_bytes(self) -> int:
        """Constants of all nodes."""
        return sum(v.size_bytes for n in self.nodes for v in n.operands if v.is_constant)

    @cached_property
    def matrices_bytes(self) -> int:
        """Weights without biases and tables: some device has each of them, however divided."""
        operands = (v for node in self.nodes if is_weighted(node) for v in node.operands)
        different = {v for v in operands if v.is_constant and len(v.shape) >= 2}
        return sum(value.size * value.dtype.itemsize for value in different)

    @cached_property
    def signature(self) -> tuple[object, ...]:
        """Equal for units that cost the same: operators, options, shapes and edges."""
        places: dict[Value, int] = {}
        for value in (*self.inputs, *(v for node in self.nodes for v in node.outputs)):
            places[value] = len(places)
        return (
            tuple(
                (
                    node.op,
                    node.attrs,
                    tuple(None if v is None else _kind(v, places) for v in node.inputs),
                    tuple(_kind(v, places) for v in node.outputs),
                )
                for node in self.nodes
            ),
            tuple((places[value], value in self.returned) for value in self.outputs),
        )


def _kind(value: Value, places: dict[Value, int]) -> tuple[object, ...]:
    """What of a tensor can matter for the cost; small constants (axes, ...) by their contents."""
    per_channel = value.quantization is not None and value.quantization.per_channel
    contents = value.data.tobytes() if value.data is not None and value.size <= 16 else b""
    return value.shape, value.dtype, per_channel, contents, places.get(value, -1)


def cut_into_units(graph: Graph) -> tuple[Unit, ...]:
    """The finest chain of units in which no fused block is cut."""
    inside = {part for parts in block_parts(graph).values() for part in parts}
    last_use = {v: at for at, node in enumerate(graph.nodes) for v in node.operands}
    last_use.update(dict.fromkeys(graph.outputs, len(graph.nodes)))
    reading = {v: _readers(v, graph) for v in graph.inputs}
    units: list[Unit] = []
    start, alive = 0, set[Value]()
    for position, node in enumerate(graph.nodes):
        alive.update(node.outputs)
        alive = {value for value in alive if last_use.get(value, -1) > position}
        is_last = position == len(graph.nodes) - 1
        waiting = any(first <= position < last for first, last in reading.values())
        if is_last or (len(alive) == 1 and not waiting and node not in inside):
            nodes = graph.nodes[start : position + 1]
            units.append(_unit(graph, nodes, alive))
            start = position + 1
    return tuple(units)


def joined(first: Unit, last: Unit) -> Unit:
    """Two units as one; the last reads nothing but what the first makes."""
    return Unit((*first.nodes, *last.nodes), first.inputs, last.outputs, last.returned)


def _readers(value: Value, graph: Graph) -> tuple[int, int]:
    """Where an input of the model is read first and last; a unit may not end in between."""
    readers = [at for at, node in enumerate(graph.nodes) if value in node.operands]
    return (min(readers), max(readers)) if readers else (0, 0)


def _unit(graph: Graph, nodes: list[Node], alive: set[Value]) -> Unit:
    made = {value for node in nodes for value in node.outputs}
    read = dict.fromkeys(
        v for node in nodes for v in node.operands if v not in made and v.is_computed
    )
    outputs = [v for v in made if v in alive or v in graph.outputs]
    order = {value: at for at, value in enumerate(v for n in nodes for v in n.outputs)}
    outputs.sort(key=order.__getitem__)
    returned = tuple(value for value in outputs if value in graph.outputs)
    return Unit(tuple(nodes), tuple(read), tuple(outputs), returned)
