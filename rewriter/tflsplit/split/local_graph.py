# SPDX-License-Identifier: Apache-2.0
"""A device graph in the making: what one rank holds of the model so far, and its nodes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from weakref import WeakKeyDictionary

from tflsplit.errors import InternalError
from tflsplit.ir import DType, Node, Value
from tflsplit.ops import Box, Piece, cut_constant, local_value
from tflsplit.ops.local import sliced
from tflsplit.ops.own.custom import recv
from tflsplit.ops.own.expansion import stock_expansion
from tflsplit.split.devices import Shard
from tflsplit.wire.custom_ops import CONV_2D, DEPTHWISE_CONV_2D


@dataclass
class LocalGraph:
    """One rank's nodes and tensors.

    labels: the names of the model's tensors.
    held: for each tensor of the model, the boxes of it that are here; its own share comes first.
    constants: parts of constants and of tensors with state; nodes that read the same part share it.
    """

    rank: int
    labels: dict[Value, str]
    stock_kernels: bool
    nodes: list[Node] = field(default_factory=list)
    held: dict[Value, list[tuple[Box, Value]]] = field(default_factory=dict)
    shards: dict[str, Shard] = field(default_factory=dict)
    constants: dict[tuple[Value, Box], Value] = field(default_factory=dict)
    names: dict[str, int] = field(default_factory=dict)

    def _name(self, base: str) -> str:
        count = self.names[base] = self.names.get(base, 0) + 1
        return base if count == 1 else f"{base}#{count}"

    def add(self, nodes: Sequence[Node]) -> None:
        """Append nodes, in stock form if that is wanted, their names unique in this graph."""
        if self.stock_kernels:
            nodes = [stock for node in nodes for stock in _in_stock_form(node)]
        for node in nodes:
            node.name = self._name(node.name or node.op)
            self.nodes.append(node)

    def hold(self, value: Value, box: Box, suffix: str = "") -> Value:
        """A fresh local tensor for ``box`` of ``value``; a suffix marks an assembled copy."""
        label = self.labels[value]
        local = local_value(value, box, self.tensor_name(label + suffix))
        self.held.setdefault(value, []).append((box, local))
        self.shards[local.name] = Shard(label, box, owned=not suffix)
        return local

    def keep(self, value: Value, box: Box, local: Value) -> None:
        """Note that a local tensor is the rank's share of ``value``."""
        self.held.setdefault(value, []).append((box, local))
        self.shards[local.name] = Shard(self.labels[value], box, owned=True)

    def remembered(self, values: Iterable[Value]) -> dict[Value, list[tuple[Box, Value]]]:
        """``held`` of some values, now: put back, what came since is not used again.

        Memory is free once a tensor is read for the last time.
        """
        return {value: list(self.held.get(value, ())) for value in values}

    def tensor_name(self, base: str) -> str:
        """``base``, made unique among the tensors of this graph."""
        return self._name("tensor:" + base).removeprefix("tensor:")

    def read(self, value: Value, box: Box) -> Value:
        """A local tensor that holds exactly ``box`` of ``value``, sliced out if need be."""
        containers = [held for held in self.held.get(value, ()) if held[0].contains(box)]
        if not containers:
            raise InternalError(f"rank {self.rank} lacks {box} of {value!r}")
        held, local = min(containers, key=lambda item: item[0].size)
        if held == box:
            return local
        piece = self.hold(value, box, "/slice")
        if local.dtype in _SLICED:
            self.add([sliced(local, box.relative_to(held.origin).origin, piece)])
        else:
            self.add([self._copied(value, box, piece, held, local)])
        return piece

    def _copied(self, value: Value, box: Box, piece: Value, held: Box, local: Value) -> Node:
        """``box`` of a local tensor as the result of a RECV that waits for nobody."""
        return recv(
            output=piece,
            tensor=self.labels[value],
            origin=box.origin,
            local=local,
            local_box=box,
            local_origin=held.origin,
            pieces=[],
            pending=[],
            name=piece.name,
        )

    def constant(self, value: Value, box: Box) -> Value:
        """The part ``box`` of a constant; nodes that need the same part share it."""
        key = value, box
        if key not in self.constants:
            parts = _PARTS.setdefault(value, {})
            if box not in parts:
                parts[box] = cut_constant(value, box)
            self.constants[key] = parts[box]
        return self.constants[key]

    def state(self, value: Value, box: Box) -> Value:
        """The part ``box`` of a tensor with state; it stays on this device between inferences."""
        key = value, box
        if key not in self.constants:
            local = local_value(value, box, self.tensor_name(self.labels[value]))
            self.constants[key] = replace(local, is_variable=True)
        return self.constants[key]

    def inputs_of(self, node: Node, piece: Piece) -> list[Value | None]:
        """The local operands of a piece; None where it reads nothing of an operand."""
        inputs: list[Value | None] = []
        for value, box in zip(node.inputs, piece.operands, strict=True):
            if value is None or box is None or box.is_empty:
                inputs.append(None)
            elif value.is_constant:
                inputs.append(self.constant(value, box))
            elif value.is_variable:
                inputs.append(self.state(value, box))
            else:
                inputs.append(self.read(value, box))
        return inputs


_SLICED = (DType.INT8, DType.INT16, DType.INT32, DType.FLOAT32, DType.BOOL)
"""What TFLM's SLICE copies; of other types, like a uint8 input, a RECV does."""

_PARTS: WeakKeyDictionary[Value, dict[Box, Value]] = WeakKeyDictionary()
"""Parts of constants: of all device graphs that are made, those that are equal are one value."""


def _in_stock_form(node: Node) -> list[Node]:
    return stock_expansion(node) if node.op in (CONV_2D, DEPTHWISE_CONV_2D) else [node]
