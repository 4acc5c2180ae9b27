# SPDX-License-Identifier: Apache-2.0
"""Pairs of blocks as one unit, and what the least RAM gains by them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from models.builder import Tensor
from models.layers import LayerBuilder
from models.mobilenet_v2 import inverted_residual
from tests.passes.test_chain_units import model as chained_model
from tests.passes.test_fuse_blocks import network, v2_block
from tests.splits import compared, needs_tflm, tiny
from tflsplit.cluster import default_cluster
from tflsplit.ir import Graph
from tflsplit.ops.own.fused import block_parts
from tflsplit.plan.spec import NodeSplit, Way
from tflsplit.planner import Planner
from tflsplit.planner.best import best_plan
from tflsplit.planner.explain import reasoned
from tflsplit.planner.searching.choices import Choices, any_of
from tflsplit.planner.searching.searcher import Searcher
from tflsplit.planner.ways.chains import chained_inside, narrowed, with_pairs
from tflsplit.planner.ways.options import WHOLE, Option
from tflsplit.planner.ways.units import cut_into_units
from tflsplit.rewriting.rewrite import Split, splittable


def swelling(net: LayerBuilder, x: Tensor) -> Tensor:
    """x of 396 bytes, 990 between two blocks, 300 behind them."""
    return inverted_residual(net, inverted_residual(net, x, 3, 10, 1), 3, 10, 2)


def sizes(graph: Graph) -> list[int]:
    return [len(unit.nodes) for unit in with_pairs(cut_into_units(graph))]


def test_blocks_around_the_largest_map_are_one_unit():
    assert sizes(network(swelling)) == [6]
    assert len(cut_into_units(network(swelling))) == 2


def test_others_are_not():
    def shrinking(net: LayerBuilder, x: Tensor) -> Tensor:
        return inverted_residual(net, inverted_residual(net, x, 3, 4, 2), 3, 4, 2)

    def adding(net: LayerBuilder, x: Tensor) -> Tensor:
        return inverted_residual(net, v2_block(net, x), 3, 4, 2)

    for make in shrinking, adding:
        graph = network(make)
        assert sizes(graph) == [len(unit.nodes) for unit in cut_into_units(graph)]


def test_a_convolution_and_the_mean_of_its_map_are_one_unit():
    """Whatever the mean is called; the map is larger than what it is made of."""

    def by_pool(net: LayerBuilder, x: Tensor) -> Tensor:
        return net.average_pool(net.conv(x, 40, (1, 1)), (9, 11), (1, 1))

    def by_windows(net: LayerBuilder, x: Tensor) -> Tensor:
        return net.average_pool(net.conv(x, 40, (1, 1)), (2, 2), (2, 2))

    assert sizes(network(by_pool)) == [2]
    assert sizes(network(lambda net, x: net.mean(net.conv(x, 40, (1, 1))))) == [2]
    assert sizes(network(by_windows)) == [1, 1]


def test_all_blocks_of_a_unit_but_the_last_are_chained():
    graph = network(swelling)
    splits = narrowed(graph, tuple(NodeSplit(n.name, Way.WHOLE) for n in graph.nodes), 2)
    first, last = (node.name for node in block_parts(graph))
    assert {s.node: s.window_columns for s in splits if s.window_columns} == {first: 2, last: 2}
    assert chained_inside(splits) == {first}


def test_the_least_ram_takes_pairs():
    graph = network(swelling)
    plain = Searcher(graph, default_cluster(1), Choices(graph, default_cluster(1)))
    before = plain.find("ram")
    best = Planner(graph, default_cluster(1)).best("ram")
    assert before is not None
    assert best.arena_bytes < before.arena_bytes
    assert any(split.chained for split in best.plan.splits)


def test_other_objectives_do_not():
    graph = tiny("mobilenet")
    for objective in "latency", "bytes":
        plan = Planner(graph, default_cluster(2)).best(objective).plan
        assert not any(split.window_columns for split in plan.splits)


def test_for_the_least_ram_plans_without_windows_are_compared_too():
    """What units need says little of a U-Net, whose units are large."""
    planner = Planner(tiny("unet"), default_cluster(4))
    plain, windows = (planner.searcher(4, each).find("ram") for each in ("latency", "ram"))
    best = planner.best("ram")
    assert plain is not None
    assert windows is not None
    assert best.arena_bytes == min(plain.arena_bytes, windows.arena_bytes)
    assert best.plan.splits == plain.plan.splits
    assert reasoned(best, planner.searcher_of(best, "ram")).reasons


def test_a_plan_without_chains_of_who_looked_for_them_is_explained():
    """Its units are a chain's, though no split says so."""
    planner = Planner(tiny("ds_cnn"), default_cluster(4), hosted=True)
    searcher = planner.searcher(4, "ram", chain=True)
    best = next(searcher._fitting("ram", searcher.rooms(), any_of((Option("rows"), WHOLE))))
    assert max(len(block_parts(step.unit.graph)) for step in best.steps) > 1
    assert not any(split.chained for split in best.plan.splits)
    assert reasoned(best, planner.searcher_of(best, "ram")).reasons


