# SPDX-License-Identifier: Apache-2.0
"""Options that only save time: they are exact, and do what they are for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from models.layers import LayerBuilder
from models.mobilenet_v2 import inverted_residual
from tests.planner.small import FAST, slow, uart, verdict
from tests.splits import needs_tflm, tiny
from tflsplit.cluster import default_cluster
from tflsplit.ir import Graph
from tflsplit.plan.layout import lay_out
from tflsplit.plan.spec import Way
from tflsplit.planner.searching.assembly import complete, draft
from tflsplit.planner.searching.choices import Choices
from tflsplit.planner.searching.search import unlimited
from tflsplit.planner.ways.options import GRIDS, OPTIONS, RECEIVING, WHOLE, Option
from tflsplit.planner.whole.planned import Planned
from tflsplit.wire import custom_ops as wire


def planned_with(choices: Choices, menu: object, across: bool = True) -> Planned:
    def expand(index, known):
        return choices.expand(index, known, menu(index))  # type: ignore[operator]

    steps = unlimited(choices.units, expand, lambda step: step.cost.time_us)
    assert steps
    return complete(choices, choices.cluster, draft(choices, choices.cluster, steps, across))


def macs(graph: Graph, planned: Planned) -> int:
    """Of all devices together."""
    layouts = lay_out(graph, planned.plan)
    return sum(piece.macs for shards in layouts.nodes for piece in shards.pieces)


@needs_tflm
@pytest.mark.parametrize("across", [True, False])
def test_halos_of_expansions_are_received_where_wires_are_fast(across: bool):
    graph = tiny("mobilenet")
    choices = Choices(graph, slow(3, FAST))
    blocks = [bool(unit.expansions) for unit in choices.units]

    def among(rows: Option) -> Planned:
        return planned_with(choices, lambda u: [rows] if blocks[u] else OPTIONS, across)

    quick, usual = among(RECEIVING[0]), among(OPTIONS[0])
    received = [step for step in quick.steps if step.option.receive]
    assert received
    layers = {split.node: split for split in quick.plan.splits}
    for step in received:
        assert all(not layers[name].extents for name in step.unit.expansions)
    # Whether that much less computing is worth the waiting is for the search to say: it was when a
    # multiply-accumulate took three cycles (and a test that the plan is quicker), with kernels of
    # one instruction for each it is not for this network.
    assert macs(graph, quick) < 0.9 * macs(graph, usual)
    assert sum(quick.prediction.compute_us) < 0.95 * sum(usual.prediction.compute_us)
    # Those blocks are fused without their expansion.
    fused = [n for d in quick.devices for n in d.graph.nodes if n.op == wire.FUSED_BLOCK]
    assert fused
    assert not any(wire.decode(node)["expand"] for node in fused)
    assert verdict(graph, quick).passed


@needs_tflm
def test_a_map_is_cut_anew():
    graph = tiny("mobilenet")
    choices = Choices(graph, uart(3))
    choices.vectors["lopsided"] = (0.6, 0.2, 0.2)
    first = [Option("rows", by="lopsided")]
    kept = planned_with(choices, lambda unit: first if unit == 0 else [Option("rows"), WHOLE])
    anew = [Option("rows", recut=True)]
    cut = planned_with(choices, lambda unit: first if unit == 0 else anew if unit == 1 else OPTIONS)
    bounds = [[split.bounds for split in planned.plan.splits] for planned in (kept, cut)]
    assert bounds[0][0] == bounds[1][0]
    assert bounds[0] != bounds[1]
    assert verdict(graph, cut).passed


@needs_tflm
def test_maps_of_hardly_a_row_for_each_are_cut_into_cells():
    """14 x 14 over twelve: 3 x 7 for each instead of 2 x 14 for seven; quicker, the same bits."""
    net = LayerBuilder("small maps", 3)
    x = net.conv(net.input((14, 14, 8)), 32, (1, 1))
    for _ in range(2):
        x = inverted_residual(net, x, 6, 32, 1)
    graph = net.finish(net.mean(x))
    cluster = default_cluster(12, "ethernet")
    choices = Choices(graph, replace(cluster, direct=True))
    cells = planned_with(choices, lambda _: choices.all_quick)
    rows = planned_with(choices, lambda _: [o for o in choices.all_quick if o not in GRIDS])
    ways = [split.way for split in cells.plan.splits]
    assert Way.GRID in ways
    assert cells.latency_us < 0.97 * rows.latency_us
    assert verdict(graph, cells).passed
