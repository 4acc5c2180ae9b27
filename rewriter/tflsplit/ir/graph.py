# SPDX-License-Identifier: Apache-2.0
"""The graph: values, nodes and the edges between them, compared by identity.

A ``Value`` is a tensor, constant or computed; a ``Node`` is one operator; a ``Graph`` is a list
of nodes in execution order (TFLM runs a graph strictly in that order, so the order *is* part of
the meaning here).  Nothing in this package knows the file format.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from tflsplit.errors import InternalError
from tflsplit.ir.attributes import Attrs
from tflsplit.ir.dtypes import DType
from tflsplit.ir.quantization import Quantization


@dataclass(eq=False)
class Value:
    """A tensor.

    data: the contents of a constant, shape ``shape``, dtype ``dtype``; None where it is computed.
        Arrays are shared between values and never written to.
    is_variable: a tensor with state between inferences.
    file_extra: whatever else the file said of this tensor (shape_signature, sparsity, ...),
        carried through a round trip and never interpreted.
    origin: what this tensor is left of, if a pass took channels out of it.
    """

    name: str
    shape: tuple[int, ...]
    dtype: DType
    quantization: Quantization | None = None
    data: NDArray[Any] | None = None
    is_variable: bool = False
    file_extra: Attrs = field(default_factory=Attrs)
    origin: Origin | None = None

    @property
    def is_constant(self) -> bool:
        """Whether the contents are known before the graph runs."""
        return self.data is not None

    @property
    def is_computed(self) -> bool:
        """Whether each inference makes it anew: it is neither a constant nor state."""
        return self.data is None and not self.is_variable

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def size_bytes(self) -> int:
        """Bytes that the tensor occupies, without alignment."""
        if self.dtype is DType.INT4:
            return (self.size + 1) // 2
        return self.size * self.dtype.itemsize

    def __repr__(self) -> str:
        return f"tensor {self.name!r} {self.dtype.value.lower()}{list(self.shape)}"


@dataclass(frozen=True, eq=False)
class Origin:
    """The tensor that another one is left of: its channels (last dimension) ``kept``.

    constants: of channels that are not kept, what they hold in every inference at every position;
        one that is not listed may hold anything, and nobody reads it.
    """

    value: Value
    kept: tuple[int, ...]
    constants: Mapping[int, int]


@dataclass(eq=False)
class Node:
    """One operator.

    op: the schema's name of a builtin operator (``CONV_2D``), or the code of a custom one.
    inputs: operands in the schema's order; None where an optional one is left out.
    attrs: options in snake case; of a custom operator the top-level keys of its FlexBuffer map,
        or ``custom_options`` bytes where those are no FlexBuffer map.
    name: unique in the graph; the name of its first output where the file has no better one.
    file_extra: whatever else the file said of this operator, carried through a round trip.
    """

    op: str
    inputs: tuple[Value | None, ...]
    outputs: tuple[Value, ...]
    attrs: Attrs = field(default_factory=Attrs)
    name: str = ""
    version: int = 1
    is_custom: bool = False
    file_extra: Attrs = field(default_factory=Attrs)

    def __post_init__(self) -> None:
        if not self.name and self.outputs:
            self.name = self.outputs[0].name

    @property
    def output(self) -> Value:
        """The only output; InternalError if there is not exactly one."""
        if len(self.outputs) != 1:
            raise InternalError(f"{self!r} has {len(self.outputs)} outputs")
        return self.outputs[0]

    def input(self, index: int) -> Value:
        """An operand that must be there; InternalError if it is not."""
        value = self.inputs[index] if index < len(self.inputs) else None
        if value is None:
            raise InternalError(f"{self!r} has no input {index}")
        return value

    @property
    def operands(self) -> tuple[Value, ...]:
        """The operands that are there."""
        if None not in self.inputs:
            return self.inputs  # type: ignore[return-value]  # nearly always
        return tuple(value for value in self.inputs if value is not None)

    def __repr__(self) -> str:
        return f"{self.op} {self.name!r}"


@dataclass(eq=False)
class Graph:
    """A whole network, or one device's part of it.

    nodes: in execution order.
    metadata: named blobs of the file (``OfflineMemoryAllocation``, ...).
    file_extra: the rest of the file (description, signatures, ...), carried through unchanged.
    """

    name: str
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    nodes: list[Node]
    metadata: dict[str, bytes] = field(default_factory=dict)
    file_extra: Attrs = field(default_factory=Attrs)

    def values(self) -> Iterator[Value]:
        """Every value once: inputs, then operands and outputs in execution order."""
        seen = dict.fromkeys(self.inputs)
        for node in self.nodes:
            seen.update(dict.fromkeys(node.operands))
            seen.update(dict.fromkeys(node.outputs))
        seen.update(dict.fromkeys(self.outputs))
        return iter(seen)

    def producers(self) -> dict[Value, Node]:
        """The node that writes each computed value."""
        return {value: node for node in self.nodes for value in node.outputs}

    def consumers(self) -> dict[Value, list[Node]]:
        """The nodes that read each value, in execution order, each once."""
        readers: dict[Value, list[Node]] = {value: [] for value in self.values()}
        for node in self.nodes:
            for value in dict.fromkeys(node.operands):
                readers[value].append(node)
        return readers

    def constants(self) -> list[Value]:
        """The constants, in order of first use."""
        return [value for value in self.values() if value.is_constant]

    @property
    def input_bytes(self) -> int:
        """Of all inputs together."""
        return sum(value.size_bytes for value in self.inputs)


def check_graph(graph: Graph) -> list[str]:
    """Every way in which ``graph`` is malformed; empty if it is sound.

    A value has one producer, which stands before its readers; a constant's array has the shape
    and item size that its value claims.  (Real models repeat tensor names, so names may repeat.)
    """
    problems: list[str] = []
    ready: set[Value] = set(graph.inputs)
    for node in graph.nodes:
        problems += [
            f"{node!r} reads {value!r} before anything has written it"
            for value in node.operands
            if value not in ready and value.is_computed
        ]
        problems += [f"{value!r} is written twice" for value in node.outputs if value in ready]
        ready.update(node.outputs)
    problems += [
        f"output {value!r} is never written"
        for value in graph.outputs
        if value not in ready and not value.is_constant
    ]
    return problems + _constant_problems(graph.constants())


def _constant_problems(values: Sequence[Value]) -> list[str]:
    return [
        f"{value!r} holds an array of {value.data.dtype}{list(value.data.shape)}"
        for value in values
        if value.data is not None
        and (value.data.shape != value.shape or value.data.dtype.itemsize != value.dtype.itemsize)
        and value.dtype.itemsize
    ]
