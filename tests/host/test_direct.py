# SPDX-License-Identifier: Apache-2.0
"""Every device on a port of its own: its input goes straight to it, its output straight back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.bundles import bundle_of
from tests.soft_cluster import SoftCluster, check_all, quick_setup
from tests.splits import needs_tflm
from tflsplit.bundle import Bundle, read_bundle
from tflsplit.emulate import FaultModel
from tflsplit.errors import LinkError
from tflsplit.host import Coordinator, FirmwareSetup
from tflsplit.host.figures import wire_figures
from tflsplit.host.port_ranks import ranks_of_ports
from tflsplit.runtime.engines import Array
from tflsplit.verify import Case
from tflsplit.wire.topology import Topology

pytestmark = needs_tflm

NOISY = FaultModel(flips_per_byte=2e-4, drops_per_byte=1e-4, duplicates_per_byte=1e-4)
FINGERPRINT = "0123456789abcdef" * 2


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("direct") / "plan"
    return read_bundle(bundle_of(folder, "mobilenet", 3, split="rows"))


def direct(bundle: Bundle, **changes: object) -> FirmwareSetup:
    return quick_setup(bundle, direct=True, **changes)


@pytest.mark.parametrize("topology", [Topology.RING, Topology.LINE, Topology.STAR])
def test_every_device_gets_its_own_input_over_its_own_wire(
    bundle: Bundle, cases: list[Case], expected: list[list[Array]], topology: Topology
):
    setup = direct(bundle, topology=topology)
    with SoftCluster(bundle, setup) as cluster, Coordinator(cluster.hosts, bundle, setup) as host:
        host.connect(20)
        before = host.links()
        check_all(host, bundle, cases, expected)
        wires = wire_figures(before, host.links(), len(cases))
    sent = {wire.b: wire.bytes for wire in wires if wire.a == 3}
    own = [sum(value.size_bytes for value in part.graph.inputs) for part in bundle.devices]
    for rank, size in enumerate(own):
        assert size < sent[rank] < size * 1.3 + 500, "its own part of the input, and no other's"


def test_damaged_frames_are_sent_again(
    bundle: Bundle, cases: list[Case], expected: list[list[Array]]
):
    setup = direct(bundle)
    with (
        SoftCluster(bundle, setup, faults=NOISY) as cluster,
        Coordinator(cluster.hosts, bundle, setup) as host,
    ):
        host.connect(20)
        for _ in range(3):
            check_all(host, bundle, cases, expected)
    assert cluster.injected() > 10


def test_one_that_falls_silent_is_named_and_the_next_inference_is_right(
    bundle: Bundle, cases: list[Case], expected: list[list[Array]]
):
    setup = direct(bundle)
    with SoftCluster(bundle, setup) as cluster, Coordinator(cluster.hosts, bundle, setup) as host:
        host.connect(20)
        check_all(host, bundle, cases[:1], expected[:1])
        cluster.silent.add(2)
        with pytest.raises(LinkError, match="rank 2"):
            host.infer(cases[0].inputs, 20)
        with pytest.raises(LinkError, match="rank 2"):
            host.connect(1.5)  # its neighbours notice it as well, each in its own time
        cluster.silent.clear()
        check_all(host, bundle, cases, expected)


def test_one_that_is_reset_is_named_and_takes_part_in_the_next(
    bundle: Bundle, cases: list[Case], expected: list[list[Array]]
):
    setup = direct(bundle)
    with SoftCluster(bundle, setup) as cluster, Coordinator(cluster.hosts, bundle, setup) as host:
        host.connect(20)
        cluster.when(
            lambda devices: devices[1] is not None and devices[1].is_computing,
            lambda: cluster.reset_now(1),
        )
        with pytest.raises(LinkError, match="rank 1"):
            host.infer(cases[0].inputs, 20)
        check_all(host, bundle, cases, expected)


def test_a_device_that_is_not_there_is_named_by_rank_and_port(bundle: Bundle):
    setup = direct(bundle)
    cluster = SoftCluster(bundle, setup, changes={1: None})
    with (
        cluster,
        Coordinator(cluster.hosts, bundle, setup) as host,
        pytest.raises(LinkError, match="rank 1, the gateway, does not answer at the test's socket"),
    ):
        host.connect(2)


# ---- Which port leads where ----


def test_ports_in_any_order_find_their_ranks(bundle: Bundle, cases: list[Case], expected):
    setup = direct(bundle)
    with SoftCluster(bundle, setup) as cluster:
        mixed = [cluster.hosts[rank] for rank in (2, 0, 1)]
        found = ranks_of_ports(mixed, setup, 10)
        assert found == cluster.hosts
        with Coordinator(found, bundle, setup) as host:
            host.connect(20)
            check_all(host, bundle, cases, expected)


def test_a_port_that_is_not_named_is_missed_with_the_way_out(bundle: Bundle):
    setup = direct(bundle)
    with SoftCluster(bundle, setup) as cluster, pytest.raises(LinkError) as raised:
        ranks_of_ports([cluster.hosts[2], cluster.hosts[0]], setup, 10)
    text = str(raised.value)
    assert "rank 1 has no port here" in text
    assert "name every port with --port" in text
    assert "the test's socket 2 leads to rank 2" in text
    assert raised.value.exit_code == 2


def test_a_port_of_another_plan_is_refused_or_left_out(bundle: Bundle):
    setup = direct(bundle)
    wrong = SoftCluster(bundle, replace(setup, fingerprint=FINGERPRINT)).setups[1]
    with SoftCluster(bundle, setup, changes={1: wrong}) as cluster:
        streams = list(cluster.hosts.values())
        with pytest.raises(LinkError, match="the test's socket 1: rank 1 runs another plan"):
            ranks_of_ports(streams, setup, 10)
        with pytest.raises(LinkError, match="rank 1 has no port here"):
            ranks_of_ports(streams, setup, 10, strict=False)
