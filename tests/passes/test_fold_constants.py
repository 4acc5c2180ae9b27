# SPDX-License-Identifier: Apache-2.0
"""Folding of computed shapes: same results, fewer nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support import constant, integers, node, run_tflm, tensor
from tflsplit.ir import DType, Graph, Node, Value, check_graph
from tflsplit.ops.stock.reference import evaluate_integers
from tflsplit.passes.fold_constants import fold_constants
from tflsplit.tflite import read_model


def shape_value(name: str, shape: tuple[int, ...]) -> Value:
    return tensor(name, shape, DType.INT32, None)


def flatten_by_computed_shape() -> Graph:
    """What Keras' Flatten becomes when the batch is not known: SHAPE, STRIDED_SLICE, PACK."""
    x, y = tensor("x", (1, 3, 2, 4)), tensor("y", (1, 24))
    shape, batch, target = (shape_value(n, s) for n, s in (("s", (4,)), ("b", ()), ("t", (2,))))
    spans = [integers(name, [number]) for name, number in (("begin", 0), ("end", 1), ("by", 1))]
    nodes = [
        node("SHAPE", [x], shape, out_type=2),
        node("STRIDED_SLICE", [shape, *spans], batch, shrink_axis_mask=1),
        node("PACK", [batch, integers("rest", 24)], target, axis=0, values_count=2),
        node("RESHAPE", [x, target], y),
    ]
    return Graph("flatten", (x,), (y,), nodes)


def test_a_computed_shape_becomes_a_constant():
    graph = flatten_by_computed_shape()
    folded = fold_constants(graph)
    (reshape,) = folded.nodes
    assert reshape.op == "RESHAPE"
    assert reshape.input(1).name == "t"
    np.testing.assert_array_equal(np.array(reshape.input(1).data), [1, 24])
    assert reshape.output is graph.outputs[0]
    assert check_graph(folded) == []


def test_the_argument_stays_as_it_is():
    graph = flatten_by_computed_shape()
    nodes = list(graph.nodes)
    inputs = [n.inputs for n in nodes]
    fold_constants(graph)
    assert graph.nodes == nodes
    assert [n.inputs for n in graph.nodes] == inputs
    assert all(value.data is None for n in nodes for value in n.outputs)


def test_the_results_are_the_same_on_tflm():
    graph = flatten_by_computed_shape()
    x = np.arange(24, dtype=np.int8).reshape(graph.inputs[0].shape)
    before, after = (run_tflm(g, [x])[0] for g in (graph, fold_constants(graph)))
    np.testing.assert_array_equal(before, after)


def test_nothing_to_fold_changes_nothing():
    x, y = tensor("x", (4,)), tensor("y", (4,))
    graph = Graph("relu", (x,), (y,), [node("RELU", [x], y)])
    assert fold_constants(graph).nodes == graph.nodes


def test_results_of_the_graph_keep_their_node():
    x, shape = tensor("x", (1, 4)), shape_value("s", (2,))
    graph = Graph("shape", (x,), (shape,), [node("SHAPE", [x], shape, out_type=2)])
    assert fold_constants(graph).nodes == graph.nodes


def test_dead_nodes_vanish_and_effects_stay():
    x, y, unread = tensor("x", (4,)), tensor("y", (4,)), tensor("unread", (4,))
    state = tensor("state", (4,))
    state.is_variable = True
    nodes = [
        node("ABS", [x], unread),
        node("RELU", [x], y),
        Node("TFLSPLIT_SEND", (y,), (), is_custom=True, name="send"),
        node("ADD", [x, state], tensor("written", (4,))),
    ]
    left = fold_constants(Graph("g", (x,), (y,), nodes)).nodes
    assert left == nodes[1:]


def large() -> Node:
    return node("FILL", [integers("dims", [2000]), integers("v", 7)], shape_value("y", (2000,)))


def test_large_results_are_not_folded():
    fill = large()
    y = shape_value("z", (2000,))
    graph = Graph("g", (), (y,), [fill, node("ABS", [fill.output], y)])
    assert fold_constants(graph).nodes == graph.nodes


def i32(name: str, numbers: Any) -> Value:
    return integers(name, numbers)


