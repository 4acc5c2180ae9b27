# SPDX-License-Identifier: Apache-2.0
"""The sharding rule of an operator: its factors, and how a piece is written as local operators."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar
from weakref import WeakKeyDictionary

from tflsplit.errors import UnsupportedOpError
from tflsplit.ir import Attrs, DType, Graph, Node, Quantization, Value
from tflsplit.ops.factors import Factor, Piece, piece_of
from tflsplit.ops.region import Box, Interval

_FACTORS: WeakKeyDictionary[Node, tuple[Factor, ...]] = WeakKeyDictionary()
_PIECES: WeakKeyDictionary[Node, dict[tuple[tuple[str, Interval], ...], Piece]] = (
    WeakKeyDictionary()
)
_MOST_PIECES = 4096
"""Of one node, so many are remembered; then it begins anew."""


class OpRule(ABC):
    """What the partitioner needs to know of an operator; one subclass per family.

    A rule is stateless: one instance serves every node of its operators.

    knows_per_channel: whether the operator's kernel reads per-channel scales.  Those that do not
        take the first scale of a tensor for all of it, so a tensor with several must stay whole.
    cuts_state: whether variable tensors are cut along with the rest.
    """

    knows_per_channel = False
    cuts_state = False

    def factors(self, node: Node) -> tuple[Factor, ...]:
        """The factors that may be split; empty for a node that must run whole.

        Found once per node: planning asks for them again and again, and nodes do not change.
        """
        found = _FACTORS.get(node)
        if found is None:
            found = self.find_factors(node) if self._can_be_cut(node) else ()
            _FACTORS[node] = found
        return found

    def _can_be_cut(self, node: Node) -> bool:
        """Whether every tensor can be: whole bytes, scales that stay right, no state unknown."""
        return all(
            value.dtype.itemsize > 0
            and (self.cuts_state or not value.is_variable)
            and (
                self.knows_per_channel
                or value.quantization is None
                or not value.quantization.per_channel
            )
            for value in (*node.operands, *node.outputs)
        )

    @abstractmethod
    def find_factors(self, node: Node) -> tuple[Factor, ...]:
        """``factors`` of a node whose tensors can be cut at all; for subclasses to define."""

    def macs(self, node: Node) -> int:
        """Multiply-accumulates of the whole node; 0 where the operator is not made of them."""
        return 0

    def piece(self, node: Node, intervals: Mapping[str, Interval]) -> Piece:
        """The piece of ``node`` in which the named factors run over the given intervals.

        Raises InternalError if the node has no factor of such a name.  Found once: plans that are
        compared differ in a few nodes, and of those in what a few ranks do.
        """
        known = _PIECES.setdefault(node, {})
        key = tuple(intervals.items())
        found = known.get(key)
        if found is None:
            if len(known) >= _MOST_PIECES:
                known.clear()
            found = piece_of(node, self.factors(node), intervals, self.macs(node))
            known[key] = found
        return found

    def localize(
        self,
        node: Node,
        piece: Piece,
        inputs: Sequence[Value | None],
        outputs: Sequence[Value],
    ) -> list[Node]:
        """Local operators that compute ``outputs`` (the piece's boxes) from ``inputs``.

        inputs: the piece's operand boxes as local values, constants already cut; None where the
            piece reads nothing of that operand or the operand is absent.
        Returns nodes in execution order; temporaries between them are fresh values whose names
        begin with the name of the output.  The default clones the node: right for every operator
        that works the same on any box.
        """
        return [clone(node, inputs, outputs)]

    def partial(
        self, node: Node, piece: Piece, inputs: Sequence[Value | None], output: Value
    ) -> list[Node]:
        """Local operators for a piece of a *reduction* factor: ``output`` is a partial sum.

        output: of ``sums_dtype``.

        inputs: as for ``localize``; the bias (if the node has one) is given but must not be added:
            it is added once, where the sums are requantized.
        """
        raise UnsupportedOpError(f"{node.op} {node.name!r} has no reduction that could be split")

    def sums_dtype(self, _node: Node) -> DType:
        """What holds every partial sum, and all of them added: int32, or int16."""
        return DType.INT32

    def requantize(self, node: Node, piece: Piece, sums: Value, output: Value) -> list[Node]:
        """Local operators that turn complete ``sums`` into ``output``, bias included.

        piece: a piece of the *parallel* factors whose result box both values hold.
        """
        raise UnsupportedOpError(f"{node.op} {node.name!r} has no reduction that could be split")


def clone(
    node: Node, inputs: Sequence[Value | None], outputs: Sequence[Value], attrs: Attrs | None = None
) -> Node:
    """``node`` on other values, with other attributes if given."""
    return replace(
        node,
        inputs=tuple(inputs),
        outputs=tuple(outputs),
        attrs=node.attrs if attrs is None else attrs,
        name=outputs[0].name if outputs else node.name,
    )


def cut_quantization(value: Value, box: Box) -> Quantization | None:
    """The quantization of ``box`` of ``value``: per-channel scales are cut with their channels."""
    quantization = value.quantization
    if quantization is None or not quantization.per_channel:
        return quantization
    # TFLM runs models whose one-dimensional bias names the weights' axis 3 as its own.
    dim = 0 if len(value.shape) == 1 else quantization.axis
    if dim >= len(value.shape) or value.shape[dim] != len(quantization.scales):
        return quantization
    return quantization.cut(quantization.axis, *box.intervals[dim])


def cut_constant(value: Value, box: Box) -> Value:
    """The part ``box`` of a constant, its per-channel quantization cut along; whole: itself."""
    assert value.data is not None
    if box == Box.whole(value.shape):
        return value
    return Value(
        name=value.name,
        shape=box.shape,
        dtype=value.dtype,
        quantization=cut_quantization(value, box),
        data=value.data[box.slices],
    )


def local_value(value: Value, box: Box, name: str | None = None) -> Value:
    """A fresh computed value that holds ``box`` of ``value``."""
    return Value(
        name=value.name if name is None else name,
        shape=box.shape,
        dtype=value.dtype,
        quantization=cut_quantization(value, box),
    )


_RULES: dict[str, OpRule] = {}
_R = TypeVar("_R", bound=type[OpRule])


def rule_for(*ops: str) -> Callable[[_R], _R]:
    """Class decorator: register the rule for these operators."""

    def register(rule: _R) -> _R:
        instance = rule()
        for op in ops:
            _RULES[op] = instance
        return rule

    return register


class WholeRule(OpRule):
    """An operator of which nothing is known: it runs whole."""

    def find_factors(self, node: Node) -> tuple[Factor, ...]:
        return ()


_WHOLE = WholeRule()


def rule_of(node: Node) -> OpRule:
    """The rule of a node's operator; one that keeps it whole where there is none."""
    return _RULES.get(node.op, _WHOLE)


def known_ops() -> tuple[str, ...]:
    """Operators that have a rule of their own, sorted."""
    return tuple(sorted(_RULES))


def graph_macs(graph: Graph) -> int:
    """Multiply-accumulates of a whole graph."""
    return sum(rule_of(node).piece(node, {}).macs for node in graph.nodes)
