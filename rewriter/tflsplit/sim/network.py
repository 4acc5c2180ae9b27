# SPDX-License-Identifier: Apache-2.0
"""All nodes of a cluster, wired, and the host at its gateway or gateways."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import simpy

from tflsplit.cluster import Cluster, Edge
from tflsplit.plan.cost.polling import poll_costs
from tflsplit.sim.channel import Channel, Media
from tflsplit.sim.link import Link
from tflsplit.sim.node import Node
from tflsplit.wire.timers import MULTICAST_HOLD_US
from tflsplit.wire.topology import NO_LINK, unchecked_tables
from tflsplit.wire.window import MAX_CREDIT

_UNLIMITED = 1 << 30


@dataclass(frozen=True)
class NetworkOptions:
    """What a network is beside its cluster.

    error_rate: probability that a byte on a wire is damaged; seed: of that chance.
    computer: the rank of a device that is a computer, with as many buffers as it likes; None: none.
    hold_us: how long a multicast waits for all of its receivers.
    """

    error_rate: float = 0.0
    seed: int = 0
    computer: int | None = None
    hold_us: float = MULTICAST_HOLD_US


class Network:
    """The nodes by rank, the host last.

    channels: every direction of every wire.
    """

    def __init__(
        self, env: simpy.Environment, cluster: Cluster, options: NetworkOptions | None = None
    ) -> None:
        options = options or NetworkOptions()
        self.env = env
        self.cluster = cluster
        self._computer = options.computer
        self._media = Media(env, cluster, options.error_rate, options.seed)
        self.nodes = [
            Node(
                env,
                rank,
                cluster.mtu_bytes,
                _UNLIMITED if rank == options.computer else cluster.tx_slots,
                options.hold_us,
                background_us=cluster.poll_period_us(rank),
            )
            for rank in range(cluster.world_size)
        ]
        # As wire/endpoint.py: what a gateway gives credit for, and two frames that wait for it.
        under_way = cluster.rx_slots + 2
        self.host = Node(
            env,
            cluster.host_rank,
            cluster.mtu_bytes,
            under_way * len(cluster.gateways),
            float("inf"),
            link_frames=under_way,
        )
        self._wire_devices()
        self._wire_host()
        self.channels: Mapping[Edge, Channel] = {
            (node.rank, link.peer_rank): self._connect(node, link)
            for node in (*self.nodes, self.host)
            for link in node.links
        }

    def _wire_devices(self) -> None:
        cluster = self.cluster
        tables = unchecked_tables(cluster.topology, cluster.world_size, cluster.output_gateways)
        for node in self.nodes:
            table = [link for link in tables[node.rank] if link.peer_rank != cluster.host_rank]
            rx_slots = MAX_CREDIT if node.rank == self._computer else cluster.rx_slots
            for entry in table:
                node.links.append(Link(node, entry.peer_rank, entry.destinations, rx_slots))
            for link, entry in zip(list(node.links), table, strict=True):
                if entry.ring_next != NO_LINK:
                    link.ring_next = node.links[entry.ring_next]
                    link.ring_next.feeds_ring = True

    def _wire_host(self) -> None:
        """Input enters at one device and output leaves at one, mostly the same; or at all."""
        cluster, host = self.cluster, self.host
        inward = unchecked_tables(cluster.topology, cluster.world_size, cluster.gateways)[-1]
        behind = {link.peer_rank: link.destinations for link in inward}
        for rank in dict.fromkeys((*cluster.gateways, *cluster.output_gateways)):
            node = self.nodes[rank]
            to_host = 1 << host.rank if rank in cluster.output_gateways else 0
            node.links.append(Link(node, host.rank, to_host, cluster.rx_slots))
            host.links.append(Link(host, rank, behind.get(rank, 0), MAX_CREDIT))

    def _connect(self, node: Node, link: Link) -> Channel:
        everyone = (*self.nodes, self.host)
        peer = next(
            other for other in everyone[link.peer_rank].links if other.peer_rank == node.rank
        )
        # Each side starts with the credit that the other's slots are worth.
        link.credit_end = peer.rx_free
        link.channel = Channel(self._media, (node.rank, link.peer_rank), peer.arrive)
        if node is not self.host:
            kind = self.cluster.link_of((node.rank, link.peer_rank)).kind
            cost = poll_costs(self.cluster)[node.rank]
            link.sent_byte_us = cost.sent_us(1, kind)
            link.received_byte_us = cost.received_us(1, kind)
        return link.channel
