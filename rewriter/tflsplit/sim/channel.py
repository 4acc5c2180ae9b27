# SPDX-License-Identifier: Apache-2.0
"""One direction of one wire: how long a frame takes, whether it arrives, what has crossed."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import simpy

from tflsplit.cluster import Cluster, Edge, Medium
from tflsplit.cluster.rings import MAX_TX_BYTES
from tflsplit.sim.frames import Hop, Kind
from tflsplit.sim.result import WireCount
from tflsplit.sim.segment import Segment
from tflsplit.sim.times import Intervals


class Media:
    """What the wires of a cluster share, and chance.

    busy_until: by resource (``Cluster.resources_of``), when it is free again.
    """

    def __init__(
        self, env: simpy.Environment, cluster: Cluster, error_rate: float, seed: int
    ) -> None:
        self.env = env
        self.cluster = cluster
        self.error_rate = error_rate
        self.random = Random(seed)
        self.busy_until: dict[object, float] = {}
        self.segment = Segment(cluster, self.busy_until) if cluster.multicasts else None


def _ring_bytes(cluster: Cluster) -> int:
    """What a port's ring takes beyond the frame that leaves; by rule, what polls make of it."""
    return MAX_TX_BYTES if cluster.port_tx_bytes is None else cluster.port_tx_bytes


class Channel:
    """Frames from one node to a neighbour.

    A frame that is handed over leaves as soon as the medium is free, in the order of handing over.
    On a switch it takes the sender's port and then the receiver's.
    deliver: called with every frame that arrives, damaged or not.
    done_at: when the last frame handed over has left; so long the port's ring holds bytes.
    """

    def __init__(self, media: Media, edge: Edge, deliver: Callable[[Hop], None]) -> None:
        self._media = media
        self._env = media.env
        self._deliver = deliver
        self._link = media.cluster.link_of(edge)
        self._resources = media.cluster.resources_of(edge)
        # A switch keeps a frame until the receiver's port is free; a shared medium does not.
        self._is_switched = media.cluster.medium is Medium.SWITCHED and len(self._resources) == 2
        self._ring_us = _ring_bytes(media.cluster) * self._link.byte_us
        self.done_at = 0.0
        self.count = WireCount()
        self.busy: Intervals = []

    def room_at(self, wire_bytes: int) -> float:
        """When a frame may be handed over: when the port's ring has room for it, or is empty."""
        return self.done_at - max(0.0, self._ring_us - self._link.frame_us(wire_bytes))

    def send(self, hop: Hop) -> None:
        """Hand a frame over."""
        duration = self._link.frame_us(hop.wire_bytes)
        busy = self._media.busy_until
        first = self._resources[0]
        start = max(self._env.now, busy.get(first, 0.0))
        if not self._is_switched:
            for other in self._resources[1:]:
                start = max(start, busy.get(other, 0.0))
        end = arrival = start + duration
        shared = self._shared(hop)
        if shared is not None:
            start, end, arrival = shared
        else:
            for resource in self._resources[:1] if self._is_switched else self._resources:
                busy[resource] = end
            if self._is_switched:
                port = self._resources[1]
                arrival = busy[port] = max(end, busy.get(port, 0.0) + duration)
            self._leaves(hop, start, end, arrival)
        self.done_at = end
        self._note(hop, start, end)
        if self._is_damaged(hop):
            self.count.damaged += 1
            hop.is_damaged = True
        event = self._env.timeout(arrival - self._env.now)
        event.callbacks.append(lambda _: self._deliver(hop))

    def _shared(self, hop: Hop) -> tuple[float, float, float] | None:
        segment = self._media.segment
        if segment is None or not self._is_switched:
            return None
        return segment.shared(self._env.now, self._resources, hop)

    def _leaves(self, hop: Hop, start: float, end: float, arrival: float) -> None:
        if self._media.segment is not None and self._is_switched:
            self._media.segment.leaves(self._env.now, self._resources, hop, (start, end, arrival))

    def _is_damaged(self, hop: Hop) -> bool:
        rate = self._media.error_rate
        return rate > 0 and self._media.random.random() > (1 - rate) ** hop.wire_bytes

    def _note(self, hop: Hop, start: float, end: float) -> None:
        count = self.count
        count.wire_bytes += hop.wire_bytes
        count.busy_us += end - start
        if hop.slot is None:
            count.hop_frames += 1
            return
        if hop.again:
            count.resent_frames += 1
        else:
            kind = hop.slot.frame.kind
            count.frames += 1
            count.grant_frames += kind is Kind.GRANT
            if kind in (Kind.DATA, Kind.GRANT):
                count.message_bytes += hop.wire_bytes
            if kind is Kind.DATA:
                count.data_frames += 1
                count.payload_bytes += hop.slot.frame.size
        if self.busy and start <= self.busy[-1][1]:
            self.busy[-1] = self.busy[-1][0], end
        else:
            self.busy.append((start, end))
