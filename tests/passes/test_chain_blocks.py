# SPDX-License-Identifier: Apache-2.0
"""Blocks that keep few rows, and two of them as one: which, the same bits, the scratch."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.builder import Tensor
from models.layers import LayerBuilder
from models.mobilenet_v2 import inverted_residual
from models.tiny import NETWORKS
from tests.passes.one_device import compared_alone
from tests.passes.test_fuse_blocks import blocks, network, pointwise, v1_blocks, v2_block
from tests.splits import compared, needs_tflm, networks, plans, tiny
from tflsplit.check.device_graphs import check_devices
from tflsplit.ir import Graph
from tflsplit.ops.own.fused import unfused
from tflsplit.ops.own.fused_options import FusedOptions
from tflsplit.ops.own.scratch import scratch_bytes, sweep_scratch
from tflsplit.passes.chain_blocks import chain_blocks
from tflsplit.passes.fuse_blocks import fuse_blocks
from tflsplit.passes.own_kernels import own_kernels
from tflsplit.rewriting.rewrite import Split
from tflsplit.split.lower import lower


def two(net: LayerBuilder, x: Tensor) -> Tensor:
    """A stem with its block, and a block of stride 2 behind it: what MobileNetV2 begins with."""
    x = inverted_residual(net, net.conv(x, 8, (3, 3), (2, 2)), 1, 6, 1)
    return inverted_residual(net, x, 3, 5, 2)


def chain(graph: Graph, columns: int = 2, chains: bool = True) -> Graph:
    """All blocks with windows of so many columns, and each inside the next where that can be."""
    fused = fuse_blocks(own_kernels(graph))
    names = [node.name for node in blocks(fused)]
    return chain_blocks(fused, dict.fromkeys(names, columns), names if chains else ())


def shapes(graph: Graph) -> list[tuple[bool, int]]:
    """Of every block, whether it is two, and the columns of its windows."""
    options = [FusedOptions.of(node) for node in blocks(graph)]
    return [(each.first is not None, each.window_columns) for each in options]


def test_two_blocks_become_one():
    graph = chain(network(two))
    assert shapes(graph) == [(True, 2)]
    (node,) = blocks(graph)
    assert [part.op.removeprefix("TFLSPLIT_") for part in unfused(node)] == [
        "CONV_2D",
        "DEPTHWISE_CONV_2D",
        "CONV_2D",
    ] * 2


def test_only_where_that_is_wanted():
    assert shapes(chain(network(two), chains=False)) == [(False, 2), (False, 2)]
    fused = fuse_blocks(own_kernels(network(two)))
    assert chain_blocks(fused, {}, {node.name for node in fused.nodes}).nodes == fused.nodes


def test_three_blocks_are_not_one():
    """v1 blocks have no expansion: windows of their own bring nothing, but a pair runs as one."""
    assert shapes(chain(network(v1_blocks))) == [(True, 2), (False, 0)]


def test_what_others_read_stays():
    net = LayerBuilder("net", 3, images=2)
    x = inverted_residual(net, net.input((9, 11, 4)), 3, 6, 2)
    graph = net.finish(inverted_residual(net, x, 3, 5, 2), x)
    assert shapes(chain(graph)) == [(False, 2), (False, 2)]


def test_an_add_is_in_no_pair():
    def adding(net: LayerBuilder, x: Tensor) -> Tensor:
        return inverted_residual(net, v2_block(net, x), 3, 5, 2)

    assert shapes(chain(network(adding))) == [(False, 2), (False, 2)]


def test_a_wide_expansion_is_in_no_pair():
    def wide(net: LayerBuilder, x: Tensor) -> Tensor:
        x = inverted_residual(net, x, 3, 5, 2)
        return pointwise(net, net.depthwise(net.conv(x, 8, (3, 3))), 6)

    assert shapes(chain(network(wide))) == [(False, 2), (False, 2)]


@needs_tflm
@pytest.mark.parametrize("columns", [1, 3, 64])
@pytest.mark.parametrize("name", NETWORKS)
def test_whole_networks(name: str, columns: int):
    graph = tiny(name)
    assert compared_alone(graph, chain(graph, columns)).passed


@needs_tflm
def test_pairs_give_the_same_bits():
    for make in (two, v1_blocks):
        graph = network(make)
        assert compared_alone(graph, chain(graph)).passed


def test_fewer_columns_take_less_scratch():
    (node,) = blocks(chain(network(two), 2))
    # as wide as y, a window shares no column with another
    narrow, two_wide, whole, wider = (sweep_scratch(node, n) for n in (1, 2, 3, 64))
    assert narrow < two_wide
    assert whole == wider
    assert scratch_bytes(node) == two_wide


@needs_tflm
@settings(max_examples=25)
@given(st.data())
def test_any_plan_of_any_network_gives_the_same_bits(data: st.DataObject):
    graph = data.draw(networks(), label="network")
    plan = data.draw(plans(graph, data.draw(st.integers(1, 4))), label="plan")
    columns = data.draw(st.sampled_from([1, 2, 8]), label="columns")
    splits = tuple(replace(s, window_columns=columns, chained=True) for s in plan.splits)
    narrow = replace(plan, splits=splits, fuse=True)
    devices = lower(graph, narrow)
    assert check_devices(graph, devices) == []
    verdict = compared(Split(graph, narrow, devices), runs=1)
    assert verdict.passed, verdict
