# SPDX-License-Identifier: Apache-2.0
"""Where wires are slow, others compute a branch of a network while the rest of it goes on."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest

from models.layers import LayerBuilder
from tests.planner.small import limited, residual, uart, verdict
from tests.splits import needs_tflm, tiny
from tflsplit.cluster import default_cluster
from tflsplit.ir import Graph
from tflsplit.plan.spec import Way
from tflsplit.planner import Planner
from tflsplit.planner.branches import branches, with_branches


@cache
def detector() -> Graph:
    """A large image, a small map with a skip, and two heads, of which one has most of the work."""
    net = LayerBuilder("detector", 5, images=2)
    x = net.conv(net.input((64, 64, 3)), 8, stride=(4, 4))
    small = net.conv(x, 8, stride=(2, 2))
    more = net.conv(net.add(net.conv(small, 8), small), 8)
    wide = net.conv(net.depthwise(net.conv(x, 96, (1, 1))), 96, (1, 1))
    return net.finish(net.conv(wide, 6, (1, 1)), net.conv(more, 6, (1, 1)))


def test_a_branch_is_what_one_output_alone_needs():
    graph = detector()
    (branch,) = branches(graph)  # that with most of the work; the other is not worth it
    assert [node.op for node in branch] == ["CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D", "CONV_2D"]
    assert branch[-1].output is graph.outputs[0]


@pytest.mark.parametrize("graph", [residual(), tiny("unet")], ids=["a chain", "one output"])
def test_no_branch_where_all_is_for_one_output(graph: Graph):
    assert branches(graph) == []
    assert with_branches(graph, uart(3), float("inf")) is None


def test_what_reads_two_tensors_is_no_branch():
    net = LayerBuilder("two", 5, images=2)
    x = net.conv(net.input((16, 16, 3)), 8)
    y = net.conv(x, 8)
    head = net.conv(net.add(x, y), 64)
    assert branches(net.finish(net.conv(head, 64), net.conv(net.add(x, y), 4))) == []


@needs_tflm
def test_others_compute_it_meanwhile_and_the_bits_stay():
    graph = detector()
    found = with_branches(graph, uart(3), float("inf"))
    assert found is not None
    ways = {split.node: split for split in found.plan.splits}
    (branch,) = branches(graph)
    for node in graph.nodes:
        split = ways[node.name]
        assert split.way is (Way.ROWS if node in branch else Way.WHOLE)
        assert node in branch or split.rank == 0
    assert verdict(graph, found).passed
    alone = Planner(graph, uart(1)).best("latency")
    assert found.latency_us < alone.latency_us
    assert Planner(graph, uart(3)).best("latency").latency_us <= found.latency_us


def test_only_what_is_quicker_and_fits():
    graph, cluster = detector(), uart(3)
    found = with_branches(graph, cluster, float("inf"))
    assert found is not None
    assert with_branches(graph, cluster, found.latency_us) is None
    assert with_branches(graph, limited(cluster, arena=1024), float("inf")) is None
    assert with_branches(graph, default_cluster(1), float("inf")) is None


def test_the_rest_runs_where_the_host_is():
    found = with_branches(detector(), replace(uart(3), input_rank=1, output_rank=1), float("inf"))
    assert found is not None
    assert {split.rank for split in found.plan.splits if split.way is Way.WHOLE} == {1}
