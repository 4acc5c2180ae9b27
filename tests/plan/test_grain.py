# SPDX-License-Identifier: Apache-2.0
"""Cuts that the reader of a result can follow."""

from __future__ import annotations

import numpy as np

from tests.support import constant, integers, node, tensor
from tflsplit.ir import Graph, Node
from tflsplit.ops import Factor, rule_of
from tflsplit.plan.grain import grain_of
from tflsplit.plan.policy import Chooser
from tflsplit.plan.wishes import Wishes


def dense(channels: int = 12) -> Node:
    weights = constant("w", np.ones((channels, 8), np.int8), 0.02)
    y = tensor("y", (1, 5, channels))
    return node("FULLY_CONNECTED", [tensor("x", (1, 5, 8)), weights], y, keep_num_dims=True)


def to_heads(made: Node, heads: int) -> Node:
    _, positions, channels = made.output.shape
    shape = (1, positions, heads, channels // heads)
    return node("RESHAPE", [made.output, integers("shape", shape)], tensor("z", shape))


def graph_of(*nodes: Node) -> Graph:
    return Graph("test", (nodes[0].input(0),), nodes[-1].outputs, list(nodes))


def factor(made: Node, name: str) -> Factor:
    return next(f for f in rule_of(made).factors(made) if f.name == name)


def test_channels_that_become_heads_stay_together():
    made = dense()
    readers = graph_of(made, to_heads(made, 3)).consumers()
    assert grain_of(made, factor(made, "out_channels"), readers) == 4
    assert grain_of(made, factor(made, "rows"), readers) == 1


def test_other_readers_follow_any_cut():
    made = dense()
    relu = node("RELU", [made.output], tensor("z", made.output.shape))
    for nodes in ([made], [made, relu], [made, to_heads(made, 3), relu]):
        assert grain_of(made, factor(made, "out_channels"), graph_of(*nodes).consumers()) == 1


def bounds(world_size: int, heads: int) -> tuple[int, ...]:
    made = dense()
    graph = graph_of(made, to_heads(made, heads))
    shares = (1 / world_size,) * world_size
    chooser = Chooser(graph, Wishes(world_size, split="out_channels"), shares)
    return chooser.choose(made).bounds


def test_the_policy_cuts_whole_heads():
    assert bounds(2, 3) == (0, 8, 12)
    assert bounds(3, 3) == (0, 4, 8, 12)


def test_but_not_if_most_devices_would_get_nothing():
    assert bounds(5, 2) == (0, 2, 5, 7, 10, 12)
