# SPDX-License-Identifier: Apache-2.0
"""The simulated links against split_core itself on simulated wires, and under errors."""

import re
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import simpy
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core_build import build_core
from tflsplit.cluster import Cluster, Topology, default_cluster
from tflsplit.plan.cost.exchange import exchange_cost
from tflsplit.sim.network import Network, NetworkOptions
from tflsplit.sim.node import Node

Message = tuple[int, int, int]
"""(source, destinations as bits, bytes)."""


def on_lines(world_size: int, topology: Topology, **changes: Any) -> Cluster:
    """6 Mbaud wires whose ports hold 64 bytes, as those of split_core's own tests."""
    return replace(default_cluster(world_size), topology=topology, port_tx_bytes=64, **changes)


def exchange(
    cluster: Cluster, messages: Sequence[Message], error_rate: float = 0.0, seed: int = 0
) -> tuple[float, Network]:
    """All ranks post, then receive; (microseconds until the last has everything, network)."""
    env = simpy.Environment()
    network = Network(env, cluster, NetworkOptions(error_rate, seed))
    ends = []

    def device(node: Node):
        for index, (source, to, size) in enumerate(messages):
            if source == node.rank:
                node.messages.post((0, index), to, size)
            if to >> node.rank & 1:
                node.messages.expect((0, index), source, size)
        yield from node.wait(lambda: node.messages.all_received and node.messages.all_released)
        ends.append(env.now)
        node.idle()

    done = [env.process(device(node)) for node in network.nodes]
    env.run(until=env.all_of(done))
    env.run(until=env.now + 100_000)  # the last acknowledgements
    return max(ends), network


def total(network: Network, what: str) -> int:
    return sum(getattr(channel.count, what) for channel in network.channels.values())


def pattern(name: str, world_size: int, size: int) -> list[Message]:
    ranks = range(world_size)
    everyone = (1 << world_size) - 1
    if name == "gather":
        return [(r, everyone & ~(1 << r), size) for r in ranks]
    reach = {"halo": (-1, 1), "up": (-1,), "scatter": tuple(range(-world_size, world_size))}[name]
    return [(r, 1 << r + d, size) for r in ranks for d in reach if d and 0 <= r + d < world_size]


@pytest.fixture(scope="module")
def measured() -> dict[tuple[str, int, int], tuple[int, int, int]]:
    """(us, frames, wire bytes) of tests/core/patterns_test.cc, by pattern, ranks and bytes."""
    run = subprocess.run(
        [build_core() / "split_core_tests", "patterns"], capture_output=True, text=True, check=True
    )
    line = r"MEASURED (\w+) (\d+) nodes (\d+) bytes: (\d+) us, (\d+) frames, (\d+) wire bytes"
    found = {
        (name, int(nodes), int(size)): (int(us), int(frames), int(wire))
        for name, nodes, size, us, frames, wire in re.findall(line, run.stdout)
    }
    assert len(found) == 9, run.stdout
    return found


def test_frames_are_those_of_split_core(measured):
    for (name, world_size, size), (_, frames, wire_bytes) in measured.items():
        cluster = on_lines(world_size, Topology.RING)
        _, network = exchange(cluster, pattern(name, world_size, size))
        assert total(network, "frames") == frames, name
        assert total(network, "resent_frames") == 0
        # COBS is counted at its most, and when an ACK rides along is chance: 4 %.
        assert total(network, "wire_bytes") == pytest.approx(wire_bytes, rel=0.04), name


def test_time_is_that_of_split_core(measured):
    for (name, world_size, size), (us, _, _) in measured.items():
        simulated, _ = exchange(
            on_lines(world_size, Topology.RING), pattern(name, world_size, size)
        )
        assert simulated == pytest.approx(us, rel=0.17), (name, world_size, size)


def test_the_cost_model_is_near_split_core(measured):
    for (name, world_size, size), (us, _, _) in measured.items():
        cluster = on_lines(world_size, Topology.RING)
        cost = exchange_cost(cluster, pattern(name, world_size, size), cluster.routes)
        own_us = cost.us - cluster.link.step_overhead_us
        assert own_us == pytest.approx(us, rel=0.17), (name, world_size, size)


@pytest.mark.parametrize(
    ("world_size", "topology", "mtu", "messages", "percent"),
    [
        (2, Topology.LINE, 256, [(0, 0b10, 1_000_000)], 88.0),
        (2, Topology.LINE, 512, [(0, 0b10, 1_000_000)], 93.8),
        (2, Topology.LINE, 1024, [(0, 0b10, 1_000_000)], 96.8),
        (4, Topology.LINE, 512, [(0, 0b1000, 1_000_000)], 93.8),
        (8, Topology.RING, 512, [(0, 0xFE, 500_000)], 93.5),
    ],
)
def test_goodput_as_in_the_document(world_size, topology, mtu, messages, percent):
    """docs/wire_format.md, "Sizes and rates"."""
    us, _ = exchange(on_lines(world_size, topology, mtu_bytes=mtu), messages)
    assert 100 * messages[0][2] / us / 0.6 == pytest.approx(percent, abs=1.5)


