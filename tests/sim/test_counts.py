# SPDX-License-Identifier: Apache-2.0
"""Frames and bytes of the simulation against whole networks over the firmware's own links.

Devices in one process (``SoftCluster``): split_core's C++ links and communicator, TFLM's wheel for
the kernels, the host of ``tflsplit cluster``.  Every byte of every wire is decoded on its way.

What the plan decides must be equal, wire by wire and direction by direction: DATA frames, their
payload, GRANT frames.  What time decides differs, and is not compared frame by frame: ACK (only
sent where no other frame carries the news), POLL and STATUS, and HELLO, WELCOME, QUERY, INFO and
REPORT, which are of the session.  A multicast leaves once for all receivers unless one is late;
here nobody is: both sides wait for all (a slow clock of the devices keeps their hold from ending).
"""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import pytest

from tests import soft_cluster
from tests.bundles import bundle_of
from tests.soft_cluster import SoftCluster, quick_setup
from tests.splits import needs_tflm
from tests.streaming import streamed_bundle
from tflsplit.bundle import Bundle, read_bundle
from tflsplit.cluster import Edge, default_cluster
from tflsplit.emulate import HOST, Port
from tflsplit.host import Coordinator
from tflsplit.passes.fold_constants import fold_constants
from tflsplit.sim.network import NetworkOptions
from tflsplit.sim.program import program_of
from tflsplit.sim.result import SimResult
from tflsplit.sim.run import run_programs
from tflsplit.verify import make_cases
from tflsplit.wire.frames import (
    OVERHEAD_BYTES,
    Frame,
    FrameDecoder,
    FrameType,
    encode,
    max_encoded_bytes,
    parse,
)
from tflsplit.wire.topology import Topology

pytestmark = needs_tflm

SLOWER = 100
"""So much slower goes the devices' clock: 10 ms of ``multicast_hold_us`` are a second."""


class TappedCluster(SoftCluster):
    """Keeps what its wires carry, by (sender, receiver); the host is rank ``world_size``."""

    def __init__(self, bundle: Bundle, topology: Topology, direct: bool) -> None:
        super().__init__(bundle, quick_setup(bundle, topology=topology, direct=direct))
        self.carried: dict[Edge, bytearray] = defaultdict(bytearray)

    def _pass(self, data: bytes, to: Port) -> None:
        self.carried[self._rank(self._peers[to]), self._rank(to)] += data
        super()._pass(data, to)

    def _rank(self, port: Port) -> int:
        return self.setup.world_size if port.rank == HOST.rank else port.rank

    def frames(self) -> dict[Edge, list[Frame]]:
        """Everything that crossed each wire."""
        return {
            edge: [parse(raw) for raw in FrameDecoder(self.setup.mtu_bytes).feed(bytes(data))]
            for edge, data in self.carried.items()
        }


class Clock:
    """The devices' time, in microseconds."""

    def __init__(self) -> None:
        self._slow_since_us = 0

    def __call__(self) -> int:
        now_us = time.monotonic_ns() // 1000
        since_us = self._slow_since_us
        return since_us + (now_us - since_us) // SLOWER if since_us else now_us

    def slow_down(self) -> None:
        """From now on."""
        self._slow_since_us = time.monotonic_ns() // 1000


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(soft_cluster, "now_us", clock)
    return clock


def run(
    bundle: Bundle, topology: Topology, clock: Clock, direct: bool = False
) -> dict[Edge, list[Frame]]:
    """The DATA and GRANT frames of one inference on the devices."""
    (case, *_) = make_cases(fold_constants(bundle.model), 1, seed=1)
    cluster = TappedCluster(bundle, topology, direct)
    with cluster, Coordinator(cluster.hosts, bundle, cluster.setup) as host:
        host.connect(60)
        clock.slow_down()
        host.infer(case.inputs, 60)
    messages = (FrameType.DATA, FrameType.GRANT)
    return {
        edge: [frame for frame in frames if frame.type in messages]
        for edge, frames in cluster.frames().items()
    }


def simulated(
    bundle: Bundle, topology: Topology, mtu_bytes: int = 512, direct: bool = False
) -> SimResult:
    cluster = replace(
        default_cluster(len(bundle.devices)), topology=topology, mtu_bytes=mtu_bytes, direct=direct
    )
    programs = [program_of(d, h) for d, h in zip(bundle.devices, cluster.devices, strict=True)]
    return run_programs(programs, cluster, network=NetworkOptions(hold_us=float("inf")))


CASES = [
    ("mobilenet", "auto", 2, Topology.RING, False),
    ("mobilenet", "auto", 4, Topology.RING, False),
    ("resnet", "in_channels", 3, Topology.STAR, False),
    ("ds_cnn", "channels", 4, Topology.LINE, False),
    ("mobilenet", "rows", 5, Topology.RING, False),
    ("mobilenet", "rows", 4, Topology.RING, True),
    ("ds_cnn", "channels", 3, Topology.LINE, True),
]


@pytest.mark.parametrize(("name", "split", "world_size", "topology", "direct"), CASES)
def test_what_the_plan_decides_is_equal(
    tmp_path: Path,
    clock: Clock,
    name: str,
    split: str,
    world_size: int,
    topology: Topology,
    direct: bool,
):
    bundle = read_bundle(bundle_of(tmp_path / "plan", name, world_size, split))
    result = simulated(bundle, topology, direct=direct)
    carried = run(bundle, topology, clock, direct)
    assert set(carried) == set(result.wires)
    for edge, frames in carried.items():
        count, payloads = result.wires[edge], [len(frame.payload) for frame in frames]
        kinds = [frame.type for frame in frames]
        assert kinds.count(FrameType.DATA) == count.data_frames, edge
        assert kinds.count(FrameType.GRANT) == count.grant_frames, edge
        assert sum(payloads) == count.payload_bytes, edge
        # What COBS adds depends on the zeros in the contents; the simulation counts the most.
        most = sum(max_encoded_bytes(OVERHEAD_BYTES + size) for size in payloads)
        assert most == count.message_bytes, edge
        assert 0.99 * most <= sum(len(encode(frame)) for frame in frames) <= most


@pytest.mark.parametrize("direct", [False, True])
def test_a_streamed_input_is_sent_as_simulated(tmp_path: Path, clock: Clock, direct: bool):
    bundle = streamed_bundle(tmp_path, "mobilenet", 3, tiles=3)
    result = simulated(bundle, Topology.RING, direct=direct)
    for edge, frames in run(bundle, Topology.RING, clock, direct).items():
        kinds, count = [frame.type for frame in frames], result.wires[edge]
        assert kinds.count(FrameType.DATA) == count.data_frames, edge
        assert kinds.count(FrameType.GRANT) == count.grant_frames, edge
        assert sum(len(frame.payload) for frame in frames) == count.payload_bytes, edge


def test_the_comparison_can_fail(tmp_path: Path, clock: Clock):
    """With another MTU there are other frames."""
    bundle = read_bundle(bundle_of(tmp_path / "plan", "mobilenet", 2))
    carried = run(bundle, Topology.RING, clock)
    result = simulated(bundle, Topology.RING, mtu_bytes=256)
    frames = {edge: [frame.type for frame in frames] for edge, frames in carried.items()}
    assert frames[0, 1].count(FrameType.DATA) != result.wires[0, 1].data_frames
    assert frames[0, 1].count(FrameType.GRANT) == result.wires[0, 1].grant_frames
