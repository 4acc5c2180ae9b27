# SPDX-License-Identifier: Apache-2.0
"""The facts that ``inspect`` shows."""

from __future__ import annotations

import numpy as np

from tests.ops.test_conv import plain_convolution
from tests.support import constant, node, tensor
from tflsplit.ir import Graph, Padding
from tflsplit.ops import Kind
from tflsplit.ops.describe import describe_graph, describe_node, ways_to_split


def test_a_convolution():
    facts = describe_node(plain_convolution(Padding.SAME))
    assert facts.macs == 8 * 6 * 6 * 9 * 4
    assert facts.weight_bytes == 6 * 9 * 4 + 6 * 4
    assert facts.activation_bytes == 8 * 6 * 4 + 8 * 6 * 6
    assert facts.result_shapes == ((1, 8, 6, 6),)
    ways = {way.factor: way for way in facts.ways}
    assert {name: way.size for name, way in ways.items()} == {
        "rows": 8,
        "columns": 6,
        "out_channels": 6,
        "in_channels": 4,
    }
    assert ways["rows"].halo == 2 * 6 * 4
    assert ways["columns"].halo == 2 * 8 * 4
    assert ways["out_channels"].reads_everything
    assert ways["out_channels"].halo == 0
    assert not ways["in_channels"].reads_everything
    assert ways["in_channels"].kind is Kind.REDUCTION
    assert str(ways["in_channels"]) == "in_channels 4 (sums)"
    assert str(ways["rows"]) == "rows 8"


def test_an_operator_that_runs_whole():
    x, y = tensor("x", (2, 3)), tensor("y", (2, 3))
    facts = describe_node(node("CUMSUM", [x], y))
    assert facts.ways == ()
    assert facts.macs == 0


def test_factors_of_one_step_are_no_ways():
    x, y = tensor("x", (1, 1, 1, 5)), tensor("y", (1, 1, 1, 5))
    assert [way.factor for way in ways_to_split(node("RELU", [x], y))] == ["channels"]


def test_a_tensor_read_twice_counts_once():
    x, y = tensor("x", (4,)), tensor("y", (4,))
    assert describe_node(node("ADD", [x, x], y)).activation_bytes == 8
    ones = constant("c", np.ones(4, np.int8), 0.1)
    graph = Graph("g", (x,), (y,), [node("ADD", [x, ones], y)])
    assert [facts.weight_bytes for facts in describe_graph(graph)] == [4]
