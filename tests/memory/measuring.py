# SPDX-License-Identifier: Apache-2.0
"""What the tests of this folder share: measuring on this host, random graphs."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st

from tflsplit.ir import DType, Graph, Node, Value
from tflsplit.memory import ArenaMeasurement, measure_arena


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
