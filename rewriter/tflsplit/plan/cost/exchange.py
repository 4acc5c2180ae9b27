# SPDX-License-Identifier: Apache-2.0
"""Microseconds of transfers that happen at the same time: an alpha-beta model over real frames.

    us  =  step overhead  +  busiest wire  +  rendezvous and pipeline of the longest way

* *busiest wire*: the sum, over everything that crosses it, of frame bytes * us per byte + frames *
  us per frame.  A multicast crosses a wire once.  Frames are those of docs/wire_format.md: header,
  CRC, COBS, delimiters, one GRANT from each receiver, one ACK for each frame that no frame of the
  other direction carries.
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

from tflsplit.cluster import Cluster, Edge, message_frames
from tflsplit.cluster.framing import HOP_FRAME_BYTES, largest_frame_bytes
from tflsplit.cluster.routes import Routes
from tflsplit.plan.transfers import Transfer


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
    if len(set(transfer.boxes)) == 1:
        destinations = sum(1 << rank for rank in transfer.to)
        yield transfer.source, destinations, transfer.boxes[0].size * transfer.itemsize
        return
    for rank, box in zip(transfer.to, transfer.boxes, strict=True):
        yield transfer.source, 1 << rank, box.size * transfer.itemsize


def step_cost(cluster: Cluster, transfers: Sequence[Transfer]) -> LinkCost:
    """The cost of transfers that are all posted before any is waited for; 0 of none."""
    messages = [message for transfer in transfers for message in messages_of(transfer)]
    return exchange_cost(cluster, messages, cluster.routes)


def exchange_cost(cluster: Cluster, messages: Sequence[Message], routes: Routes) -> LinkCost:
    """The same for messages, which may come from the host or go to it (rank ``world_size``)."""
    load = _Load(cluster, routes)
    for source, destinations, payload_bytes in messages:
        if payload_bytes and destinations & ~(1 << source):
            load.add(source, destinations, payload_bytes)
    if not load.frames:
        return LinkCost(0.0)
    load.acknowledge()
    overhead = max(cluster.link_of(edge).step_overhead_us for edge in load.frames)
    us = overhead + load.busiest_us() + load.fill_us
    return LinkCost(us, dict(load.bytes), dict(load.frames), dict(load.payload))


class _Load:
    """What each direction of each wire has to carry."""

    def __init__(self, cluster: Cluster, routes: Routes) -> None:
        self.cluster = cluster
        self.routes = routes
        self.bytes: dict[Edge, int] = defaultdict(int)
        self.frames: dict[Edge, int] = defaultdict(int)
        self.payload: dict[Edge, int] = defaultdict(int)
        self.forwarded: dict[Edge, int] = defaultdict(int)
        self.fill_us = 0.0

    def add(self, source: int, destinations: int, payload_bytes: int) -> None:
        mtu_bytes = self.cluster.mtu_bytes
        frames, wire_bytes = message_frames(payload_bytes, mtu_bytes)
        tree = self.routes.tree(source, destinations)
        for edge in tree.edges:
            self.bytes[edge] += wire_bytes
            self.frames[edge] += frames
            self.payload[edge] += payload_bytes
            if edge[0] != source:
                self.forwarded[edge] += wire_bytes
        grant_us = 0.0
        for rank in _bits(destinations & ~(1 << source)):
            grant_us = max(grant_us, self._grant(rank, source))
        first = largest_frame_bytes(payload_bytes, mtu_bytes)
        hop_us = max(self.cluster.link_of(edge).frame_us(first) for edge in tree.edges)
        self.fill_us = max(self.fill_us, grant_us + (tree.depth - 1) * hop_us)

    def _grant(self, receiver: int, source: int) -> float:
        us = 0.0
        for edge in self.routes.path(receiver, source):
            self.bytes[edge] += HOP_FRAME_BYTES
            self.frames[edge] += 1
            us += self.cluster.link_of(edge).frame_us(HOP_FRAME_BYTES)
        return us

    def acknowledge(self) -> None:
        """One ACK for each frame to which no frame of the other direction answers."""
        sent = dict(self.frames)
        for (a, b), frames in sent.items():
            alone = frames - sent.get((b, a), 0)
            if alone > 0:
                self.bytes[b, a] += alone * HOP_FRAME_BYTES
                self.frames[b, a] += alone

    def busiest_us(self) -> float:
        busy: dict[object, float] = defaultdict(float)
        for edge, frames in self.frames.items():
            link = self.cluster.link_of(edge)
            wire_bytes = self.bytes[edge] + frames * link.frame_overhead_bytes
            us = wire_bytes * link.byte_us + frames * link.frame_overhead_us
            us *= 1 + CONGESTION * self._congested_share(edge)
            for resource in self.cluster.resources_of(edge):
                busy[resource] += us
        return max(busy.values())

    def _congested_share(self, edge: Edge) -> float:
        """Of a wire's bytes, those forwarded, if the other direction carries data as well."""
        if edge not in self.forwarded or not self.payload.get((edge[1], edge[0])):
            return 0.0
        return self.forwarded[edge] / self.bytes[edge]


def _bits(number: int) -> Iterator[int]:
    while number:
        yield (number & -number).bit_length() - 1
        number &= number - 1
