# SPDX-License-Identifier: Apache-2.0
"""The critical path: its intervals join, its causes add up, and each is what it is called."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from tests.bundles import bundle_of
from tests.plan.networks import plan_of, two_convolutions, whole
from tflsplit.bundle import read_bundle
from tflsplit.cluster import Cluster, default_cluster
from tflsplit.passes.prepare import prepare
from tflsplit.sim import Why, alone_us, simulate, why
from tflsplit.sim.why import CAUSES
from tflsplit.split.lower import lower

CASES = [
    ("mobilenet", "auto", 4, "uart"),
    ("mobilenet", "rows", 5, "spi"),
    ("resnet", "in_channels", 3, "ethernet"),
    ("ds_cnn", "channels", 4, "uart"),
]


def reasons_of(folder: Path, cluster: Cluster) -> tuple[Why, float]:
    bundle = read_bundle(folder)
    result = simulate(bundle.devices, cluster)
    return why(result, alone_us(prepare(bundle.model), cluster)), result.latency_us


@pytest.mark.parametrize(("name", "split", "world_size", "link"), CASES)
@pytest.mark.parametrize("polls", [True, False])
def test_the_path_has_no_gap_and_the_causes_add_up(
    tmp_path: Path, name: str, split: str, world_size: int, link: str, polls: bool
):
    cluster = default_cluster(world_size, link)
    cluster = cluster if polls else replace(cluster, background_poll_us=0.0)
    reasons, latency_us = reasons_of(bundle_of(tmp_path / "out", name, world_size, split), cluster)
    assert reasons.parts[0].start_us == 0
    assert reasons.parts[-1].end_us == latency_us
    for part, after in pairwise(reasons.parts):
        assert part.end_us == pytest.approx(after.start_us, abs=1e-9)
    assert set(reasons.shares_us) == set(CAUSES)
    assert sum(reasons.shares_us.values()) == pytest.approx(latency_us, rel=1e-12)
    assert all(us >= 0 for us in reasons.shares_us.values()), reasons.shares_us
    assert reasons.computing.path_us == reasons.shares_us["compute"]


def test_one_device_has_only_its_input_its_kernels_and_its_result():
    graph = two_convolutions()
    first, second = graph.nodes
    cluster = replace(default_cluster(1), background_poll_us=0.0)
    result = simulate(lower(graph, plan_of(1, whole(first, 0), whole(second, 0))), cluster)
    kernels_us = result.devices[0].compute_us
    reasons = why(result, kernels_us)
    assert [part.cause for part in reasons.parts][-3:] == ["compute", "compute", "result"]
    assert {part.cause for part in reasons.parts[:-3]} == {"input"}
    shares = reasons.shares_us
    assert shares["compute"] == pytest.approx(kernels_us)
    assert shares["transfer"] == shares["grant"] == 0
    assert vars(reasons.computing) == pytest.approx(
        {"even_us": kernels_us, "average_us": kernels_us, "path_us": kernels_us}
    )
    assert shares["input"] + shares["result"] == pytest.approx(result.latency_us - kernels_us)


def test_a_slower_wire_is_more_transfer_and_a_slower_device_more_computing(tmp_path: Path):
    folder = bundle_of(tmp_path / "out", "mobilenet", 4, "rows")
    cluster = default_cluster(4)
    slow_wire = replace(cluster, link=replace(cluster.link, bit_rate=1_000_000))
    slow_device = replace(
        cluster, devices=tuple(replace(d, clock_hz=d.clock_hz // 4) for d in cluster.devices)
    )
    usual, wire, device = (
        reasons_of(folder, each)[0] for each in (cluster, slow_wire, slow_device)
    )
    assert wire.shares_us["transfer"] > 2 * usual.shares_us["transfer"]
    assert wire.computing.even_us == usual.computing.even_us
    assert wire.computing.average_us == pytest.approx(usual.computing.average_us)
    assert device.computing.even_us == pytest.approx(4 * usual.computing.even_us, rel=1e-3)
    assert device.shares_us["compute"] > 3 * usual.shares_us["compute"]
    # Rows: halos are computed by two.
    assert usual.computing.average_us > usual.computing.even_us


def test_kernels_of_unequal_devices_add_up_as_speeds_do():
    graph = two_convolutions()
    one, two = default_cluster(1), default_cluster(2)
    fast, slow = two.devices[0], replace(two.devices[1], clock_hz=two.devices[1].clock_hz // 3)
    assert alone_us(graph, two) == pytest.approx(alone_us(graph, one) / 2)
    mixed = replace(two, devices=(fast, slow))
    assert alone_us(graph, mixed) == pytest.approx(alone_us(graph, one) * 3 / 4)
