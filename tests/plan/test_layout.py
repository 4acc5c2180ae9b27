# SPDX-License-Identifier: Apache-2.0
"""What a plan means for every tensor, on cases worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest

from tests.plan.networks import (
    box,
    expansion,
    in_channels,
    out_channels,
    plan_of,
    replicated,
    rows,
    two_convolutions,
    whole,
)
from tests.splits import tiny
from tflsplit.errors import PlanError
from tflsplit.ir import Activation, Attrs, DType, Node, Quantization, Value
from tflsplit.ops import Box
from tflsplit.plan.layout import Read, lay_out
from tflsplit.plan.shards import shard_node, tile_factor
from tflsplit.plan.spec import NodeSplit, Way

WHOLE_Y = box(0, 1, 0, 8, 0, 4, 0, 6)
NOTHING = Box.empty(4)


def test_rows():
    shards = shard_node(two_convolutions().nodes[0], rows(two_convolutions().nodes[0], 0, 5, 8), 2)
    assert [shards.owned(rank)[0] for rank in range(2)] == [
        box(0, 1, 0, 5, 0, 4, 0, 6),
        box(0, 1, 5, 8, 0, 4, 0, 6),
    ]
    assert [piece.operands[0] for piece in shards.pieces] == [
        box(0, 1, 0, 6, 0, 4, 0, 3),
        box(0, 1, 4, 8, 0, 4, 0, 3),
    ]
    assert not shards.is_reduction
    assert shards.held(0) == shards.owned(0)


def test_output_channels_cut_weights_and_bias_not_the_input():
    node = two_convolutions().nodes[0]
    piece = shard_node(node, out_channels(node, 0, 2, 6), 2).pieces[1]
    assert piece.results == (box(0, 1, 0, 8, 0, 4, 2, 6),)
    assert piece.operands == (
        box(0, 1, 0, 8, 0, 4, 0, 3),
        box(2, 6, 0, 3, 0, 3, 0, 3),
        box(2, 6),
    )


def test_a_reduction_computes_all_channels_and_keeps_its_own():
    node = two_convolutions().nodes[1]
    shards = shard_node(node, in_channels(node, (0, 2, 6), (0, 1, 4)), 2)
    assert shards.is_reduction
    assert shards.pieces[1].results == (box(0, 1, 0, 8, 0, 4, 0, 4),)
    assert shards.pieces[1].operands[:2] == (
        box(0, 1, 0, 8, 0, 4, 2, 6),
        box(0, 4, 0, 3, 0, 3, 2, 6),
    )
    assert shards.owned(1) == shards.held(1) == (box(0, 1, 0, 8, 0, 4, 1, 4),)


def test_recomputed_halos_are_held_not_owned():
    node = two_convolutions().nodes[0]
    split = replace(rows(node, 0, 4, 8), extents=((0, 5), (3, 8)))
    shards = shard_node(node, split, 2)
    assert shards.owned(0) == (box(0, 1, 0, 4, 0, 4, 0, 6),)
    assert shards.held(0) == (box(0, 1, 0, 5, 0, 4, 0, 6),)
    assert shards.pieces[1].operands[0] == box(0, 1, 2, 8, 0, 4, 0, 3)


def test_whole_and_replicated():
    node = two_convolutions().nodes[0]
    placed = shard_node(node, whole(node, 1), 3)
    assert [placed.owned(rank)[0] for rank in range(3)] == [NOTHING, WHOLE_Y, NOTHING]
    assert [piece.is_empty for piece in placed.pieces] == [True, False, True]
    assert all(o == NOTHING or len(o.shape) != 4 for o in placed.pieces[0].operands if o)
    everywhere = shard_node(node, replicated(node), 3)
    assert [everywhere.owned(rank)[0] for rank in range(3)] == [WHOLE_Y] * 3


def test_tiles_cut_the_rows_of_what_every_rank_does():
    node = two_convolutions((1, 1)).nodes[1]
    shards = shard_node(node, replace(out_channels(node, 0, 1, 4), gather_tiles=3), 2)
    assert [tile.pieces[1].results[0] for tile in shards.tiles] == [
        box(0, 1, a, b, 0, 4, 1, 4) for a, b in ((0, 3), (3, 5), (5, 8))
    ]
    assert [tile.pieces[1].operands[0] for tile in shards.tiles] == [
        box(0, 1, a, b, 0, 4, 0, 6) for a, b in ((0, 3), (3, 5), (5, 8))
    ]
    assert sum(piece.macs for tile in shards.tiles for piece in tile.pieces) == 8 * 4 * 4 * 6
    assert shards.owned(1) == (box(0, 1, 0, 8, 0, 4, 1, 4),)


def test_no_more_tiles_than_rows():
    node = two_convolutions().nodes[1]
    tiles = shard_node(node, replace(whole(node, 1), gather_tiles=10), 2).tiles
    assert [tile.pieces[1].results[0].intervals[1] for tile in tiles] == [
        (row, row + 1) for row in range(8)
    ]
    assert all(tile.pieces[0].is_empty for tile in tiles)


def test_what_cannot_be_taken_in_tiles():
    """A step makes no part of the outermost dimension; or the ranks share that out, alone."""
    node = two_convolutions().nodes[1]
    assert tile_factor(node, rows(node, 0, 4, 8)) is None
    found = tile_factor(node, out_channels(node, 0, 2, 4))
    assert found is not None
    assert found.name == "rows"
    softmax = tiny("ds_cnn").nodes[-1]
    assert softmax.op == "SOFTMAX"
    split = NodeSplit(softmax.name, Way.WHOLE, gather_tiles=2)
    assert tile_factor(softmax, split) is None
    with pytest.raises(PlanError, match="split so, cannot be run in tiles"):
        shard_node(softmax, split, 1)


def test_rows_that_ranks_share_out_are_taken_in_tiles_of_their_own():
    node = two_convolutions().nodes[1]
    tiles = shard_node(node, replace(rows(node, 0, 3, 8), gather_tiles=2), 2).tiles
    taken = [[piece.results[0].intervals[1] for piece in tile.pieces] for tile in tiles]
    assert taken == [[(0, 2), (3, 6)], [(2, 3), (6, 8)]]


def test_a_batch_of_pixels_is_taken_in_tiles_of_pixels():
    x = Value("x", (12, 5), DType.INT8, Quantization((0.5,), (0,)))
    weights = Value("w", (8, 5), DType.INT8, Quantization((0.5,), (0,)), np.zeros((8, 5), np.int8))
    y = replace(x, name="y", shape=(12, 8))
    attrs = Attrs(fused_activation_function=Activation.NONE)
    node = Node("FULLY_CONNECTED", (x, weights), (y,), attrs, "dense")
    split = NodeSplit("dense", Way.OUT_CHANNELS, "out_channels", (0, 3, 8), gather_tiles=4)
    tiles = shard_node(node, split, 2).tiles
    assert [tile.pieces[1].results[0] for tile in tiles] == [
        box(a, a + 3, 3, 8) for a in (0, 3, 6, 9)
    ]
    assert tiles[2].pieces[0].operands[0] == box(6, 9, 0, 5)


@pytest.mark.parametrize(
    "bounds", [(0, 8), (0, 4, 7), (1, 4, 8), (0, 5, 4, 8), (0, 9, 8), (0, 3, 5, 8), ()]
)
def test_bounds_that_do_not_cut(bounds: tuple[int, ...]):
    node = two_convolutions().nodes[0]
    with pytest.raises(PlanError, match=r"do not cut 0\.\.8 into 2 pieces") as caught:
        shard_node(node, rows(node, *bounds), 2)
    assert repr(node.name) in str(caught.value)


def test_a_factor_that_the_node_has_not():
    node = expansion().nodes[2]
    assert node.op == "DEPTHWISE_CONV_2D"
    split = NodeSplit(node.name, Way.IN_CHANNELS, "in_channels", (0, 12, 24))
    with pytest.raises(PlanError, match=r"cannot be split by 'in_channels'.*rows.*channels"):
        shard_node(node, split, 2)


def test_reads_and_the_part_of_the_input_that_the_host_sends():
    graph = two_convolutions()
    first, second = graph.nodes
    layouts = lay_out(graph, plan_of(2, rows(first, 0, 4, 8), rows(second, 0, 6, 8)))
    assert layouts.owned[graph.inputs[0]] == (
        box(0, 1, 0, 5, 0, 4, 0, 3),
        box(0, 1, 3, 8, 0, 4, 0, 3),
    )
    assert layouts.reads[first.output] == (
        [Read((1, 0, 0), box(0, 1, 0, 7, 0, 4, 0, 6))],
        [Read((1, 0, 0), box(0, 1, 5, 8, 0, 4, 0, 6))],
    )
    assert layouts.owned[second.output][0] == box(0, 1, 0, 6, 0, 4, 0, 4)


def test_a_rank_without_part_gets_nothing_of_the_input():
    graph = two_convolutions()
    first, second = graph.nodes
    layouts = lay_out(graph, plan_of(2, whole(first, 1), whole(second, 1)))
    assert layouts.owned[graph.inputs[0]] == (NOTHING, box(0, 1, 0, 8, 0, 4, 0, 3))


def test_a_plan_that_says_nothing_of_a_node():
    graph = two_convolutions()
    with pytest.raises(PlanError, match=f"says nothing of {graph.nodes[1].name!r}"):
        lay_out(graph, plan_of(2, whole(graph.nodes[0], 0)))
