# SPDX-License-Identifier: Apache-2.0
"""When each device has its part of the input: near ones first.

    host == 0 -- 1 -- 2        on 0 -- 1:  | rank 1's | rank 2's |
                               on 1 -- 2:       | rank 2's |

Every device asks at once, the GRANT of a near one is there first, and its message goes first.  So
a rank waits, on each wire of its way, for its own bytes and those of all ranks that are nearer:

    us  =  step overhead  +  GRANT  +  bytes so far on the busiest wire of the way  +  a frame a hop

and may begin while bytes for farther ranks still pass through it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from tflsplit.cluster import Cluster, message_frames
from tflsplit.cluster.framing import largest_frame_bytes
from tflsplit.cluster.ways import bits
from tflsplit.plan.cost.exchange import Message
from tflsplit.plan.cost.polling import MOST_SHARE, poll_costs


@dataclass(frozen=True)
class Passing:
    """Input for others that passes through a device while its kernels run.

    until_us: when the last of it has; share: of the device's time that it takes so long.
    """

    until_us: float
    share: float

    def elapsed_us(self, now_us: float, us: float) -> float:
        """How long a kernel takes from ``now_us`` that needs ``us`` alone."""
        if now_us >= self.until_us:
            return us
        left = max(0.0, self.until_us - now_us)
        free = left * (1 - self.share)
        return us / (1 - self.share) if us <= free else left + us - free


def arrivals_us(cluster: Cluster, messages: Sequence[Message]) -> list[float]:
    """By rank, until it has all messages from the host that are for it; 0.0 if there are none."""
    arrivals = [0.0] * cluster.world_size
    if not messages:
        return arrivals
    busy: dict[object, float] = defaultdict(float)
    host, routes = cluster.host_rank, cluster.routes

    def distance(message: Message) -> int:
        return routes.tree(host, message[1]).depth

    for _, destinations, payload_bytes in sorted(messages, key=distance):
        frames, wire_bytes = message_frames(payload_bytes, cluster.mtu_bytes)
        for edge in routes.tree(host, destinations).edges:
            link = cluster.link_of(edge)
            wire_bytes_here = wire_bytes + frames * link.frame_overhead_bytes
            us = wire_bytes_here * link.byte_us + frames * link.frame_overhead_us
            for resource in cluster.resources_of(edge):
                busy[resource] += us
        for rank in bits(destinations):
            arrivals[rank] = max(arrivals[rank], _arrival_us(cluster, rank, payload_bytes, busy))
    return arrivals


def passing_input(
    cluster: Cluster, messages: Sequence[Message], arrivals: Sequence[float]
) -> list[Passing]:
    """What passes through each rank, after its own (``arrivals``), on its way to farther ones."""
    handled_us = [0.0] * cluster.world_size
    until = [0.0] * cluster.world_size
    costs = poll_costs(cluster)
    for source, destinations, payload_bytes in messages:
        _, wire_bytes = message_frames(payload_bytes, cluster.mtu_bytes)
        last = max(arrivals[rank] for rank in bits(destinations))
        for a, b in cluster.routes.tree(source, destinations).edges:
            kind = cluster.link_of((a, b)).kind
            if a != source:
                handled_us[a] += costs[a].sent_us(wire_bytes, kind)
                until[a] = max(until[a], last)
            if not destinations >> b & 1:
                handled_us[b] += costs[b].received_us(wire_bytes, kind)
    return [
        Passing(until[rank], _share_of_time(cluster, rank, us, until[rank] - arrivals[rank]))
        for rank, us in enumerate(handled_us)
    ]


def _share_of_time(cluster: Cluster, rank: int, handled_us: float, during_us: float) -> float:
    if not cluster.poll_period_us(rank) or during_us <= 0:
        return 0.0
    return min(MOST_SHARE, handled_us / during_us)


def _arrival_us(
    cluster: Cluster, rank: int, payload_bytes: int, busy: dict[object, float]
) -> float:
    way = cluster.ways.way(cluster.host_rank, 1 << rank)
    path = cluster.routes.path(cluster.host_rank, rank)
    first = largest_frame_bytes(payload_bytes, cluster.mtu_bytes)
    links = [cluster.link_of(edge) for edge in path]
    queue_us = max(busy[resource] for edge in path for resource in cluster.resources_of(edge))
    hop_us = max(link.frame_us(first) for link in links)
    overhead_us = max(link.step_overhead_us for link in links)
    return overhead_us + way.grant_us + queue_us + (way.depth - 1) * hop_us
