# SPDX-License-Identifier: Apache-2.0
"""The firmware's C++ and the host's Python on one cluster, wires with faults between them."""

from __future__ import annotations

import ctypes
from dataclasses import replace

import numpy as np
import pytest

from tests.core_build import build_core
from tflsplit.errors import LinkError
from tflsplit.wire.endpoint import Endpoint
from tflsplit.wire.faults import FaultProxy, Faults
from tflsplit.wire.handshake import Identity
from tflsplit.wire.native import NativeNode, load_library
from tflsplit.wire.timers import Timing
from tflsplit.wire.topology import Topology, link_tables

FAULTS = Faults(1e-4, 5e-5, 2e-5, 5e-5, 5e-5)
TIMING = Timing(peer_timeout_us=400_000)


@pytest.fixture(scope="module")
def library() -> ctypes.CDLL:
    return load_library(build_core() / "libsplit_core.so")


class Cluster:
    """N native nodes and a Python host at rank 0's extra link."""

    def __init__(self, library, topology=Topology.RING, world_size=4, faults=None, **slots):
        self.library, self.slots = library, slots
        self.world_size = world_size
        self.tables = link_tables(topology, world_size, host_at=0)
        self.identity = Identity(0, world_size, world_size + 1, 256, bytes(range(16)))
        self.datagrams: list[tuple[int, int, bytes]] = []
        self.now_us = 0
        self.boots = 100
        self.nodes = [self.make(rank) for rank in range(world_size)]
        self.host = Endpoint(
            replace(self.identity, rank=world_size), 0, 7, lambda *got: self.datagrams.append(got),
            TIMING,
        )  # fmt: skip
        self.wires = {
            (rank, link.peer_rank): FaultProxy(faults or Faults(), 100 * rank + link.peer_rank)
            for rank, links in enumerate(self.tables)
            for link in links
        }

    def make(self, rank: int, **changes) -> NativeNode:
        self.boots += 1
        identity = replace(self.identity, rank=rank, **changes)
        return NativeNode(
            self.library, identity, self.tables[rank], self.boots, TIMING, **self.slots
        )

    def link_to(self, rank: int, peer: int) -> int:
        return [link.peer_rank for link in self.tables[rank]].index(peer)

    def step(self) -> None:
        for rank, node in enumerate(self.nodes):
            node.poll(self.now_us)
            for index, link in enumerate(self.tables[rank]):
                data = self.wires[rank, link.peer_rank].carry(node.drain(index), self.now_us)
                self.arrive(rank, link.peer_rank, data)
        data = self.host.poll(self.now_us)
        self.arrive(self.world_size, 0, self.wires[self.world_size, 0].carry(data, self.now_us))
        self.now_us += 300

    def arrive(self, source: int, rank: int, data: bytes) -> None:
        if rank == self.world_size:
            self.host.receive(data, self.now_us)
        else:
            self.nodes[rank].feed(self.link_to(rank, source), data)

    def run_until(self, condition, timeout_us=20_000_000) -> bool:
        end = self.now_us + timeout_us
        while not condition():
            if self.now_us > end:
                return False
            self.step()
        return True

    def ready(self) -> bool:
        return self.host.link.is_up and all(node.ready for node in self.nodes)

    def begin_epoch(self, epoch: int) -> None:
        self.host.begin_epoch(epoch)
        for node in self.nodes:
            node.begin_epoch(epoch)


@pytest.mark.parametrize("topology", Topology)
@pytest.mark.parametrize("faults", [Faults(), FAULTS], ids=["clean", "faults"])
@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_scatter_all_gather_and_collect(library, topology, faults, world_size):
    """The host scatters rows, the ranks gather them all, rank N-1 returns the whole."""
    cluster = Cluster(library, topology, world_size, faults)
    assert cluster.run_until(cluster.ready)
    rng = np.random.default_rng(world_size)
    image = rng.integers(-128, 128, (1, 4 * world_size, 9, 7), dtype=np.int8)
    copies = [np.zeros_like(image) for _ in range(world_size)]
    for epoch in (65533, 65534, 65535, 0, 1):
        cluster.begin_epoch(epoch)
        everyone = (1 << world_size) - 1
        for rank, node in enumerate(cluster.nodes):
            copies[rank][:] = 0
            rows = slice(4 * rank, 4 * rank + 4)
            cluster.host.post_send(1, [rank], image[:, rows].tobytes())
            node.begin_recv(1, world_size, copies[rank][:, rows])
        assert cluster.run_until(lambda: all(node.recvs_complete for node in cluster.nodes))
        for rank, node in enumerate(cluster.nodes):
            others = everyone & ~(1 << rank)
            if others:
                node.post_send(2, others, copies[rank][:, 4 * rank : 4 * rank + 4])
            for source in range(world_size):
                if source != rank:
                    node.begin_recv(2, source, copies[rank][:, 4 * source : 4 * source + 4])
        assert cluster.run_until(lambda: all(node.recvs_complete for node in cluster.nodes))
        assert all(np.array_equal(copy, image) for copy in copies)
        cluster.nodes[-1].post_send(3, 1 << world_size, copies[-1][..., 1:5])
        cluster.host.begin_recv(3, world_size - 1, image[..., 1:5].size)
        results: list[bytes] = []

        def arrived(results=results) -> bool:
            got = cluster.host.take(3, world_size - 1)
            results.extend([] if got is None else [got])
            return bool(results)

        assert cluster.run_until(arrived)
        assert results == [image[..., 1:5].tobytes()]
    if faults is FAULTS and world_size > 1:
        resent = sum(
            node.counters(link)["frames_resent"]
            for node in cluster.nodes
            for link in range(node.link_count)
        )
        assert resent > 0


