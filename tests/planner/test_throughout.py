# SPDX-License-Identifier: Apache-2.0
"""Rows throughout a unit with long skips."""

from __future__ import annotations

from dataclasses import replace

from models.layers import LayerBuilder
from tests.planner.small import uart, verdict
from tests.splits import needs_tflm, tiny
from tflsplit.ir import Graph
from tflsplit.plan.spec import Way
from tflsplit.planner import Planner, finish
from tflsplit.planner.ways.options import Chosen, Option, apply_option
from tflsplit.planner.ways.units import Unit, cut_into_units

EVEN = (0.25,) * 4


def pyramid() -> Graph:
    """Maps of 16x20, 8x10 and 4x5, the small ones added to the large ones."""
    net = LayerBuilder("pyramid", 3)
    large = net.conv(net.input((16, 20, 8)), 16)
    middle = net.conv(net.max_pool(net.conv(large, 16), (2, 2), (2, 2)), 16)
    small = net.conv(net.conv(net.max_pool(middle, (2, 2), (2, 2)), 16), 16)
    middle = net.conv(net.add(net.upsample(small), middle), 16)
    large = net.conv(net.add(net.upsample(net.conv(middle, 16)), large), 16)
    return net.finish(net.conv(large, 4))


def applied(unit: Unit, option: Option) -> Chosen | None:
    return apply_option(unit, option, {}, EVEN)


@needs_tflm
def test_no_layer_is_by_columns_and_every_bit_is_the_same():
    graph = pyramid()
    unit = max(cut_into_units(graph), key=lambda unit: len(unit.nodes))
    freely, throughout = applied(unit, Option("rows")), applied(unit, Option("rows", strict=True))
    assert freely is not None
    assert throughout is not None
    assert {split.way for split in freely.plan.splits} == {Way.ROWS, Way.COLUMNS}
    assert {split.way for split in throughout.plan.splits} == {Way.ROWS}
    assert throughout.option.name == "rows throughout"
    best = Planner(graph, uart(4)).searcher(4).find("latency")
    assert best is not None
    ours = {split.node: split for split in throughout.plan.splits}
    splits = tuple(ours.get(split.node, split) for split in best.plan.splits)
    plan = replace(best.plan, splits=splits)
    assert verdict(graph, finish(graph, plan, uart(4))).passed


def test_where_no_layer_is_by_columns_anyway_it_is_no_option():
    for name in ("unet", "mobilenet"):
        units = cut_into_units(tiny(name))
        assert all(applied(unit, Option("rows", strict=True)) is None for unit in units)
