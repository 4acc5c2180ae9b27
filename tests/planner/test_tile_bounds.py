# SPDX-License-Identifier: Apache-2.0
"""Tiles of an input that the host keeps: the later ones smaller, each where its map wants it."""

from __future__ import annotations

from itertools import pairwise

import pytest

from models.layers import LayerBuilder
from tests.splits import compared, needs_tflm, tiny
from tests.streaming import streamed_plan
from tflsplit.ir import Graph
from tflsplit.memory import predict_arena
from tflsplit.plan.spec import NodeSplit, Plan, Way
from tflsplit.planner.ways.hosted import tile_bounds
from tflsplit.rewriting.rewrite import Split, splittable
from tflsplit.split.lower import lower


def tiled(plan: Plan) -> NodeSplit:
    (found,) = (split for split in plan.splits if split.gather_tiles > 1)
    return found


@pytest.mark.parametrize("tiles", [2, 3, 4])
@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_they_get_smaller_and_begin_at_multiples_of_16_bytes(tiles: int, ranks: int):
    graph = splittable(tiny("mobilenet"))
    split = tiled(streamed_plan(graph, ranks, tiles, "columns"))
    node = next(node for node in graph.nodes if node.name == split.node)
    _, rows, columns, channels = node.output.shape
    bounds = split.tile_bounds
    assert (bounds[0], bounds[-1], len(bounds)) == (0, rows, tiles + 1)
    sizes = [stop - start for start, stop in pairwise(bounds)]
    assert sizes == sorted(sizes, reverse=True)
    cuts = [b - a for a, b in split.extents or pairwise(split.bounds)] or [columns]
    assert all(at * count * channels % 16 == 0 for at in bounds[:-1] for count in cuts)


def test_rows_that_devices_share_out_are_cut_evenly():
    split = tiled(streamed_plan(splittable(tiny("mobilenet")), 2, 3, "rows"))
    assert split.factor == "rows"
    assert split.tile_bounds == ()


def test_of_few_rows_tiles_are_even():
    graph = splittable(tiny("mobilenet"))
    split = tiled(streamed_plan(graph, 1, 3))
    node = next(node for node in graph.nodes if node.name == split.node)
    rows = node.output.shape[1]
    whole = NodeSplit(node.name, Way.WHOLE, gather_tiles=rows)
    assert tile_bounds(node, whole, graph.inputs[0]) == ()


def test_tiles_are_even_where_an_odd_map_outgrows_what_is_read_for_it():
    """9 rows of 24 bytes, which begin at even ones, for 9 of 3: nothing is left to the last."""
    net = LayerBuilder("odd", 1, images=2)
    graph = net.finish(net.conv(net.input((9, 3, 1)), 8))
    (node,) = graph.nodes
    split = NodeSplit(node.name, Way.WHOLE, gather_tiles=2)
    assert tile_bounds(node, split, graph.inputs[0]) == ()


def head_bytes(graph: Graph, plan: Plan) -> int:
    return max(predict_arena(device.graph).head_bytes for device in lower(graph, plan))


@needs_tflm
def test_less_ram_and_the_same_bits():
    graph = splittable(tiny("mobilenet"))
    plan = streamed_plan(graph, 2, 3, "columns")
    even = Plan(
        plan.world_size,
        tuple(NodeSplit(**{**vars(s), "tile_bounds": ()}) for s in plan.splits),
        plan.shares, fuse=plan.fuse, stream=plan.stream,
    )  # fmt: skip
    assert head_bytes(graph, plan) <= head_bytes(graph, even)
    verdict = compared(Split(graph, plan, lower(graph, plan)))
    assert verdict.passed, verdict
