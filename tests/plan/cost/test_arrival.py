# SPDX-License-Identifier: Apache-2.0
"""When the input is where it is needed: cases by hand, and against the simulation."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.planner.small import residual, uart
from tflsplit.cluster import LinkSpec, default_cluster
from tflsplit.plan.cost import arrivals_us
from tflsplit.plan.layout import lay_out
from tflsplit.plan.policy import choose_plan
from tflsplit.plan.wishes import Wishes
from tflsplit.sim import simulate
from tflsplit.split.lower import lower


def test_near_ones_first_and_both_ways_round_the_ring():
    cluster = replace(uart(4), host_link=LinkSpec(bit_rate=60_000_000))
    # 100 bytes each: 28 + 100 + 3 = 131 on the wire.  The ways: 0; 0 - 1; 0 - 3 - 2; 0 - 3.
    host = cluster.host_rank
    found = arrivals_us(cluster, [(host, 1 << rank, 100) for rank in (2, 3, 1, 0)])
    frame, grant, fast = 131 * 5 / 3, 31 * 5 / 3, 1 / 10
    assert found[0] == pytest.approx((grant + frame) * fast)
    assert found[3] == pytest.approx(20 + grant * (1 + fast) + frame + frame)
    assert found[1] == pytest.approx(found[3])
    # Rank 3's and its own on the wire 0 - 3, three hops in all.
    assert found[2] == pytest.approx(20 + grant * (2 + fast) + 2 * frame + 2 * frame)


def test_a_multicast_crosses_a_wire_once():
    cluster = uart(4)
    host = cluster.host_rank
    together = arrivals_us(cluster, [(host, 0b1100, 1000)])
    assert together[0] == together[1] == 0.0
    assert together[2] > together[3] > 0.0
    apart = arrivals_us(cluster, [(host, 0b1000, 1000), (host, 0b0100, 1000)])
    assert together[2] < apart[2]


@pytest.mark.parametrize("kind", ["uart", "spi"])
def test_against_the_simulation(kind: str):
    """Every device, within a quarter of the last arrival: forwarding costs SPI some credit."""
    graph = residual(96)
    cluster = replace(default_cluster(5, kind), host_link=LinkSpec(bit_rate=500_000_000))
    plan = choose_plan(graph, Wishes(5, split="rows"))
    boxes = lay_out(graph, plan).owned[graph.inputs[0]]
    messages = [(cluster.host_rank, 1 << rank, box.size) for rank, box in enumerate(boxes)]
    expected = arrivals_us(cluster, messages)
    found = [device.input_us for device in simulate(lower(graph, plan), cluster).devices]
    assert found == pytest.approx(expected, abs=0.25 * max(found))
    assert found[0] < min(found[1], found[4]) < min(found[2], found[3])