@pytest.mark.parametrize(
    ("op", "inputs", "attrs", "expected"),
    [
        ("ADD", [i32("a", [1, 2]), i32("b", [10])], {}, [11, 12]),
        ("SUB", [i32("a", [1, 2]), i32("b", [10, 1])], {}, [-9, 1]),
        ("MUL", [i32("a", [3, 2]), i32("b", 4)], {}, [12, 8]),
        ("MAXIMUM", [i32("a", [3, 2]), i32("b", [0, 5])], {}, [3, 5]),
        ("MINIMUM", [i32("a", [3, 2]), i32("b", [0, 5])], {}, [0, 2]),
        ("PACK", [i32("a", 3), i32("b", 4)], {"axis": 0}, [3, 4]),
        ("CONCATENATION", [i32("a", [3]), i32("b", [4, 5])], {"axis": 0}, [3, 4, 5]),
        ("GATHER", [i32("a", [7, 8, 9]), i32("b", [2, 0])], {"axis": 0}, [9, 7]),
        ("SLICE", [i32("a", [7, 8, 9]), i32("b", [1]), i32("s", [-1])], {}, [8, 9]),
        (
            "STRIDED_SLICE",
            [i32("a", [7, 8, 9]), i32("b", [0]), i32("e", [0]), i32("s", [-1])],
            {"begin_mask": 1, "end_mask": 1},
            [9, 8, 7],
        ),
        ("RESHAPE", [i32("a", [[1, 2], [3, 4]]), i32("s", [4])], {}, [1, 2, 3, 4]),
        ("EXPAND_DIMS", [i32("a", 5), i32("axis", 0)], {}, [5]),
        ("SQUEEZE", [i32("a", [[5, 6]])], {}, [5, 6]),
        ("FILL", [i32("dims", [3]), i32("v", 7)], {}, [7, 7, 7]),
        ("REDUCE_PROD", [i32("a", [2, 3, 4]), i32("axis", [0])], {}, 24),
        ("SHAPE", [tensor("x", (1, 7, 7, 9))], {}, [1, 7, 7, 9]),
    ],
)
def test_semantics(op: str, inputs: list[Value], attrs: dict[str, Any], expected: Any):
    array = np.asarray(expected, np.int32)
    found = evaluate_integers(node(op, inputs, shape_value("y", array.shape), **attrs))
    assert found is not None
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, array)


def test_cast_to_int64():
    y = tensor("y", (2,), DType.INT64, None)
    found = evaluate_integers(node("CAST", [i32("a", [1, 2])], y))
    assert found is not None
    assert found.dtype == np.int64


@pytest.mark.parametrize(
    "kept",
    [
        node("ADD", [shape_value("x", (2,)), i32("b", [1, 2])], shape_value("y", (2,))),
        node("ADD", [i32("a", [1]), i32("b", [1])], shape_value("y", (1,)),
             fused_activation_function=1),
        node("ADD", [i32("a", [1]), i32("b", [1, 2])], shape_value("y", (3,))),
        node("ADD", [constant("a", np.ones(2, np.int8), 0.1)] * 2, tensor("y", (2,))),
        node("GATHER", [i32("a", [1]), i32("b", [5])], shape_value("y", (1,)), axis=0),
        node("CAST", [constant("a", np.ones(1, np.float32))], shape_value("y", (1,))),
        node("RELU", [i32("a", [1])], shape_value("y", (1,))),
    ],
    ids=lambda kept: kept.op,
)  # fmt: skip
def test_what_is_not_known_is_not_folded(kept: Node):
    assert evaluate_integers(kept) is None


def test_a_real_model_without_its_shape_chain(shared_models: Path):
    (path,) = shared_models.glob("**/mobilenet_v1_0.25_128_tinymaix.tflite")
    graph = read_model(path.read_bytes())
    folded = fold_constants(graph)
    gone = {n.op for n in graph.nodes} - {n.op for n in folded.nodes}
    assert gone == {"SHAPE", "STRIDED_SLICE", "PACK"}
    assert len(folded.nodes) == len(graph.nodes) - 3
    x = np.random.default_rng(0).integers(-128, 128, graph.inputs[0].shape).astype(np.int8)
    before, after = (run_tflm(g, [x])[0] for g in (graph, folded))
    np.testing.assert_array_equal(before, after)
