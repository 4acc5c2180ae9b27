# SPDX-License-Identifier: Apache-2.0
"""Large maps of plain convolutions are made some rows at a time, for the least RAM."""

from __future__ import annotations

from functools import cache

import pytest

from models.builder import NONE, RELU, Tensor
from models.layers import LayerBuilder
from tests.passes.test_fuse_blocks import v2_block
from tests.splits import compared, needs_tflm
from tflsplit.cluster import default_cluster
from tflsplit.ir import Graph
from tflsplit.planner import Planner
from tflsplit.planner.best import best_plan
from tflsplit.planner.strips import in_strips, smallest_in_strips
from tflsplit.rewriting.rewrite import Split
from tflsplit.split.lower import lower


def residual(net: LayerBuilder, x: Tensor) -> Tensor:
    """As a ResNet has it: three maps of 8,192 bytes while the second convolution runs."""
    y = net.conv(net.conv(x, 8, activation=RELU), 8, activation=NONE)
    return net.add(x, y, RELU)


@cache
def network() -> Graph:
    net = LayerBuilder("net", 5, images=2)
    x = residual(net, net.conv(net.input((32, 32, 3)), 8))
    return net.finish(net.mean(net.conv(x, 12, (3, 3), (2, 2))))


def mobile() -> Graph:
    net = LayerBuilder("net", 5, images=2)
    return net.finish(v2_block(net, net.input((32, 32, 4))))


def test_a_residual_of_convolutions_has_two_maps_not_three():
    planner = Planner(network(), default_cluster(1))
    whole = planner.searcher(1, "ram").find("ram")
    assert whole is not None
    assert whole.arena_bytes > 3 * 8192
    best = planner.best("ram")
    assert 2 * 8192 < best.arena_bytes < 0.8 * whole.arena_bytes
    names = [split.node for split in best.plan.splits if split.streamed]
    assert len(names) >= 2


@needs_tflm
@pytest.mark.parametrize("world_size", [1, 2])
def test_the_same_bits(world_size: int):
    best = best_plan(network(), default_cluster(world_size), "ram")[1]
    assert any(split.streamed for split in best.plan.splits) or world_size > 1
    made = Split(network(), best.plan, lower(network(), best.plan), network())
    assert compared(made).passed


def test_one_device_more_is_never_worse():
    arenas = [best_plan(network(), default_cluster(n), "ram")[1].arena_bytes for n in (1, 2, 3)]
    assert arenas == sorted(arenas, reverse=True)


def test_other_objectives_keep_their_maps_whole():
    for objective in "latency", "bytes":
        plan = Planner(network(), default_cluster(1)).best(objective).plan
        assert not any(split.streamed for split in plan.splits)


def test_a_network_of_blocks_is_searched_as_ever():
    """Blocks hold their maps: nobody is asked for plans that runs in tiles could make smaller."""
    planner, asked = Planner(mobile(), default_cluster(1)), list[float]()
    searcher = planner.searcher(1, "ram")

    def find(_: str, beat: float, tail_bytes: float) -> None:
        asked.append(beat)

    searcher.find = find  # type: ignore[method-assign, assignment]
    assert smallest_in_strips(searcher, "ram", 1000.0, 0.0) is None
    assert asked == [1000.0]
    other = Planner(network(), default_cluster(1)).searcher(1, "ram")
    other.find = find  # type: ignore[method-assign, assignment]
    assert smallest_in_strips(other, "ram", 1000.0, 0.0) is None
    assert asked == [1000.0, 2000.0]


def test_what_gains_nothing_stays_the_same_plan():
    cluster = default_cluster(1)
    best = Planner(network(), cluster).best("ram")
    assert in_strips(network(), best) is best
