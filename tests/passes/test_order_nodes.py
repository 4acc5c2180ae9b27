# SPDX-License-Identifier: Apache-2.0
"""What frees more memory than it takes runs early; nothing else moves."""

from __future__ import annotations

import numpy as np

from tests.support import constant, node, run_tflm, tensor
from tflsplit.ir import Graph, Node, Value
from tflsplit.memory.lifetimes import peak_live_bytes
from tflsplit.ops.own.custom import send
from tflsplit.ops.region import Box
from tflsplit.passes.order_nodes import order_nodes


def dense(x: Value, channels: int, name: str) -> Node:
    rng = np.random.default_rng(len(name))
    data = rng.integers(-127, 128, (channels, x.shape[-1])).astype(np.int8)
    y = tensor(name, (*x.shape[:-1], channels), scale=0.9)
    return node("FULLY_CONNECTED", [x, constant(f"{name}/w", data, 0.02)], y, keep_num_dims=True)


def attention(kept: bool = False, posted: bool = False) -> Graph:
    """Scores of a small part of x, times another small part that is only made afterwards.

    kept: x is a result too; posted: the scores are sent before that.
    """
    source = tensor("source", (1, 12, 16))
    gathered = node("RELU", [source], tensor("x", (1, 12, 16)))
    x = gathered.output
    q = dense(x, 2, "q")
    scores = node("BATCH_MATMUL", [q.output, q.output], tensor("scores", (1, 12, 12)), adj_y=True)
    shares = tensor("weights", (1, 12, 12), scale=1 / 256, zero_point=-128)
    weights = node("SOFTMAX", [scores.output], shares, beta=1.0)
    v = dense(x, 2, "values")
    y = node("BATCH_MATMUL", [weights.output, v.output], tensor("y", (1, 12, 2)))
    between = [send_of(scores.output)] if posted else []
    outputs = (y.output, x) if kept else (y.output,)
    return Graph("test", (source,), outputs, [gathered, q, scores, weights, *between, v, y])


def send_of(value: Value) -> Node:
    whole = Box.whole(value.shape)
    origin = (0,) * len(value.shape)
    return send(
        value, channel=1, to=[1], tensor=value.name, boxes=[whole], origin=origin, name="post"
    )


def names(graph: Graph) -> list[str]:
    return [each.name for each in graph.nodes]


def test_what_frees_the_gathered_tensor_runs_behind_its_last_other_reader():
    graph = attention()
    ordered = order_nodes(graph)
    assert names(graph) == ["x", "q", "scores", "weights", "values", "y"]
    assert names(ordered) == ["x", "q", "values", "scores", "weights", "y"]
    # x (192) no longer lies beside scores and weights (144 each), but values (24) does.
    assert peak_live_bytes(graph) == 192 + 144 + 144
    assert peak_live_bytes(ordered) == 192 + 192  # source and x


def test_the_bits_stay():
    graph = attention()
    data = np.random.default_rng(3).integers(-128, 128, (1, 12, 16)).astype(np.int8)
    found, whole = run_tflm(order_nodes(graph), [data]), run_tflm(graph, [data])
    np.testing.assert_array_equal(found[0], whole[0])


def test_what_lives_on_is_not_freed():
    graph = attention(kept=True)
    assert order_nodes(graph) is graph


def test_nothing_moves_in_front_of_a_send():
    graph = attention(posted=True)
    assert order_nodes(graph) is graph


def test_a_lower_peak_is_the_only_reason():
    """The map before is larger than all that the move would save."""
    graph = attention()
    large = node("RELU", [tensor("source", (1, 64, 16))], tensor("large", (1, 64, 16)))
    pooled = node("SLICE", [large.output], tensor("source", (1, 12, 16)))
    graph.nodes = [large, pooled, *graph.nodes]
    graph.inputs = large.operands
    assert order_nodes(graph) is graph
