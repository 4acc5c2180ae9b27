# SPDX-License-Identifier: Apache-2.0
"""A network in the making: tensors of random scales, nodes, and what can still be read.

Nothing is calibrated: scales follow from the spread that sums of random int8 numbers have, so that
results neither saturate nor vanish.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tflsplit.ir import Attrs, AttrValue, DType, Graph, Node, Quantization, Value

Attributes = dict[str, Any]
SPREAD = 40.0
"""Standard deviation of stored values that layers aim at."""
MOST_ELEMENTS = 4096
"""Of one tensor: larger ones find no more and take longer."""


@dataclass
class Net:
    """Nodes so far; every draw comes from ``rng``.

    live: tensors that further nodes may read.
    hidden: those that belong to one layer, and are never results of the network.
    """

    rng: random.Random
    batch: int = 1
    inputs: list[Value] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    live: list[Value] = field(default_factory=list)
    hidden: set[Value] = field(default_factory=set)
    shared: list[tuple[Value, Value | None]] = field(default_factory=list)
    names: int = 0

    def name(self, base: str) -> str:
        """A fresh name."""
        self.names += 1
        return f"{base}_{self.names}"

    def scale(self) -> Quantization:
        """A random int8 quantization of one scale."""
        scale = np.float32(self.rng.choice([0.02, 0.05, 0.1, 0.25]) * self.rng.uniform(0.8, 1.25))
        return Quantization((float(scale),), (self.rng.choice([-128, -7, 0, 3, 40]),))

    def input(self, shape: Sequence[int]) -> Value:
        """One more input of the network."""
        value = Value(self.name("input"), tuple(shape), DType.INT8, self.scale())
        self.inputs.append(value)
        self.live.append(value)
        return value

    def integers(self, numbers: Any) -> Value:
        """An int32 constant."""
        data = np.asarray(numbers, np.int32)
        return Value(self.name("constant"), data.shape, DType.INT32, data=data)

    def array(self, shape: Sequence[int], low: int = -127, high: int = 127) -> NDArray[np.int8]:
        """Random int8 numbers."""
        generator = np.random.default_rng(self.rng.getrandbits(32))
        return generator.integers(low, high + 1, tuple(shape)).astype(np.int8)

    def constant(self, shape: Sequence[int]) -> Value:
        """A random int8 constant with a scale, like an operand of ADD."""
        data = self.array(shape)
        return Value(self.name("constant"), data.shape, DType.INT8, self.scale(), data)

    def result(
        self,
        op: str,
        inputs: Sequence[Value | None],
        shape: Sequence[int],
        quantization: Quantization | None = None,
        version: int = 1,
        dtype: DType = DType.INT8,
        **attrs: AttrValue,
    ) -> Value:
        """Append a node with one result."""
        (made,) = self.results(op, inputs, [shape], quantization, version, dtype, **attrs)
        return made

    def results(
        self,
        op: str,
        inputs: Sequence[Value | None],
        shapes: Sequence[Sequence[int]],
        quantization: Quantization | None = None,
        version: int = 1,
        dtype: DType = DType.INT8,
        **attrs: AttrValue,
    ) -> list[Value]:
        """Append a node; its results can be read from now on."""
        if quantization is None and dtype is DType.INT8:
            quantization = self.scale()
        made = [Value(self.name(op.lower()), tuple(shape), dtype, quantization) for shape in shapes]
        self.nodes.append(Node(op, tuple(inputs), tuple(made), Attrs(attrs), version=version))
        self.live += [value for value in made if value.dtype is DType.INT8]
        return made

    def pick(self, rank: int | None = None) -> Value | None:
        """A tensor to read, recent ones more often; None if none has so many dimensions."""
        found = [v for v in self.live if rank is None or len(v.shape) == rank]
        if not found:
            return None
        return self.rng.choice(found[-3:] if self.rng.random() < 0.7 else found)

    def finish(self, name: str) -> Graph:
        """The network: what nobody reads is returned, mostly, and sometimes more."""
        read = {value for node in self.nodes for value in node.operands}
        made = [v for node in self.nodes for v in node.outputs if v not in self.hidden]
        unread = [v for v in made if v not in read]
        outputs = [v for v in unread if v is made[-1] or self.rng.random() < 0.8]
        outputs += [v for v in made if v in read and self.rng.random() < 0.05]
        outputs = outputs or made[-1:]  # a layer of its own may read what it makes
        inputs = [v for v in self.inputs if v in read or v is self.inputs[0]]
        return Graph(name, tuple(inputs), tuple(outputs), list(self.nodes))
