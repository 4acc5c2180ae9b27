# SPDX-License-Identifier: Apache-2.0
"""Maps cut by rows and columns: cells, halos around them, and where that is less work."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from models.layers import LayerBuilder
from tests.plan.networks import box, expansion, plan_of, two_convolutions
from tests.splits import compared, needs_tflm, tiny_split
from tflsplit.bundle.plan_file import load_plan, plan_part
from tflsplit.check.device_graphs import check_devices
from tflsplit.errors import PlanError
from tflsplit.ir import Graph
from tflsplit.ops.own.fused import fused_inside
from tflsplit.plan.check import plan_problems
from tflsplit.plan.grid import cuts_of, even_cuts, grid_pays, grid_splits
from tflsplit.plan.halos import recompute_halos
from tflsplit.plan.layout import lay_out
from tflsplit.plan.policy import choose_plan
from tflsplit.plan.spec import NodeSplit, Plan, Way, even_shares
from tflsplit.plan.transfers import schedule
from tflsplit.plan.wishes import Wishes
from tflsplit.split.partition import partition

EVEN = even_shares(4)


def grid(node_name: str, bounds: tuple[int, ...], cross: tuple[int, ...]) -> NodeSplit:
    return NodeSplit(
        node_name, Way.GRID, "rows", bounds, cross_factor="columns", cross_bounds=cross
    )


def by_cells(graph: Graph) -> Plan:
    """int8[1, 8, 4, ...] in cells of 4 x 2."""
    return plan_of(4, *(grid(node.name, (0, 4, 8), (0, 2, 4)) for node in graph.nodes))


def test_cells_are_numbered_band_by_band_and_ranks_behind_them_have_none():
    split = grid("n", (0, 4, 7), (0, 5, 7))
    assert [split.share(rank) for rank in range(5)] == [
        {"rows": (0, 4), "columns": (0, 5)},
        {"rows": (0, 4), "columns": (5, 7)},
        {"rows": (4, 7), "columns": (0, 5)},
        {"rows": (4, 7), "columns": (5, 7)},
        {"rows": (0, 0), "columns": (0, 0)},
    ]


def test_a_cell_receives_both_sides_and_the_corner():
    """Conv 3x3 of 6 channels behind another: a row of 2, a column of 4, and one position."""
    graph = two_convolutions()
    sent = {(t.source, to, b.size) for t in schedule(lay_out(graph, by_cells(graph))).transfers()
            for to, b in zip(t.to, t.boxes, strict=True)}  # fmt: skip
    to_first = {(source, size // 6) for source, to, size in sent if to == 0}
    assert to_first == {(1, 4), (2, 2), (3, 1)}


def test_halos_of_a_block_are_computed_twice_on_both_sides():
    graph = expansion()
    found = recompute_halos(graph, by_cells(graph), fused_inside(graph))
    split = found.splits[1]  # 1x1 to 24, read by 3x3
    assert split.extents == ((0, 5), (0, 5), (3, 8), (3, 8))
    assert split.cross_extents == ((0, 3), (1, 4), (0, 3), (1, 4))
    assert plan_problems(graph, found) == []


def test_what_no_reader_needs_is_computed_all_the_same():
    """A reader that takes one corner: every cell but that is still made by its rank."""
    graph = two_convolutions()
    first, last = graph.nodes
    corner = replace(grid(last.name, (0, 8), (0, 4)), bounds=(0, 8))
    plan = plan_of(4, grid(first.name, (0, 4, 8), (0, 2, 4)), corner)
    found = recompute_halos(graph, plan, {first.name})
    made = lay_out(graph, found).held[first.output]
    assert made[0] == box(0, 1, 0, 8, 0, 4, 0, 6)  # all, for it reads all
    assert [b.is_empty for b in made] == [False, True, True, True]


def test_cells_that_ranks_without_one_are_sent_are_made():
    """Rank 0 reads all, so that it could make all; but rank 4, without a cell, is sent cells."""
    graph = two_convolutions()
    first, last = graph.nodes
    channels = NodeSplit(last.name, Way.OUT_CHANNELS, "out_channels", (0, 2, 2, 2, 2, 4))
    plan = plan_of(5, grid(first.name, (0, 4, 8), (0, 2, 4)), channels)
    found = recompute_halos(graph, plan, {first.name})
    assert check_devices(graph, partition(graph, found)) == []
    assert check_devices(graph, partition(graph, recompute_halos(graph, plan))) == []


def test_layouts_are_known_again():
    layout = [box(0, 1, 0, 4, 0, 5, 0, 3), box(0, 1, 0, 4, 5, 7, 0, 3),
              box(0, 1, 4, 7, 0, 5, 0, 3), box(0, 1, 4, 7, 5, 7, 0, 3)]  # fmt: skip
    assert cuts_of(layout, (1, 2)) == ((0, 4, 7), (0, 5, 7))
    assert cuts_of([layout[0], layout[2], layout[1], layout[3]], (1, 2)) is None
    assert cuts_of([box(0, 1, 0, 4, 0, 7, 0, 3), box(0, 1, 4, 7, 0, 7, 0, 3)], (1, 2)) is None


@pytest.mark.parametrize(
    ("size", "ranks", "pays"),
    [
        (14, 12, True),  # 3 x 7 of each instead of 2 x 14
        (14, 14, True),  # 2 x 7: windows read 4 x 8 instead of 3 x 14
        (7, 14, True),  # 1 x 4 instead of 1 x 7
        (7, 8, False),  # 2 x 4 instead of 1 x 7
        (112, 8, False),  # hardly less
        (14, 3, False),
    ],
)
def test_where_cells_are_less_work(size: int, ranks: int, pays: bool):
    assert grid_pays((1, size, size, 8), even_shares(ranks)) is pays


def test_unequal_devices_get_no_cells():
    assert not grid_pays((1, 14, 14, 8), (0.4, 0.2, 0.2, 0.2))
    node = two_convolutions().nodes[0]
    assert list(grid_splits(node, {}, (0.4, 0.2, 0.2, 0.2))) == []
    assert [split.way for split in grid_splits(node, {}, EVEN)] == [Way.GRID]


def test_an_odd_number_of_ranks_leaves_one_out():
    assert even_cuts(8, 4, 5) == even_cuts(8, 4, 4) == ((0, 4, 8), (0, 2, 4))


def test_what_has_no_weights_follows_and_a_mean_adds_up_cells():
    net = LayerBuilder("mean", 1, images=2)
    x = net.hard_swish(net.conv(net.input((8, 4, 3)), 6))
    graph = net.finish(net.mean(x))
    plan = choose_plan(graph, Wishes(4, "grid"))
    assert [split.way for split in plan.splits] == [Way.GRID] * len(graph.nodes)
    mean = plan.splits[-1]
    assert (mean.factor, mean.cross_factor) == ("in_rows", "in_columns")
    assert mean.scatter_factor == "channels"


@needs_tflm
@pytest.mark.parametrize("ranks", [4, 5, 7])
def test_the_same_bits(ranks: int):
    assert compared(tiny_split("mobilenet", ranks, "grid")).passed


SOUND = by_cells(two_convolutions())


def changed(**fields: Any) -> Plan:
    return replace(SOUND, splits=(replace(SOUND.splits[0], **fields), SOUND.splits[1]))


@pytest.mark.parametrize(
    ("plan", "text"),
    [
        (changed(way=Way.ROWS), "rows takes no cross_factor"),
        (changed(cross_factor="pages"), "cannot have 'pages' across, only"),
        (changed(cross_factor="rows"), "cannot have 'rows' across, only"),
        (changed(cross_factor="in_channels"), "cannot have 'in_channels' across, only"),
        (changed(bounds=(0, 2, 4, 8)), "3 x 2 cells are none for 4 devices"),
        (changed(cross_bounds=()), "2 x 0 cells are none"),
        (changed(bounds=(0, 4, 7)), "bounds goes from 0 to 7, not from 0 to 8"),
        (changed(cross_bounds=(0, 3, 2)), "cross_bounds goes from 0 to 2, not from 0 to 4"),
        (changed(extents=((0, 8),) * 4), "both extents and cross_extents, or neither"),
        (
            changed(extents=((0, 8),) * 4, cross_extents=((0, 5),) * 4),
            "the cross_extent of rank 0, 0 to 5, is outside 0 to 4",
        ),
    ],
)
def test_what_is_wrong_with_a_grid_is_said(plan: Plan, text: str):
    problems = plan_problems(two_convolutions(), plan)
    assert text in problems[0]


def test_a_grid_that_does_not_fit_makes_no_graphs():
    with pytest.raises(PlanError, match="3 x 2 cells for 4 devices"):
        lay_out(two_convolutions(), changed(bounds=(0, 2, 4, 8)))


def test_a_plan_of_cells_is_saved_and_replayed(tmp_path: Path):
    graph = expansion()
    plan = recompute_halos(graph, by_cells(graph), fused_inside(graph))
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(plan_part(graph, plan)))
    assert load_plan(path).splits == plan.splits
