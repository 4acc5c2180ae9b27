# SPDX-License-Identifier: Apache-2.0
"""Ethernet frames for several receivers: by the rules of ``split_port/segment_sender.h``.

What a device's links write in one poll and have in common leaves once, for all of its receivers,
and a switch passes it on to every port.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tflsplit.cluster import Cluster
from tflsplit.sim.frames import Hop, Slot
from tflsplit.wire.ethernet import MAX_RECEIVERS, goes_to_group

Times = tuple[float, float, float]
"""Of a frame: when it begins to leave, when it has left, when it has arrived."""


@dataclass
class _Waiting:
    """A frame that was written in the present poll.

    arrivals: by port, when it is there; of a frame for several, at every port.
    """

    slot: Slot | None
    times: Times
    receivers: set[object]
    arrivals: dict[object, float]


class Segment:
    """The switch of one cluster.

    busy_until: by port, when it is free again.
    """

    def __init__(self, cluster: Cluster, busy_until: dict[object, float]) -> None:
        self._busy = busy_until
        self._cluster = cluster
        self._polls: dict[object, tuple[float, list[_Waiting]]] = {}

    def leaves(self, now: float, ports: Sequence[object], hop: Hop, times: Times) -> None:
        """A frame leaves by ``ports[0]`` for ``ports[1]``; later ones may share it."""
        then, waiting = self._polls.get(ports[0], (-1.0, []))
        if then != now:
            waiting = []
            self._polls[ports[0]] = now, waiting
        slot = hop.slot if self._may_share(hop) else None
        waiting.append(_Waiting(slot, times, {ports[1]}, {ports[1]: times[2]}))

    def shared(self, now: float, ports: Sequence[object], hop: Hop) -> Times | None:
        """The times of a frame that leaves with an earlier one; None if it leaves by itself.

        Not past another frame to the same port: a link's frames keep their order.
        """
        then, waiting = self._polls.get(ports[0], (-1.0, []))
        if then != now or not self._may_share(hop):
            return None
        for earlier in reversed(waiting):
            if ports[1] in earlier.receivers:
                return None
            if earlier.slot is hop.slot and len(earlier.receivers) < MAX_RECEIVERS:
                if len(earlier.receivers) == 1:
                    self._flood(earlier, ports[0])
                earlier.receivers.add(ports[1])
                return *earlier.times[:2], earlier.arrivals[ports[1]]
        return None

    def _may_share(self, hop: Hop) -> bool:
        if hop.slot is None or hop.again:
            return False
        receivers = (
            hop.slot.frame.destinations & ((1 << self._cluster.world_size) - 1)
        ).bit_count()
        return goes_to_group(receivers, self._cluster.world_size)

    def _flood(self, frame: _Waiting, out: object) -> None:
        """Every other port carries it from now on."""
        start, end, _ = frame.times
        for rank in range(self._cluster.world_size):
            _, port = self._cluster.resources_of((_other(rank), rank))
            own, _ = self._cluster.resources_of((rank, _other(rank)))
            if own == out or port in frame.arrivals:
                continue
            there = max(end, self._busy.get(port, 0.0) + end - start)
            frame.arrivals[port] = self._busy[port] = there


def _other(rank: int) -> int:
    return 0 if rank else 1