def test_one_device_reads_a_streamed_input_row_by_row():
    graph = splittable(chained_model(True, rows=1200))
    cluster = replace(default_cluster(1), stream=True)
    planner, best = best_plan(graph, cluster, "ram")
    assert "TFLSPLIT_CHAIN" in [node.op for node in best.drafts[0].graph.nodes]
    resident = Planner(graph, default_cluster(1)).best("ram")
    in_tiles = Planner(graph, cluster, hosted=True).searcher(1, "ram").find("ram")
    assert in_tiles is not None
    assert best.arena_bytes < in_tiles.arena_bytes < resident.arena_bytes
    assert any("input by rows" in each for each in reasoned(best, planner.searcher_of(
        best, "ram")).reasons.values())  # fmt: skip


def test_tiles_are_taken_where_a_chain_needs_more():
    """The bound of a search once counted an input that the host keeps, and ended it."""
    graph = splittable(chained_model(True, rows=482))
    cluster = replace(default_cluster(1), stream=True)
    planner = Planner(graph, cluster, hosted=True)
    in_tiles = planner.searcher(1, "ram").find("ram")
    chain = planner.searcher(1, "ram", chain=True).find("ram")
    assert in_tiles is not None
    assert chain is not None
    assert in_tiles.arena_bytes < chain.arena_bytes
    assert best_plan(graph, cluster, "ram")[1].arena_bytes <= in_tiles.arena_bytes


def test_no_number_of_devices_is_left_out_by_what_others_than_its_chain_need():
    """A map inside of a chain is never in memory: who else searches knows no bound for it."""
    planner = Planner(splittable(chained_model(True, rows=450)), default_cluster(2), hosted=True)
    chain = planner.searcher(2, "ram", chain=True)
    assert chain.choices.begins_with_chain
    planner.searcher(2, "ram").least_arena_bytes = lambda: 10**9  # type: ignore[method-assign]
    assert planner.bound("ram", 2) <= chain.least_arena_bytes()


def test_a_network_without_a_chain_has_no_searcher_for_chains():
    planner = Planner(network(swelling), default_cluster(2), hosted=True)
    assert not planner.searcher(2, "ram", chain=True).choices.begins_with_chain
    planner.searcher(2, "ram", chain=True).find = pytest.fail  # type: ignore[assignment]
    assert planner.find("ram") is not None


def averaged(net: LayerBuilder, x: Tensor) -> Tensor:
    return net.mean(net.conv(x, 40, (1, 1)))


@needs_tflm
def test_a_convolution_and_the_mean_of_its_map_run_some_channels_at_a_time():
    graph = LayerBuilder("net", 3, images=2)
    model = graph.finish(averaged(graph, graph.input((9, 11, 4))))
    best = Planner(splittable(model), default_cluster(1)).best("ram")
    assert [split.gather_tiles for split in best.plan.splits] in ([1, 5], [1, 10])
    assert best.arenas[0].head_bytes < 9 * 11 * 40
    assert compared(Split(splittable(model), best.plan, best.devices, model)).passed
