# SPDX-License-Identifier: Apache-2.0
"""Microseconds of transfers that happen at the same time: an alpha-beta model over real frames.

    us  =  step overhead  +  busiest wire  +  rendezvous and pipeline of the longest way

* *busiest wire*: the sum, over everything that crosses it, of frame bytes * us per byte + frames *
  us per frame.  A multicast crosses a wire once; on Ethernet it leaves its sender once, and every
  device's port carries it.  Frames are those of docs/wire_format.md: header, CRC, COBS, delimiters,
  one GRANT from each receiver, one ACK for each frame that no frame of the other direction carries.
* *congestion*: where a wire carries forwarded frames and the other direction data too, a slot comes
  free only when an ACK has waited for a whole frame to pass, and entering a ring needs two slots; a
  share f of forwarded bytes makes the wire take 1 + 0.3 f times as long.  split_core itself on
  simulated wires takes, against this model, 0.85 to 1.15 times as long (tests/sim/test_network.py).
* *rendezvous*: the GRANT travels to the source before the first byte leaves.
* *pipeline*: frames are forwarded whole, so each further hop delays by one frame.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from tflsplit.cluster import Cluster, Edge, message_frames
from tflsplit.cluster.framing import HOP_FRAME_BYTES, largest_frame_bytes
from tflsplit.cluster.links import LinkSpec
from tflsplit.cluster.routes import Routes
from tflsplit.cluster.ways import Way, Ways, Wires
from tflsplit.plan.transfers import Transfer
from tflsplit.wire.ethernet import goes_to_group


@dataclass(frozen=True)
class LinkCost:
    """One exchange.

    us: from the moment that all take part until all have what they need.
    bytes_per_link, frames_per_link: on the wire, by (sender, receiver) of one hop; GRANTs and ACKs
        included.
    payload_per_link: bytes of tensors among them.
    """

    us: float
    bytes_per_link: Mapping[Edge, int] = field(default_factory=dict)
    frames_per_link: Mapping[Edge, int] = field(default_factory=dict)
    payload_per_link: Mapping[Edge, int] = field(default_factory=dict)


CONGESTION = 0.3
"""Fitted to split_core on simulated 6 Mbaud rings: all_gather and scatter of 4 to 8 ranks."""

Message = tuple[int, int, int]
"""(source, destinations as bits, payload bytes)."""


def messages_of(transfer: Transfer) -> Iterator[Message]:
    """What a SEND puts on the wire: a multicast if all get the same box, else one message each."""
    first, *others = transfer.boxes
    if all(box is first for box in others) or len(set(transfer.boxes)) == 1:
        destinations = sum(1 << rank for rank in transfer.to)
        yield transfer.source, destinations, first.size * transfer.itemsize
        return
    for rank, box in zip(transfer.to, transfer.boxes, strict=True):
        yield transfer.source, 1 << rank, box.size * transfer.itemsize


def step_cost(cluster: Cluster, transfers: Sequence[Transfer]) -> LinkCost:
    """The cost of transfers that are all posted before any is waited for; 0 of none."""
    messages = [message for transfer in transfers for message in messages_of(transfer)]
    return exchange_cost(cluster, messages, cluster.routes)


def exchange_cost(cluster: Cluster, messages: Sequence[Message], routes: Routes) -> LinkCost:
    """The same for messages, which may come from the host or go to it (rank ``world_size``).

    routes: the cluster's ``routes``, or its ``output_routes``.
    """
    ways = cluster.output_ways if routes is cluster.output_routes else cluster.ways
    known = _KNOWN.setdefault(ways, {})
    key = tuple(messages)
    if key not in known:
        known[key] = _found_cost(cluster, key, ways)
    return known[key]


_KNOWN: WeakKeyDictionary[Ways, dict[tuple[Message, ...], LinkCost]] = WeakKeyDictionary()
"""Costs of exchanges: tiles of a layer, and many ways to run it, have the same ones."""


def _found_cost(cluster: Cluster, messages: Sequence[Message], ways: Ways) -> LinkCost:
    sent = [
        (ways.way(source, destinations), payload_bytes)
        for source, destinations, payload_bytes in messages
        if payload_bytes and destinations & ~(1 << source)
    ]
    if not sent:
        return LinkCost(0.0)
    load = _Load(cluster, ways, *zip(*sent, strict=True))
    load.acknowledge()
    overhead = max(cluster.link_of(edge).step_overhead_us for edge in load.frames)
    us = overhead + load.busiest_us() + load.fill_us
    return LinkCost(us, load.bytes, load.frames, load.payload)


class _Load:
    """What each direction of each wire has to carry, if it carries anything."""

    def __init__(
        self, cluster: Cluster, ways: Ways, taken: Sequence[Way], payloads: Sequence[int]
    ) -> None:
        self.cluster = cluster
        sizes = [message_frames(payload, cluster.mtu_bytes) for payload in payloads]
        frames, wire_bytes = np.array(sizes).T
        crossed = _Crossings([way.data for way in taken], len(ways.edges))
        onward = _Crossings([way.forwarded for way in taken], len(ways.edges))
        grants = np.bincount(np.concatenate([w.grants for w in taken]), minlength=len(ways.edges))
        self.bytes = _by_edge(ways, crossed.sum(wire_bytes) + grants * HOP_FRAME_BYTES)
        self.frames = _by_edge(ways, crossed.sum(frames) + grants)
        self.payload = _by_edge(ways, crossed.sum(np.array(payloads)))
        self.forwarded = _by_edge(ways, onward.sum(wire_bytes))
        self.fill_us = max(map(self._fill_us, taken, payloads))
        self.shared_us = dict(self._shared_us(ways, taken, sizes)) if cluster.multicasts else {}

    def _fill_us(self, way: Way, payload_bytes: int) -> float:
        first = largest_frame_bytes(payload_bytes, self.cluster.mtu_bytes)
        hop_us = max(link.frame_us(first) for link in way.links)
        return way.grant_us + (way.depth - 1) * hop_us

    def _shared_us(
        self, ways: Ways, taken: Sequence[Way], sizes: Sequence[tuple[int, int]]
    ) -> Iterator[tuple[object, float]]:
        """By port, what its frames for several receivers change: they leave once, and go to all."""
        more: dict[object, float] = defaultdict(float)
        ports = {edge: self.cluster.resources_of(edge) for edge in self.cluster.edges}
        for way, (frames, wire_bytes) in zip(taken, sizes, strict=True):
            edges = [ways.edges[number] for number in way.data]
            if not goes_to_group(len(edges), self.cluster.world_size):
                continue
            if any(edge not in ports for edge in edges):
                continue
            us = _wire_us(self.cluster.link, frames, wire_bytes)
            source = edges[0][0]
            more[ports[edges[0]][0]] -= us * (len(edges) - 1)
            for edge in ports.keys() - set(edges):
                if edge[0] == source:
                    more[ports[edge][1]] += us
        yield from more.items()

    def acknowledge(self) -> None:
        """One ACK for each frame to which no frame of the other direction answers."""
        sent = dict(self.frames)
        for (a, b), frames in sent.items():
            alone = frames - sent.get((b, a), 0)
            if alone > 0:
                self.bytes[b, a] = self.bytes.get((b, a), 0) + alone * HOP_FRAME_BYTES
                self.frames[b, a] = self.frames.get((b, a), 0) + alone

    def busiest_us(self) -> float:
        busy: dict[object, float] = defaultdict(float)
        for edge, frames in self.frames.items():
            us = _wire_us(self.cluster.link_of(edge), frames, self.bytes[edge])
            us *= 1 + CONGESTION * self._congested_share(edge)
            for resource in self.cluster.resources_of(edge):
                busy[resource] += us
        for port, us in self.shared_us.items():
            busy[port] += us
        return max(busy.values())

    def _congested_share(self, edge: Edge) -> float:
        """Of a wire's bytes, those forwarded, if the other direction carries data as well."""
        if edge not in self.forwarded or not self.payload.get((edge[1], edge[0])):
            return 0.0
        return self.forwarded[edge] / self.bytes[edge]


def _wire_us(link: LinkSpec, frames: int, wire_bytes: int) -> float:
    return (wire_bytes + frames * link.frame_overhead_bytes) * link.byte_us + (
        frames * link.frame_overhead_us
    )


class _Crossings:
    """Which messages cross which wires."""

    def __init__(self, wires: Sequence[Wires], count: int) -> None:
        self.wires = np.concatenate(wires)
        self.messages = np.repeat(np.arange(len(wires)), [len(some) for some in wires])
        self.count = count

    def sum(self, amounts: NDArray[np.int64]) -> NDArray[np.int64]:
        """By wire, the amounts of the messages that cross it (exact: far below 2**53)."""
        totals = np.bincount(self.wires, amounts[self.messages], self.count)
        return totals.astype(np.int64)


def _by_edge(ways: Ways, totals: NDArray[np.int64]) -> dict[Edge, int]:
    """As a mapping of those that are not 0."""
    return {edge: total for edge, total in zip(ways.edges, totals.tolist(), strict=True) if total}
