# SPDX-License-Identifier: Apache-2.0
"""Large maps of plain convolutions are made some rows at a time, for the least RAM."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from functools import cache

import pytest

from models.builder import NONE, RELU, Tensor
from models.layers import LayerBuilder
from tests.passes.test_fuse_blocks import v2_block
from tests.splits import compared, needs_tflm
from tflsplit.cluster import default_cluster
from tflsplit.ir import Graph
from tflsplit.plan.spec import NodeSplit, Plan, Way
from tflsplit.planner import Planner
from tflsplit.planner.best import best_plan
from tflsplit.planner.live_maps import live_maps
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


def blaze() -> Graph:
    """As BlazeFace has them: what is added has its channels padded, or is pooled before."""
    net = LayerBuilder("net", 5, images=2)
    x = net.conv(net.input((32, 32, 3)), 8, (3, 3), activation=RELU)
    y = net.conv(net.depthwise(x, (3, 3), activation=NONE), 12, (1, 1), activation=NONE)
    x = net.add(y, net.pad(x, (0, 0), (0, 0), (0, 4)), RELU)
    y = net.conv(net.depthwise(x, (3, 3), (2, 2), activation=NONE), 16, (1, 1), activation=NONE)
    pooled = net.pad(net.max_pool(x, (2, 2), (2, 2)), (0, 0), (0, 0), (0, 4))
    return net.finish(net.mean(net.add(y, pooled, RELU)))


def test_of_a_residual_of_convolutions_no_map_is_whole():
    planner = Planner(network(), default_cluster(1))
    whole = planner.searcher(1, "ram").find("ram")
    assert whole is not None
    assert whole.arena_bytes > 3 * 8192
    best = planner.best("ram")
    assert best.arena_bytes < 2 * 8192
    names = [split.node for split in best.plan.splits if split.streamed]
    assert len(names) >= 4


def test_what_is_read_by_several_layers_is_not_whole_either():
    """The first ADD makes 12,288 bytes of 8,192 and 12,288; the image comes row by row."""
    cluster = replace(default_cluster(1), stream=True)
    best = best_plan(blaze(), cluster, "ram")[1]
    assert best.plan.stream
    assert best.arena_bytes < 12288 + 4096


def test_what_is_there_while_a_layer_runs():
    """Two maps, three at the second convolution of the residual, two at the ADD in its place."""
    graph = network()
    splits = tuple(NodeSplit(node.name, Way.WHOLE) for node in graph.nodes)
    found = live_maps(graph, Plan(1, splits, (1.0,)))
    tail = 75 * len(graph.nodes)
    maps = [3072 + 8192, 2 * 8192, 3 * 8192, 2 * 8192, 8192 + 16 * 16 * 12]
    assert list(found.around)[: len(maps)] == [size + tail for size in maps]
    assert max(found.around) < found.pressure_bytes < 1.05 * max(found.around)
    tiled = [replace(split, streamed=True) for split in splits[:3]]
    whole = replace(splits[3], gather_tiles=8)
    found = live_maps(graph, Plan(1, (*tiled, whole, *splits[4:]), (1.0,), stream=True))
    assert found.around[:3] == (0, 0, 0)
    assert 8192 < found.around[3] - 75 * (4 * 8 + len(splits) - 4) < 2 * 8192


def test_the_same_plan_in_every_run():
    program = (
        "from tests.planner.test_strips import *;"
        "print(best_plan(blaze(), default_cluster(1), 'ram')[1].plan)"
    )
    plans = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(plans) == 1
    assert "streamed=True" in plans.pop()


@needs_tflm
@pytest.mark.parametrize("graph", [network(), blaze()], ids=["residual", "blaze"])
@pytest.mark.parametrize("world_size", [1, 2])
def test_the_same_bits(world_size: int, graph: Graph):
    best = best_plan(graph, default_cluster(world_size), "ram")[1]
    assert any(split.streamed for split in best.plan.splits) or world_size > 1
    made = Split(graph, best.plan, lower(graph, best.plan), graph)
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
