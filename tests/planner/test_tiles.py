# SPDX-License-Identifier: Apache-2.0
"""Units in tiles: how many, what is streamed, and what the search may do with them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from models.builder import NONE
from models.layers import LayerBuilder
from tests.plan.networks import in_channels, out_channels, rows
from tests.planner.small import uart
from tflsplit.ir import Graph, Value
from tflsplit.memory import predict_arena
from tflsplit.ops import Box
from tflsplit.plan.spec import NodeSplit, Way, even_shares, proportional_bounds
from tflsplit.planner.cost.costs import Costs
from tflsplit.planner.searching.choices import Choices
from tflsplit.planner.ways.options import GATHERS_IN_TILES, SUMS_IN_TILES, Option, apply_option
from tflsplit.planner.ways.tiles import LEAST_ROOM_BYTES, in_tiles, room_bytes
from tflsplit.planner.ways.units import Unit
from tflsplit.split.lower import lower


def narrow_after_wide() -> Graph:
    """int8[1, 32, 16, 3] -- 3x3 to 32 -- (1x1 to 192 -- depthwise -- 1x1 to 32 -- ADD) -- 3x3."""
    net = LayerBuilder("narrow", 3, images=2)
    x = net.conv(net.input((32, 16, 3)), 32)
    inner = net.conv(net.depthwise(net.conv(x, 192, (1, 1))), 32, (1, 1), activation=NONE)
    return net.finish(net.conv(net.add(inner, x), 8))


GRAPH = narrow_after_wide()
CHOICES = Choices(GRAPH, uart(4))
BLOCK = CHOICES.units[1]


def given_by_channels(unit: Unit) -> dict[Value, tuple[Box, ...]]:
    (x,) = unit.inputs
    cuts = proportional_bounds(x.shape[3], even_shares(4))
    return {x: tuple(Box.whole(x.shape).with_dim(3, (cuts[r], cuts[r + 1])) for r in range(4))}


def test_the_room_is_a_share_of_the_largest_maps():
    graphs = [unit.graph for unit in CHOICES.units]
    # The largest: the block, 16 KiB on either side.
    assert room_bytes(graphs, 2) == 16384
    assert room_bytes(graphs, 4) == LEAST_ROOM_BYTES == CHOICES.room_bytes


@pytest.mark.parametrize("room", [1 << 20, 60_000, 30_000, 10_000])
@pytest.mark.parametrize("option", [GATHERS_IN_TILES, SUMS_IN_TILES])
def test_fewer_bytes_of_room_mean_more_tiles_and_a_smaller_head(option: Option, room: int):
    given = given_by_channels(BLOCK)
    chosen = apply_option(BLOCK, option, given, even_shares(4), room_bytes=room)
    if room == 1 << 20:
        assert chosen is None  # nothing needs tiles
        return
    assert chosen is not None
    expand, depthwise, project, _ = chosen.plan.splits
    assert expand.streamed
    assert depthwise.streamed
    assert project.tiles > 1
    at_once = apply_option(BLOCK, replace(option, small=False), given, even_shares(4))
    assert at_once is not None
    before, after = (
        Costs().of(CHOICES.cluster, BLOCK, each.plan, given) for each in (at_once, chosen)
    )
    assert max(after.head_bytes) < max(before.head_bytes)
    assert max(after.tail_bytes) > max(before.tail_bytes)
    assert sum(after.weights_bytes) == sum(before.weights_bytes)


def test_tiles_are_the_fewest_that_do():
    """96 KiB are gathered; a quarter of 16 + 16 KiB are there anyhow."""
    (x,) = BLOCK.inputs
    expand, depthwise, project, add = BLOCK.nodes
    splits = (
        out_channels(expand, 0, 48, 96, 144, 192),
        NodeSplit(depthwise.name, Way.CHANNELS, "channels", (0, 48, 96, 144, 192)),
        out_channels(project, 0, 8, 16, 24, 32),
        NodeSplit(add.name, Way.CHANNELS, "channels", (0, 8, 16, 24, 32)),
    )
    wide = depthwise.output
    owned = {
        **given_by_channels(BLOCK),
        wide: tuple(Box.whole(wide.shape).with_dim(3, (48 * r, 48 * r + 48)) for r in range(4)),
    }
    tiles = {
        room: in_tiles(BLOCK.graph, splits, owned, room)[2].gather_tiles
        for room in (8192 + 98304, 8192 + 98303, 8192 + 32768, 8192)
    }
    assert tiles == {106496: 1, 106495: 2, 40960: 3, 8192: 10}
    assert x in owned


def test_rows_are_left_as_they_are():
    splits = tuple(rows(node, 0, 8, 16, 24, 32) for node in BLOCK.nodes)
    made = in_tiles(BLOCK.graph, splits, {}, 8192)
    assert [split.tiles for split in made] == [1] * 4
    assert not any(split.streamed for split in made)


def test_an_expansion_that_is_cut_otherwise_is_not_streamed():
    expand, depthwise, project, add = BLOCK.nodes
    quarters = (0, 48, 96, 144, 192)
    splits = (
        rows(expand, 0, 8, 16, 24, 32),
        NodeSplit(depthwise.name, Way.CHANNELS, "channels", quarters),
        in_channels(project, quarters, (0, 8, 16, 24, 32)),
        NodeSplit(add.name, Way.CHANNELS, "channels", (0, 8, 16, 24, 32)),
    )
    made = in_tiles(BLOCK.graph, splits, {}, 8192)
    assert [split.streamed for split in made] == [False, True, False, False]


def test_of_both_ways_in_tiles_the_better_is_kept():
    steps = CHOICES.expand(1, given_by_channels(BLOCK), (GATHERS_IN_TILES, SUMS_IN_TILES))
    assert steps
    for step in steps:
        others = [other for other in steps if other is not step]
        if step.option == SUMS_IN_TILES:
            assert not any(other.is_quicker_and_sends_less(step) for other in others)


@pytest.mark.parametrize("option", [Option("rows", part=2), GATHERS_IN_TILES, Option("channels")])
def test_a_device_that_holds_all_of_the_input_is_not_taken_for_the_others(option: Option):
    """It adds whole maps, or sends what the others gather: its head is its own."""
    (x,) = BLOCK.inputs
    nothing = Box.empty(4)
    given = {x: (nothing, nothing, nothing, Box.whole(x.shape))}
    shares = (0.5, 0.5, 0.0, 0.0) if option.part else even_shares(4)
    chosen = apply_option(BLOCK, option, given, shares, room_bytes=16384)
    assert chosen is not None
    found = Costs().of(CHOICES.cluster, BLOCK, chosen.plan, given).head_bytes
    devices = lower(BLOCK.graph, chosen.plan, given)
    exact = [predict_arena(device.graph).head_bytes for device in devices]
    assert all(guess >= true for guess, true in zip(found, exact, strict=True)), (found, exact)
    assert max(found) == max(exact)
