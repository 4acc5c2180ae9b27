# SPDX-License-Identifier: Apache-2.0
"""For the least RAM, halos of first maps are computed twice where that makes an arena smaller."""

from __future__ import annotations

import pytest

from tests.planner.small import uart, verdict
from tests.splits import needs_tflm, tiny
from tflsplit.planner import Searcher


@needs_tflm
def test_halos_that_are_computed_twice_save_ram(monkeypatch: pytest.MonkeyPatch):
    graph, cluster = tiny("resnet"), uart(4)
    found = Searcher(graph, cluster).find("ram")
    monkeypatch.setattr("tflsplit.planner.searching.alone.BORDERS", ())
    received = Searcher(graph, cluster).find("ram")
    assert found is not None
    assert received is not None
    assert found.arena_bytes < received.arena_bytes
    assert verdict(graph, found).passed
