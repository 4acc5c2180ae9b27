# SPDX-License-Identifier: Apache-2.0
"""Frames as large as a plan wants them: small for the least RAM, or where nothing else fits."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.splits import tiny
from tflsplit.cluster import default_cluster
from tflsplit.passes.prepare import prepare
from tflsplit.planner import Planner
from tflsplit.planner.best import best_plan
from tflsplit.planner.whole.links import with_frames


@pytest.fixture(scope="module")
def graph():
    return prepare(tiny("autoencoder"))


@pytest.fixture(scope="module")
def smallest(graph):
    return best_plan(graph, default_cluster(1), "ram")[1]


def test_the_least_ram_has_small_frames(smallest):
    assert smallest.plan.mtu_bytes == smallest.cluster.mtu_bytes == 256
    large = replace(smallest.cluster, mtu_bytes=512)
    assert large.link_buffer_bytes(0) - smallest.cluster.link_buffer_bytes(0) == 9 * 256


def test_what_was_said_of_links_stays(graph):
    given = replace(default_cluster(1), links_given=True)
    _, planned = best_plan(graph, given, "ram")
    assert (planned.plan.mtu_bytes, planned.cluster.mtu_bytes) == (None, 512)
    assert with_frames(given, 256) is given


def test_for_time_frames_are_large_unless_nothing_else_fits(graph, smallest):
    _, planned = best_plan(graph, default_cluster(1), "latency")
    assert (planned.plan.mtu_bytes, planned.cluster.mtu_bytes) == (None, 512)
    ram = smallest.cluster.reserved_bytes(0) + smallest.arena_bytes + 1024
    (device,) = default_cluster(1).devices
    tight = replace(
        default_cluster(1), devices=(replace(device, ram_bytes=ram, ram_block_bytes=ram),)
    )
    _, planned = best_plan(graph, tight, "latency")
    assert planned.plan.mtu_bytes == 256
    assert planned.fits(planned.cluster)
    assert Planner(graph, tight).find("latency") is None
