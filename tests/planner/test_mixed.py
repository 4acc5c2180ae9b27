# SPDX-License-Identifier: Apache-2.0
"""examples/mixed.toml: a Teensy 4.1, two Picos and a Nano 33 BLE share MobileNetV2 0.35 at 96x96.

With room for the arena of 19, 16, 16 and 9 kB nothing fits on one of them: all must work, and the
last has too little for an equal share.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from models.mobilenet_v2 import mobilenet_v2
from tests.planner.small import verdict
from tests.splits import needs_tflm
from tflsplit.cluster import Cluster, read_cluster
from tflsplit.ir import Graph
from tflsplit.plan.layout import lay_out
from tflsplit.planner import Planned, Planner

CLUSTER = read_cluster(Path(__file__).resolve().parents[2] / "examples" / "mixed.toml")
ARENAS = (19_000, 16_000, 16_000, 9_000)


@cache
def network() -> Graph:
    return mobilenet_v2(alpha=0.35, size=96, classes=100)


def cluster() -> Cluster:
    devices = zip(CLUSTER.devices, ARENAS, strict=True)
    limited = tuple(replace(device, arena_limit_bytes=limit) for device, limit in devices)
    return replace(CLUSTER, devices=limited)


@pytest.fixture(scope="module")
def planned() -> Planned:
    return Planner(network(), cluster()).best("latency")


def test_the_example_is_what_it_says():
    boards = [device.board for device in CLUSTER.devices]
    assert boards == ["teensy41", "pico", "pico", "nano33ble"]


@pytest.mark.xdist_group("mixed")
def test_all_of_them_fit_and_work(planned: Planned):
    assert planned.fits(cluster())
    assert all(device.macs for device in planned.devices)
    assert max(arena.required_bytes for arena in planned.arenas) > ARENAS[3]


@needs_tflm
@pytest.mark.xdist_group("mixed")
def test_the_same_bits(planned: Planned):
    assert verdict(network(), planned).passed


@pytest.mark.xdist_group("mixed")
def test_shares_follow_speed_and_ram(planned: Planned):
    """The Teensy is 20 times as fast as a Pico; the Picos are equal; the Nano has least RAM."""
    teensy, pico, other, nano = (device.macs for device in planned.devices)
    assert teensy > 5 * pico
    assert pico == pytest.approx(other, rel=0.1)
    assert 0 < nano < pico


@pytest.mark.xdist_group("mixed")
def test_the_small_device_gets_nothing_of_some_layers_and_part_of_others(planned: Planned):
    pieces = [shards.pieces[3] for shards in lay_out(network(), planned.plan).nodes]
    assert any(piece.is_empty for piece in pieces)
    assert any(not piece.is_empty for piece in pieces)
