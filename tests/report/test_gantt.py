# SPDX-License-Identifier: Apache-2.0
"""Compute, send and wait of every device, from a simulation."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from tests.bundles import bundle_of
from tflsplit.bundle import read_bundle
from tflsplit.cluster import default_cluster
from tflsplit.report.gantt import Bar, bars_of, gantt_chart, gantt_data
from tflsplit.sim import SimResult, Span, simulate


def small(spans: list[Span], busy: dict[tuple[int, int], list[tuple[float, float]]]) -> SimResult:
    return SimResult((100.0,), (90.0,), 100.0, (), {}, tuple(spans), busy)


def test_an_exchange_is_sending_and_waiting():
    """Busy wires of other devices, and outside of the exchange, do not count."""
    spans = [Span(0, "exchange", "r", 10, 50), Span(0, "compute", "c", 0, 10)]
    busy = {
        (0, 1): [(0.0, 12.0), (20.0, 25.0)],
        (0, 2): [(24.0, 30.0), (45, 70)],
        (1, 0): [(30, 40)],
    }
    (row,) = bars_of(small(spans, busy), 1)  # type: ignore[arg-type]
    assert row[0] == Bar("compute", "c", 0, 10)
    assert row[1].sending == ((10, 12), (20, 30), (45, 50))
    assert row[1].send_us == 17


def test_chart_and_data():
    rows = [[Bar("compute", "c", 0, 10), Bar("exchange", "r", 10, 50, ((20, 30),))], []]
    chart = gantt_chart(rows, 100.0)
    for kind in ("compute", "send", "wait"):
        assert chart.count(f'class="{kind}"') == 1
    assert 'class="input"' not in chart
    data = gantt_data(rows, [{"c": 3}, {}])
    assert data == [[["compute", 3, 0, 10, 0], ["exchange", -1, 10, 50, 10]], []]


@pytest.mark.parametrize("name", ["ds_cnn", "resnet"])
def test_sums_are_those_of_the_simulation(name: str, tmp_path: Path):
    bundle = read_bundle(bundle_of(tmp_path / "out", name, 3))
    found = simulate(bundle.devices, default_cluster(3))
    for row, times in zip(bars_of(found, 3), found.devices, strict=True):
        lengths = dict.fromkeys(("input", "compute", "exchange", "output"), 0.0)
        for bar in row:
            lengths[bar.kind] += bar.end_us - bar.start_us
        assert lengths["compute"] == pytest.approx(times.compute_us)
        assert lengths["exchange"] == pytest.approx(times.send_us + times.wait_us)
        assert sum(bar.send_us for bar in row) == pytest.approx(times.send_us)
        assert all(before.end_us <= after.start_us for before, after in pairwise(row))
