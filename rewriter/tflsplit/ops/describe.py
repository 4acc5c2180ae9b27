# SPDX-License-Identifier: Apache-2.0
"""What a reader wants to know of a node: how it can be split, its work and its weights."""

from __future__ import annotations

from dataclasses import dataclass

from tflsplit.ir import Graph, Node, Value
from tflsplit.ops.factors import Kind
from tflsplit.ops.rule import rule_of


@dataclass(frozen=True)
class WayToSplit:
    """One factor of a node.

    size: steps, and so the most devices that can take part.
    kind: whether pieces are independent or partial sums.
    reads_everything: whether every piece reads the whole of the first computed operand.
    halo: elements of the first computed operand that two neighbouring pieces both read.
    """

    factor: str
    size: int
    kind: Kind
    reads_everything: bool
    halo: int

    def __str__(self) -> str:
        return f"{self.factor} {self.size}" + (" (sums)" if self.kind is Kind.REDUCTION else "")


@dataclass(frozen=True)
class NodeFacts:
    """One line of ``inspect``.

    weight_bytes: all constant operands; activation_bytes: computed operands and results.
    ways: factors of more than one step; empty for a node that must run whole.
    """

    name: str
    op: str
    result_shapes: tuple[tuple[int, ...], ...]
    macs: int
    weight_bytes: int
    activation_bytes: int
    ways: tuple[WayToSplit, ...]


def describe_node(node: Node) -> NodeFacts:
    """The facts of one node."""
    computed = [value for value in node.operands if value.is_computed]
    return NodeFacts(
        name=node.name,
        op=node.op,
        result_shapes=tuple(value.shape for value in node.outputs),
        macs=rule_of(node).macs(node),
        weight_bytes=_bytes([value for value in node.operands if value.is_constant]),
        activation_bytes=_bytes([*computed, *node.outputs]),
        ways=ways_to_split(node),
    )


def describe_graph(graph: Graph) -> tuple[NodeFacts, ...]:
    """The facts of every node, in execution order.

    A weight that several nodes share is counted with each of them.
    """
    return tuple(describe_node(node) for node in graph.nodes)


def ways_to_split(node: Node) -> tuple[WayToSplit, ...]:
    """The factors of a node that have more than one step, in the rule's order."""
    rule = rule_of(node)
    return tuple(
        WayToSplit(
            factor=factor.name,
            size=factor.size,
            kind=factor.kind,
            reads_everything=_reads_everything(node, factor.name, factor.size),
            halo=_halo(node, factor.name, factor.size),
        )
        for factor in rule.factors(node)
        if factor.size > 1
    )


def _read_size(node: Node, factor: str, start: int, stop: int) -> int:
    """Elements of the first computed operand that a piece reads."""
    box = rule_of(node).piece(node, {factor: (start, stop)}).operands[_first_computed(node)]
    return 0 if box is None or box.is_empty else box.size


def _first_computed(node: Node) -> int:
    operands = enumerate(node.inputs)
    return next((i for i, value in operands if value is not None and not value.is_constant), 0)


def _reads_everything(node: Node, factor: str, size: int) -> bool:
    whole = _read_size(node, factor, 0, size)
    return all(
        _read_size(node, factor, start, stop) == whole for start, stop in ((0, 1), (size - 1, size))
    )


def _halo(node: Node, factor: str, size: int) -> int:
    """Overlap of the two halves (0 where both read everything: that is no halo)."""
    if _reads_everything(node, factor, size):
        return 0
    middle = size // 2
    halves = _read_size(node, factor, 0, middle) + _read_size(node, factor, middle, size)
    return max(0, halves - _read_size(node, factor, 0, size))


def _bytes(values: list[Value]) -> int:
    return sum(value.size_bytes for value in dict.fromkeys(values))