def test_host_enters_a_ring_that_is_full(library):
    """With the smallest buffers, the host feeds rank 0 while every rank floods the far side."""
    cluster = Cluster(library, Topology.RING, 6, rx_slots=2, tx_slots=1)
    assert cluster.run_until(cluster.ready)
    cluster.begin_epoch(1)
    rng = np.random.default_rng(1)
    data = rng.integers(-128, 128, (6, 4000), dtype=np.int8)
    got = np.zeros_like(data)
    from_host = np.zeros((6, 4000), np.int8)
    for rank, node in enumerate(cluster.nodes):
        to = (rank + 2) % 6
        node.post_send(5, 1 << to, data[rank])
        cluster.nodes[to].begin_recv(5, rank, got[rank])
        node.begin_recv(6, 6, from_host[rank])
    cluster.host.post_send(6, range(6), data[0].tobytes())
    assert cluster.run_until(lambda: all(node.recvs_complete for node in cluster.nodes))
    assert np.array_equal(got, data)
    assert (from_host == data[0]).all()


def test_datagrams_between_host_and_devices(library):
    cluster = Cluster(library, faults=FAULTS)
    assert cluster.run_until(cluster.ready)
    for rank, node in enumerate(cluster.nodes):
        assert cluster.run_until(lambda n=node, r=rank: n.send_datagram(1 << 4, 40 + r, bytes([r])))
    assert cluster.run_until(lambda: len(cluster.datagrams) == 4)
    assert sorted(cluster.datagrams) == [(r, 40 + r, bytes([r])) for r in range(4)]


def test_reset_device_is_named_to_the_host_and_the_next_inference_is_right(library):
    cluster = Cluster(library)
    assert cluster.run_until(cluster.ready)
    data = np.arange(8000, dtype=np.int32)
    got = np.zeros_like(data)
    cluster.begin_epoch(1)
    cluster.nodes[1].post_send(9, 1 << 3, data)
    cluster.nodes[3].begin_recv(9, 1, got)
    cluster.host.begin_recv(1, 3, 10)
    for _ in range(20):
        cluster.step()
    cluster.nodes[2] = cluster.make(2)
    assert cluster.run_until(lambda: cluster.host.error is not None)
    # Both neighbours of rank 2 saw it; whose word comes first is the wires' affair.
    assert str(cluster.host.error).startswith("rank 2 was reset during the inference [seen by rank")
    with pytest.raises(LinkError, match="rank 2"):
        cluster.host.take(1, 3)
    assert "rank 2" in cluster.nodes[3].error_text()
    with pytest.raises(LinkError, match=r"rank 2 .*was reset"):
        _ = cluster.nodes[3].recvs_complete
    assert cluster.run_until(cluster.ready)
    cluster.begin_epoch(2)
    cluster.nodes[1].post_send(9, 1 << 3, data)
    cluster.nodes[3].begin_recv(9, 1, got)
    assert cluster.run_until(lambda: cluster.nodes[3].recvs_complete)
    assert np.array_equal(got, data)


def test_size_mismatch_and_timeout_are_named_on_both_sides(library):
    cluster = Cluster(library)
    assert cluster.run_until(cluster.ready)
    cluster.begin_epoch(1)
    cluster.nodes[2].begin_recv(4, 4, np.zeros(10, np.int8))
    cluster.host.post_send(4, [2], bytes(11))
    assert cluster.run_until(lambda: cluster.host.error is not None)
    assert "rank 2 (channel 4) expects another message size" in str(cluster.host.error)
    assert cluster.run_until(lambda: cluster.nodes[3].error_text() != "")
    cluster.begin_epoch(2)
    cluster.host.begin_recv(7, 1, 100)
    cluster.host.fail_with_timeout()
    assert "rank 1 (channel 7) did not deliver in time" in str(cluster.host.error)
    assert cluster.run_until(lambda: cluster.nodes[2].error_text() != "")
    assert "channel 7" in cluster.nodes[2].error_text()


def test_wrong_plan_is_refused_by_name_on_both_sides(library):
    cluster = Cluster(library)
    cluster.nodes[0] = cluster.make(0, fingerprint=bytes(16))
    cluster.run_until(lambda: False, 100_000)
    assert "rank 0 runs another plan" in str(cluster.host.error)
    assert "rank 0 (link 0) runs another plan" in cluster.nodes[1].link_error_text()
    assert "runs another plan" in cluster.nodes[0].link_error_text()


def test_unsound_table_and_missing_library(library, tmp_path):
    tables = link_tables(Topology.LINE, 2)
    with pytest.raises(LinkError, match="not a sound link table"):
        NativeNode(library, Identity(1, 2, 2, 256, bytes(16)), tables[0], 1)
    with pytest.raises(LinkError, match="cmake"):
        load_library(tmp_path / "none.so")
