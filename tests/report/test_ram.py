# SPDX-License-Identifier: Apache-2.0
"""RAM over time: what is drawn is what the arena is made of."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.report.pages import bundle_in, content_of
from tflsplit.cluster import default_cluster
from tflsplit.memory.arena import predict_arena
from tflsplit.memory.lifetimes import peak_live_bytes
from tflsplit.plan.cost.fit import fit_device
from tflsplit.report.ram import HEIGHT, RamSeries, ram_chart, ram_series, tenants

SERIES = RamSeries(
    rank=2, tail_bytes=100, live_bytes=(50, 300, 300, 20), scratch_bytes=(0, 0, 200, 0),
    required_bytes=700, room_bytes=1000, layers=(0, 1, 1, -1),
)  # fmt: skip
NAMES = ["first;a", "<second>"]


def test_totals_and_peak():
    assert SERIES.totals == [150, 400, 600, 120]
    assert SERIES.peak == 2


def test_chart():
    chart = ram_chart(SERIES, NAMES)
    assert chart.count('class="limit"') == chart.count('class="arena"') == 1
    assert chart.count('class="peak"') == 1
    assert "&lt;second&gt;" in chart
    assert "<second>" not in chart
    top = min(float(y) for y in re.findall(r"V([\d.]+)", chart))
    assert 0 < top < HEIGHT


def test_a_limit_far_above_is_not_drawn_but_said():
    series = replace(SERIES, room_bytes=9000)
    chart = ram_chart(series, NAMES)
    assert 'class="limit"' not in chart
    assert "limit 8.8 KiB, 12.9 times the arena" in chart


def test_an_arena_above_its_limit_shows_both():
    series = replace(SERIES, room_bytes=500)
    chart = ram_chart(series, NAMES)
    heights = [float(y) for y in re.findall(r'class="(?:limit|arena)" x1="0" y1="([\d.]+)"', chart)]
    assert len(heights) == 2
    assert heights[0] < heights[1]  # the arena's line lies above the limit's


def test_a_device_without_work_has_a_chart_that_says_so(tmp_path: Path):
    bundle = bundle_in(tmp_path, "autoencoder", 2)
    device = bundle.devices[1]
    idle = replace(
        device, graph=replace(device.graph, nodes=[], inputs=(), outputs=(), metadata={})
    )
    arena = predict_arena(idle.graph)
    fit = fit_device(default_cluster(2), 1, idle.graph, 0)
    series = ram_series(idle, arena, fit, [])
    assert series.is_idle
    assert series.totals == [arena.tail_bytes]
    chart = ram_chart(series, NAMES)
    assert "RAM of rank 1, which has nothing to do: arena" in chart


@pytest.mark.parametrize("name", ["mobilenet", "ds_cnn"])
def test_series_of_devices(name: str, tmp_path: Path):
    """The areas never exceed the arena, and reach what no planner can do without."""
    bundle = bundle_in(tmp_path, name, 3)
    for view, device in zip(content_of(bundle).devices, bundle.devices, strict=True):
        series = view.ram
        assert len(series.live_bytes) == len(device.graph.nodes) == len(series.layers)
        assert (
            max(series.live_bytes) == peak_live_bytes(device.graph) == view.entry["peak_live_bytes"]
        )
        assert max(series.totals) <= series.required_bytes == view.fit.arena_bytes


@pytest.mark.parametrize("name", ["mobilenet", "ds_cnn", "unet"])
def test_what_lies_in_the_arena_at_the_peak(name: str, tmp_path: Path):
    """The largest first; together no less than what is live, no more than the whole head."""
    bundle = bundle_in(tmp_path, name, 2)
    for view, device in zip(content_of(bundle).devices, bundle.devices, strict=True):
        series = view.ram
        sizes = [tenant.size_bytes for tenant in series.tenants]
        assert sizes == sorted(sizes, reverse=True)
        live = series.live_bytes[series.peak] + series.scratch_bytes[series.peak]
        assert live <= sum(sizes) <= view.fit.arena_bytes
        names = {shard.tensor for shard in device.shards.values()}
        named = [t for t in series.tenants if t.what == "activation" and t.name in names]
        assert named, "the model's tensors are called by their names"
        arena = predict_arena(device.graph)
        others = tenants(device, arena, 0)
        assert all(t.shape for t in others if t.what == "activation")
