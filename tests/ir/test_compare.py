# SPDX-License-Identifier: Apache-2.0
"""Equal graphs have no differences; every single change is one."""

from collections.abc import Callable

import numpy as np
import pytest

from tflsplit.ir import Attrs, DType, Graph, Node, Quantization, Value
from tflsplit.ir.compare import differences

NAN = float("nan")


def graph() -> Graph:
    x = Value("x", (2,), DType.INT8, Quantization((0.5,), (1,), minimum=(NAN,)))
    w = Value("w", (2,), DType.INT8, data=np.array([1, 2], np.int8))
    y, z = Value("y", (2,), DType.INT8), Value("z", (2,), DType.INT8)
    nodes = [
        Node("ADD", (x, w), (y,), Attrs(fused_activation_function=0)),
        Node("MUL", (y, w), (z,), file_extra=Attrs(intermediates=(y,))),
    ]
    return Graph("main", (x,), (z,), nodes, {"m": b"1"}, Attrs(unused=(y,)))


def set_value(name: str, field: str, content: object) -> Callable[[Graph], None]:
    def change(graph: Graph) -> None:
        value = next(value for value in graph.values() if value.name == name)
        setattr(value, field, content)

    return change


def set_node(index: int, field: str, content: object) -> Callable[[Graph], None]:
    return lambda graph: setattr(graph.nodes[index], field, content)


CHANGES: dict[str, Callable[[Graph], object]] = {
    "graph main: name": lambda graph: setattr(graph, "name", "other"),
    "graph main: metadata": lambda graph: graph.metadata.update(m=b"2"),
    "graph main: file_extra": lambda graph: setattr(graph, "file_extra", Attrs()),
    "graph main: outputs": lambda graph: setattr(graph, "outputs", ()),
    "2 nodes against 1": lambda graph: graph.nodes.pop(),
    "value x: name": set_value("x", "name", "xx"),
    "value x: shape": set_value("x", "shape", (2, 1)),
    "value x: dtype": set_value("x", "dtype", DType.UINT8),
    "value x: quantization": set_value("x", "quantization", Quantization((0.5,), (2,))),
    "value y: quantization": set_value("y", "quantization", Quantization()),
    "value y: is_variable": set_value("y", "is_variable", True),
    "value y: file_extra": set_value("y", "file_extra", Attrs(index=1)),
    "value w: contents differ": set_value("w", "data", np.array([1, 3], np.int8)),
    "node y: op": set_node(0, "op", "SUB"),
    "node y: version": set_node(0, "version", 2),
    "node y: is_custom": set_node(0, "is_custom", True),
    "node y: name": set_node(0, "name", "n"),
    "node y: attrs": set_node(0, "attrs", Attrs(fused_activation_function=False)),
    "node z: file_extra": set_node(1, "file_extra", Attrs()),
    "node z: inputs": lambda graph: setattr(
        graph.nodes[1], "inputs", (graph.inputs[0], *graph.nodes[1].inputs[1:])
    ),
}


def test_equal_graphs():
    assert differences(graph(), graph()) == []


@pytest.mark.parametrize("message", CHANGES)
def test_every_change_is_found(message: str):
    changed = graph()
    CHANGES[message](changed)
    assert any(found.startswith(message) for found in differences(graph(), changed))


def test_sharing_of_memory_is_compared():
    def two_constants(shared: bool) -> Graph:
        array = np.array([1, 2], np.int8)
        arrays = (array, array if shared else array.copy())
        a, b = (Value(name, (2,), DType.INT8, data=d) for name, d in zip("ab", arrays, strict=True))
        y = Value("y", (2,), DType.INT8)
        return Graph("main", (), (y,), [Node("ADD", (a, b), (y,))])

    assert differences(two_constants(True), two_constants(True)) == []
    assert differences(two_constants(True), two_constants(False)) == [
        "other constants share memory"
    ]
