# SPDX-License-Identifier: Apache-2.0
"""What the tests of this folder share: measuring on this host, random graphs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import strategies as st

from tests.memory.op_cases import integers
from tflsplit.ir import Attrs, AttrValue, DType, Graph, Node, Value
from tflsplit.memory import ArenaMeasurement, measure_arena
from tflsplit.ops import Box
from tflsplit.ops.own import custom
from tflsplit.ops.own.custom_options import RecvPiece


def measured(graph: Graph) -> ArenaMeasurement:
    """TFLM's own numbers; skips without the wheel."""
    measurement = measure_arena(graph)
    if measurement is None:
        pytest.skip("needs TFLM's wheel (Linux on x86-64): pip install '.[host]'")
    return measurement


# Few sizes, so that there are ties, and sizes that are no multiple of 16.
SIZES = st.sampled_from([1, 15, 16, 17, 48, 48, 48, 100, 256, 1000])


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """FLOOR nodes, which take any operands and results, over tensors of random sizes."""
    names = iter(range(1000))

    def fresh() -> Value:
        return Value(f"t{next(names)}", (draw(SIZES),), DType.INT8)

    inputs = [fresh() for _ in range(draw(st.integers(0, 3)))]
    known, nodes = list(inputs), []
    for number in range(draw(st.integers(1, 12))):
        operands = draw(st.lists(st.sampled_from(known), max_size=3)) if known else []
        results = [fresh() for _ in range(draw(st.integers(0, 3)))]
        nodes.append(Node("FLOOR", tuple(operands), tuple(results), name=f"n{number}"))
        known += results
    outputs = draw(st.lists(st.sampled_from(known), max_size=3, unique=True)) if known else []
    return Graph("random", tuple(inputs), tuple(outputs), nodes)


class Moving:
    """A graph in the making of what moves rows of 16 bytes, or 5, and what computes; with its data.

    values: by tensor, what it holds after an inference.
    """

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw, self._row = draw, draw(st.sampled_from([16, 16, 48, 5]))
        self.values: dict[Value, np.ndarray] = {}
        self._data = np.random.default_rng(draw(st.integers(0, 1000)))
        self.nodes: list[Node] = []

    def fresh(self, rows: int) -> Value:
        """A computed tensor of so many rows."""
        return self._keep(self._data.integers(-128, 128, (1, rows, self._row), np.int8))

    def _keep(self, data: np.ndarray) -> Value:
        value = Value(f"t{len(self.values)}", data.shape, DType.INT8)
        self.values[value] = data
        return value

    def add(self) -> None:
        """One node of any kind."""
        x = self._draw(st.sampled_from(list(self.values)))
        kinds = (self.computes, self.computes, self.receives, self.receives, self.joins, self.cuts)
        kind = self._draw(st.sampled_from([*kinds, self.reshapes]))
        kind(x)

    def _done(self, op: str, inputs: tuple[Value, ...], y: Value, **attrs: AttrValue) -> None:
        self.nodes.append(Node(op, inputs, (y,), Attrs(attrs), name=f"n{len(self.nodes)}"))

    def computes(self, x: Value) -> None:
        self._done("FLOOR", (x,), self.fresh(self._draw(st.integers(1, 6))))

    def reshapes(self, x: Value) -> None:
        y = self._keep(self.values[x].copy())
        self._done("RESHAPE", (x, integers(*y.shape)), y)

    def joins(self, x: Value) -> None:
        parts = (x, self._draw(st.sampled_from(list(self.values))))
        y = self._keep(np.concatenate([self.values[part] for part in parts], 1))
        self._done("CONCATENATION", parts, y, axis=1, fused_activation_function=0)

    def cuts(self, x: Value) -> None:
        begin, end = self._interval(x.shape[1])
        y = self._keep(self.values[x][:, begin:end].copy())
        self._done("SLICE", (x, integers(0, begin, 0), integers(*y.shape)), y)

    def _interval(self, extent: int) -> tuple[int, int]:
        begin = self._draw(st.integers(0, extent - 1))
        return begin, self._draw(st.integers(begin + 1, extent))

    def receives(self, x: Value) -> None:
        """Some rows of x, and up to two more at either end."""
        begin, end = self._interval(x.shape[1])
        before, behind = self._draw(st.tuples(st.integers(0, 2), st.integers(0, 2)))
        y = self.fresh(before + end - begin + behind)
        self.values[y][:, before : before + end - begin] = self.values[x][:, begin:end]
        spans = ((begin - before, begin), (begin, end), (end, end + behind))
        boxes = [Box(((0, 1), (a + 2, b + 2), (0, self._row))) for a, b in spans]
        pieces = [RecvPiece(i, 1, box) for i, box in enumerate(boxes) if i != 1 and box.size]
        self.nodes.append(
            custom.recv(
                output=y, tensor="t", origin=(0, begin - before + 2, 0), local=x,
                local_box=boxes[1], local_origin=(0, 2, 0), pieces=pieces, pending=(x,),
                name=f"n{len(self.nodes)}",
            )
        )  # fmt: skip


@st.composite
def moving_graphs(draw: st.DrawFn) -> tuple[Graph, dict[Value, np.ndarray]]:
    """A graph most of whose nodes move rows, and what its tensors hold after an inference."""
    made = Moving(draw)
    inputs = tuple(made.fresh(draw(st.integers(1, 6))) for _ in range(draw(st.integers(1, 2))))
    for _ in range(draw(st.integers(1, 9))):
        made.add()
    outputs = draw(st.lists(st.sampled_from(list(made.values)), max_size=2, unique=True))
    return Graph("moving", inputs, tuple(outputs), made.nodes), made.values
