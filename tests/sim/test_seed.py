# SPDX-License-Identifier: Apache-2.0
"""The seed system's scheme in the simulator: its schedule, against its accounts and by hand."""

from dataclasses import replace

import pytest

from models.mobilenet_v2 import mobilenet_v2
from models.tiny import NETWORKS
from tests.plan.networks import two_convolutions
from tests.splits import tiny_split
from tflsplit.baseline import seed_schedule, seed_scheme
from tflsplit.cluster import Cluster, Cycles, Device, LinkSpec, Topology, default_cluster
from tflsplit.cluster.framing import message_frames
from tflsplit.errors import ClusterError, ModelError
from tflsplit.ir import DType
from tflsplit.sim import SeedRun, simulate, simulate_seed
from tflsplit.sim.program import Compute, Post, Receive
from tflsplit.sim.seed import seed_programs

GRAPH = two_convolutions()  # int8[1, 8, 4, 3] -- 3x3 to 6 channels -- 3x3 to 4
DEVICE = Device("test", "", 65536, 65536, 65536, 100_000_000, Cycles(4, 3, 10, 5, 50, 2))
PAIR = Cluster((DEVICE, DEVICE), Topology.LINE, LinkSpec(step_overhead_us=20), LinkSpec())
MOBILENET = mobilenet_v2(1.0, 112, images=1)


def payload_bytes(run: SeedRun) -> int:
    return run.result.between_devices().payload_bytes


@pytest.mark.parametrize("name", ["mobilenet", "resnet", "ds_cnn", "autoencoder"])
@pytest.mark.parametrize("world_size", [1, 2, 5])
def test_it_moves_what_the_accounts_say(name: str, world_size: int):
    graph = NETWORKS[name]()
    cost = seed_scheme(graph, world_size)
    run = simulate_seed(graph, default_cluster(world_size))
    assert payload_bytes(run) == cost.traffic_bytes
    steps = seed_schedule(graph, world_size)
    assert sum(sum(s.up_bytes) + sum(s.down_bytes) for s in steps) == cost.traffic_bytes
    for rank in range(world_size):
        assert sum(s.macs[rank] for s in steps if s.macs) == cost.macs[rank]


def test_two_convolutions_by_hand():
    """Device 0 makes channels 0-2 and one element more of the first, 0 and 1 of the second."""
    first, second, result = seed_schedule(GRAPH, 2)
    # The image with its padding, 10 x 6 x 3, to both; the hub has it.
    assert (first.up_bytes, first.down_bytes) == ((0, 0), (180, 180))
    assert first.made == (8 * 4 * 3 + 1, 8 * 4 * 3 - 1)
    # All of the map goes up; down comes what the other made, and the padding of six channels.
    assert second.up_bytes == first.made
    assert second.down_bytes == (95 + 6 * 28, 97 + 6 * 28)
    assert result.node is None
    assert sum(result.up_bytes) == 8 * 4 * 4
    pc, zero, _ = seed_programs(GRAPH, (DEVICE, DEVICE))
    assert [type(step) for step in pc.steps] == [Post, Receive, Post, Receive]
    assert [type(step) for step in zero.steps] == [
        Receive, Compute, Post, Receive, Compute, Post
    ]  # fmt: skip
    kernels = [step.us for step in zero.steps if isinstance(step, Compute)]
    assert kernels == pytest.approx([97 * 27 * 4 * 0.01, 65 * 54 * 4 * 0.01])


def test_its_time_by_hand():
    """On a slow wire, time is the bytes on each device's own wire and the kernels."""
    slow = replace(PAIR, link=replace(PAIR.link, bit_rate=115_200), background_poll_us=0.0)
    run = simulate_seed(GRAPH, slow)
    messages = [180, 97, 95 + 168, 65]
    wire_us = sum(message_frames(size, 512)[1] for size in messages) * slow.link.byte_us
    kernels_us = (97 * 27 + 65 * 54) * 4 * 0.01
    # One GRANT before each message, some ACKs, steps and copies.
    assert wire_us + kernels_us < run.latency_us < 1.6 * (wire_us + kernels_us)
    assert run.compute_us == pytest.approx(kernels_us)


def test_through_the_port_of_a_pc_it_slows_down_with_every_device():
    """As measured of the seed system: beyond a few devices, each more costs time."""
    latency = {
        n: simulate_seed(MOBILENET, default_cluster(n, "ethernet")).latency_us for n in (2, 3, 4, 8)
    }
    assert latency[2] < latency[3] < latency[4] < latency[8]
    own = {n: simulate_seed(MOBILENET, default_cluster(n)).latency_us for n in (1, 2, 8)}
    # With a UART of its own each device carries as much whatever N is: never worth it.
    assert own[1] < own[8] < own[2]


def test_errors_and_energy():
    clean = simulate_seed(GRAPH, default_cluster(3))
    noisy = simulate_seed(GRAPH, default_cluster(3), error_rate=1e-3, seed=2)
    assert noisy.result.between_devices().resent_frames > 0
    assert noisy.latency_us > clean.latency_us
    assert payload_bytes(noisy) == payload_bytes(clean)
    # Three Teensys; the PC does not count.
    assert clean.result.devices[0].energy_mj == 0
    assert clean.document()["energy_mj"] == pytest.approx(3 * 500 * clean.result.total_us / 1e6)
    assert simulate_seed(GRAPH, PAIR).document()["energy_mj"] is None


def test_refused():
    with pytest.raises(ClusterError, match="at most 63 devices"):
        simulate_seed(GRAPH, default_cluster(64))
    with pytest.raises(ClusterError, match="error rate"):
        simulate_seed(GRAPH, PAIR, error_rate=0.5)
    graph = NETWORKS["autoencoder"]()
    for node in graph.nodes:
        node.output.dtype = DType.INT16
    with pytest.raises(ModelError, match="is not int8"):
        simulate_seed(graph, PAIR)


def test_it_takes_longer_than_ours():
    made = tiny_split("mobilenet", 4)
    cluster = default_cluster(4)
    ours = simulate(made.devices, cluster)
    assert simulate_seed(made.whole, cluster).latency_us > ours.latency_us
