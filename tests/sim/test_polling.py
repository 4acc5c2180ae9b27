# SPDX-License-Identifier: Apache-2.0
"""Polls from a timer while kernels run: what they cost, what they bring, and where from."""

import re
from dataclasses import replace

import pytest

from tests.core.measure_poll import measure
from tests.kernels.kernel_driver import ROOT
from tests.plan.networks import plan_of, rows, two_convolutions, whole
from tests.splits import tiny_split
from tflsplit.cluster import (
    Cluster,
    Cycles,
    Device,
    LinkKind,
    LinkSpec,
    Topology,
    default_cluster,
)
from tflsplit.cluster.framing import frame_bytes
from tflsplit.plan.cost.polling import POLL_CYCLES, PollCost
from tflsplit.sim import SimResult, simulate
from tflsplit.split.lower import lower
from tflsplit.wire.timers import MULTICAST_HOLD_US

DEVICE = Device("test", "", 65536, 65536, 65536, 100_000_000, Cycles(4, 3, 10, 5, 50, 2))
GRAPH = two_convolutions()
FIRST, SECOND = GRAPH.nodes
PAIR = Cluster((DEVICE, DEVICE), Topology.LINE, LinkSpec(step_overhead_us=20), LinkSpec())


@pytest.mark.parametrize("kind", [LinkKind.UART, LinkKind.SPI, LinkKind.ETHERNET])
def test_the_numbers_are_those_of_an_emulated_cortex_m7(kind: LinkKind):
    """Compilers differ a little; these are estimates of cycles anyway."""
    cost, cycles = measure(kind), POLL_CYCLES[kind]
    assert cost.idle == pytest.approx(cycles.idle, rel=0.1)
    assert cost.sent_byte == pytest.approx(cycles.sent_byte, rel=0.1)
    assert cost.received_byte == pytest.approx(cycles.received_byte, rel=0.1)
    # What is forwarded is received and sent.
    both = cycles.sent_byte + cycles.received_byte
    assert cost.forwarded_byte == pytest.approx(both, rel=0.1)
    if kind is LinkKind.ETHERNET:
        # Both ways at once, a full frame takes a Teensy 4.1's port no less than its processor.
        processor_us = (cost.sent_byte + cost.received_byte) * frame_bytes(1024 - 28) / 600
        assert default_cluster(2, "ethernet").link.frame_us(frame_bytes(1024 - 28)) >= processor_us


def test_a_multicast_is_held_as_long_as_in_the_firmware():
    config = ROOT / "tflm_app" / "lib" / "split_core" / "include" / "split_core" / "config.h"
    found = re.search(r"multicast_hold_us = ([\d']+);", config.read_text(encoding="utf-8"))
    assert found is not None
    assert int(found[1].replace("'", "")) == MULTICAST_HOLD_US


def test_the_document_gives_these_numbers():
    text = " ".join((ROOT / "docs" / "simulate.md").read_text(encoding="utf-8").split())
    for kind in (LinkKind.UART, LinkKind.SPI, LinkKind.ETHERNET):
        cycles = POLL_CYCLES[kind]
        assert (
            f"| {kind.value} | {cycles.idle:.0f} | {cycles.sent_byte:.0f} "
            f"| {cycles.received_byte:.0f} |"
        ) in text


def test_cost_by_hand():
    kind = LinkKind.SPI
    cycles = POLL_CYCLES[kind]
    cost = PollCost(DEVICE, 100.0, kind)
    idle_us = cycles.idle / 100  # at 100 MHz
    assert cost.kernel_us(1000) == pytest.approx(1000 * 100 / (100 - idle_us))
    assert cost.sent_us(10, kind) == pytest.approx(10 * cycles.sent_byte / 100)
    assert cost.received_us(20, kind) == pytest.approx(20 * cycles.received_byte / 100)
    # A gateway gets the input over its USB, byte by byte.
    assert cost.received_us(20, LinkKind.USB) > cost.received_us(20, kind)
    none = PollCost(DEVICE, 0.0, kind)
    assert none.kernel_us(1000) == 1000
    # Polls that would take all of the time leave a little.
    assert PollCost(DEVICE, 1.0, kind).kernel_us(1000) == pytest.approx(20_000)


def of(result: SimResult, rank: int, kind: str) -> list[float]:
    return [s.end_us - s.start_us for s in result.spans if (s.rank, s.kind) == (rank, kind)]


def test_kernels_take_longer_by_their_polls_and_the_bytes_they_handle():
    one = lower(GRAPH, plan_of(1, whole(FIRST, 0), whole(SECOND, 0)))
    alone = Cluster((DEVICE,), Topology.LINE, PAIR.link, PAIR.host_link, background_poll_us=0.0)
    quiet = simulate(one, alone)
    polled = simulate(one, replace(alone, background_poll_us=100.0))
    # Nothing comes while it computes but the last acknowledgement of its own first frames.
    factor = 1 / (1 - POLL_CYCLES[LinkKind.UART].idle / 100 / 100)
    for before, after in zip(of(quiet, 0, "compute"), of(polled, 0, "compute"), strict=True):
        assert after >= before * factor * (1 - 1e-9)
        assert after <= before * factor + 2 * 31 * POLL_CYCLES[LinkKind.UART].sent_byte / 100

    # Rank 1 makes all of the first layer for rank 0, which computes the second from its half.
    plan = plan_of(2, rows(FIRST, 0, 4, 8), rows(SECOND, 0, 4, 8))
    split = lower(GRAPH, plan)
    quiet = simulate(split, replace(PAIR, background_poll_us=0.0))
    polled = simulate(split, replace(PAIR, background_poll_us=100.0))
    assert polled.devices[0].compute_us > quiet.devices[0].compute_us
    assert polled.between_devices().payload_bytes == quiet.between_devices().payload_bytes


def test_polls_are_told_apart_from_kernels():
    made = tiny_split("mobilenet", 3)
    cluster = replace(default_cluster(3), background_poll_us=0.0)
    quiet = simulate(made.devices, cluster)
    polled = simulate(made.devices, replace(cluster, background_poll_us=100.0))
    assert polled.between_devices().payload_bytes == quiet.between_devices().payload_bytes
    for before, after in zip(quiet.devices, polled.devices, strict=True):
        assert before.poll_us == pytest.approx(0, abs=1e-6)
        assert after.poll_us > 0
        assert after.compute_us - after.poll_us == pytest.approx(before.compute_us)


def test_the_period_is_each_devices_own():
    fast = replace(DEVICE, clock_hz=600_000_000)
    pair = replace(PAIR, devices=(fast, DEVICE))
    assert [pair.poll_period_us(rank) for rank in (0, 1)] == [100, 600]
    result = simulate(lower(GRAPH, plan_of(2, rows(FIRST, 0, 4, 8), rows(SECOND, 0, 4, 8))), pair)
    assert result.devices[0].compute_us * 5 < result.devices[1].compute_us
