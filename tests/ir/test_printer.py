# SPDX-License-Identifier: Apache-2.0
"""The text of a graph is complete, stable and on one line per thing."""

import numpy as np

from tflsplit.ir import Attrs, DType, Graph, Node, Quantization, Value
from tflsplit.ir.printer import graph_text, node_text, value_text


def small_graph() -> Graph:
    x = Value("x", (1, 2), DType.INT8, Quantization((0.1,), (-3,)))
    scales = Quantization((0.25, 0.5, 0.125), (0, 0, 0), axis=0)
    w = Value("w", (3, 2), DType.INT8, scales, np.arange(6, dtype=np.int8).reshape(3, 2))
    y = Value("y", (1, 3), DType.INT8, Quantization((1.0,), (7,)))
    state = Value("state", (4,), DType.FLOAT32, is_variable=True)
    dense = Node("FULLY_CONNECTED", (x, w, None), (y,), Attrs(keep_num_dims=True, axis=-1))
    piece = Attrs({"channel": 2, "box": (0, 3)})
    options = Attrs(pieces=(piece,), raw=b"\0\1", tensor="y", v=1)
    send = Node("TFLSPLIT_SEND", (y, state), (), options, name="send", is_custom=True)
    return Graph("main", (x,), (y,), [dense, send])


TEXT = """\
graph main
  in    x: int8[1,2] q(0.1;-3)
  const w: int8[3,2] q(3 along 0;0) = [0, 1, 2, 3, 4, 5]
  0     y: int8[1,3] q(1.0;7) = FULLY_CONNECTED(x, w, -) {axis=-1, keep_num_dims=True}
  1     custom TFLSPLIT_SEND(y, state) {pieces=[{box=[0, 3], channel=2}], raw=0001, tensor='y', v=1}
  out   y
"""


def test_the_text_of_a_graph():
    assert graph_text(small_graph()) == TEXT


def test_the_order_of_attributes_does_not_matter():
    one, other = small_graph(), small_graph()
    other.nodes[0].attrs = Attrs(axis=-1, keep_num_dims=True)
    assert graph_text(one) == graph_text(other)


def test_values_of_one_name_are_told_apart():
    graph = small_graph()
    graph.outputs[0].name = "x"
    text = graph_text(graph)
    assert "x@2: int8[1,3] q(1.0;7) = FULLY_CONNECTED(x, w, -)" in text
    assert "  out   x@2\n" in text


def test_large_constants_are_cut_short():
    w = Value("w", (100,), DType.INT32, data=np.arange(100, dtype=np.int32))
    text = graph_text(Graph("g", (), (w,), []))
    assert "= [0, 1, 2, 3, 4, 5, 6, 7, ...]" in text


def test_names_cannot_break_lines():
    graph = small_graph()
    graph.inputs[0].name = "a\nb\x1b[2J"
    assert len(graph_text(graph).splitlines()) == len(TEXT.splitlines())
    assert "a\\nb\\x1b[2J" in graph_text(graph)


def test_one_node_and_one_value():
    graph = small_graph()
    assert node_text(graph.nodes[0]) in graph_text(graph)
    assert value_text(graph.nodes[1].input(1)) == "state: float32[4] variable"
