# SPDX-License-Identifier: Apache-2.0
"""Few ways: the best of all is found; networks counted as large are never worse for one more."""

from __future__ import annotations

import pytest

from benchmarks.more_devices import worse_places
from tests.planner.small import uart
from tests.splits import tiny
from tflsplit.planner import OBJECTIVES, Planner, planner
from tflsplit.planner.searching import few_ways
from tflsplit.planner.searching.assembly import complete, draft, placed
from tflsplit.planner.searching.choices import Choices
from tflsplit.planner.searching.few_ways import FewWays


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_no_way_that_is_left_out_is_better(objective: str):
    choices = Choices(tiny("autoencoder"), uart(2))
    ways = choices.all_ways(1_000_000)
    assert ways is not None
    ways = ways[:: max(1, len(ways) // 24)]
    cluster = choices.cluster
    drafts = [draft(choices, cluster, placed(choices, cluster, way)) for way in ways]
    every = [complete(choices, cluster, drafted) for drafted in drafts]
    least = min(planned.value(objective) for planned in every if planned.fits(cluster))
    few = FewWays(choices, cluster, ways)
    found = [planned.value(objective) for planned in few.plans(objective, float("inf"))]
    assert min(found) == least
    if objective != "latency":  # that of a network of a millisecond is bounded too roughly
        assert min(planned.value(objective) for planned in few.plans(objective, least)) == least
    assert len(found) <= len(ways)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_large_network_is_never_worse_for_one_more_device(objective, monkeypatch):
    monkeypatch.setattr(planner, "LARGE_NODES", 0)
    monkeypatch.setattr(few_ways, "_LARGE_NODES", 0)
    graph = tiny("autoencoder")
    values = [Planner(graph, uart(n)).best(objective).value(objective) for n in range(1, 6)]
    assert worse_places(values) == []
    assert values[4] == values[3]  # five are not tried: four are taken