def test_errors_cost_repetitions_and_nothing_else():
    cluster, messages = on_lines(4, Topology.RING), pattern("gather", 4, 20_000)
    clean, before = exchange(cluster, messages)
    noisy, after = exchange(cluster, messages, error_rate=5e-5, seed=1)
    assert total(after, "damaged") > 5
    assert total(after, "resent_frames") > 5
    assert noisy > clean
    assert total(after, "frames") == total(before, "frames")
    assert total(after, "payload_bytes") == total(before, "payload_bytes")
    assert exchange(cluster, messages, 5e-5, seed=1)[0] == noisy
    assert exchange(cluster, messages, 5e-5, seed=2)[0] != noisy


def test_a_lost_frame_is_asked_for_again_long_before_a_time_out():
    """A NAK answers the gap at once; POLL would come after 20 ms."""
    cluster, messages = on_lines(2, Topology.LINE), [(0, 2, 484 * 400)]
    clean, _ = exchange(cluster, messages)
    noisy, network = exchange(cluster, messages, 2e-5, seed=2)
    damaged = network.channels[0, 1].count.damaged
    assert damaged >= 3
    # Three frames of 862 us again for each: the lost one, and two sent before the NAK came.
    assert noisy - clean < damaged * 4 * 862


def test_damage_is_as_frequent_as_asked_for():
    _, network = exchange(on_lines(2, Topology.LINE), [(0, 2, 484 * 4000)], 2e-5, seed=3)
    count = network.channels[0, 1].count
    sent = count.frames + count.resent_frames
    # 1 - (1 - 2e-5) ** 517 = 1.03 % of more than 4,000 frames.
    assert count.damaged / sent == pytest.approx(0.0103, rel=0.3)


@settings(deadline=None, max_examples=30)
@given(st.sampled_from(list(Topology)), st.integers(2, 6), st.data())
def test_random_traffic_arrives_with_the_smallest_buffers(
    topology: Topology, world_size: int, data
):
    """Every message completes, whatever is lost; payload crosses each wire of its way once."""
    ranks = st.integers(0, world_size - 1)
    messages = []
    for _ in range(data.draw(st.integers(1, 6))):
        source = data.draw(ranks)
        to = data.draw(st.sets(ranks, min_size=1)) - {source}
        if to:
            messages.append((source, sum(1 << r for r in to), data.draw(st.integers(1, 3000))))
    if not messages:
        return
    cluster = on_lines(world_size, topology, rx_slots=2, tx_slots=1)
    rate = data.draw(st.sampled_from([0.0, 2e-4]))
    _, network = exchange(cluster, messages, rate, seed=data.draw(st.integers(0, 9)))
    cost = exchange_cost(cluster, messages, cluster.routes)
    # A multicast that could not wait for all goes twice over a part of its way.
    assert total(network, "payload_bytes") >= sum(cost.payload_per_link.values())
    for node in (*network.nodes, network.host):
        assert all(link.all_acknowledged for link in node.links) or rate


def test_a_ring_with_all_traffic_one_way_does_not_lock_up():
    messages = [(r, 1 << (r + 3) % 8, 5000) for r in range(8)]
    us, _ = exchange(on_lines(8, Topology.RING, rx_slots=2, tx_slots=1), messages)
    assert us < 1e6


def test_a_multicast_does_not_wait_for_ever():
    """Rank 2 asks 30 ms late: rank 1 is served after the hold, rank 2 by itself."""
    env = simpy.Environment()
    network = Network(env, default_cluster(3))
    times = {}

    def receiver(rank: int, late_us: float):
        node = network.nodes[rank]
        yield env.timeout(late_us)
        node.messages.expect((0, 5), 0, 400)
        yield from node.wait(lambda: node.messages.all_received)
        times[rank] = env.now
        node.idle()

    def sender():
        node = network.nodes[0]
        node.messages.post((0, 5), 0b110, 400)
        yield from node.wait(lambda: node.messages.all_released)

    waits = [env.process(sender()), env.process(receiver(1, 0)), env.process(receiver(2, 30_000))]
    env.run(until=env.all_of(waits))
    assert 10_000 < times[1] < 12_000
    assert 30_000 < times[2] < 32_000
    assert network.channels[0, 1].count.payload_bytes == 400
    assert network.channels[0, 2].count.payload_bytes == 400


def test_nothing_is_forwarded_by_a_device_that_computes():
    for background_us, latest in ((0, 52_000), (500, 5_000)):
        env = simpy.Environment()
        network = Network(
            env, replace(on_lines(3, Topology.LINE), background_poll_us=background_us)
        )
        first, _, last = network.nodes
        first.messages.post((0, 1), 0b100, 100)
        last.messages.expect((0, 1), 0, 100)

        def between(env=env, node=network.nodes[1]):
            yield env.timeout(50_000)  # a kernel
            node.idle()

        def receive(env=env, node=last):
            yield from node.wait(lambda: node.messages.all_received)
            return env.now

        first.idle()
        env.process(between())
        end: Any = env.run(until=env.process(receive()))
        assert (end > 50_000) == (background_us == 0)
        assert end < latest
