# SPDX-License-Identifier: Apache-2.0
"""Microseconds of computing: work, times cycles of its family, over the clock."""

from __future__ import annotations

from tflsplit.cluster import Cluster, Device, Family
from tflsplit.ir import Node
from tflsplit.plan.cost.work import Work, piece_work, work_of

_MIX = ((Family.CONV, 0.06), (Family.POINTWISE, 0.75), (Family.DEPTHWISE, 0.19))
"""Shares of multiply-accumulates that stand for 'a network' where none is given: those of
mcunet-vww (tinyengine's README), from which most of the boards' figures come too."""


def compute_us(cluster: Cluster, rank: int, node: Node, macs: int, output_bytes: int) -> float:
    """Time of a rank's piece of a node of the whole graph.

    macs, output_bytes: of the piece.  cycles = macs * cycles per MAC of the node's family; of an
    operator without multiply-accumulates, bytes * cycles per byte.
    """
    return work_us(cluster.devices[rank], piece_work(node, macs, output_bytes))


def requantize_us(cluster: Cluster, rank: int, values: int) -> float:
    """Time of turning ``values`` complete int32 sums into int8: bytes of OTHER."""
    return work_us(cluster.devices[rank], Work(Family.OTHER, values))


def local_node_us(device: Device, node: Node) -> float:
    """Time of a node of a device graph; of a RECV, only of its copying."""
    return sum(work_us(device, work) for work in work_of(node))


def work_us(device: Device, work: Work) -> float:
    """Time of some work on a device."""
    return device.cycles_us(work.amount * device.cycles.of(work.family))


def speed(device: Device) -> float:
    """Multiply-accumulates a microsecond, over a usual mix of families."""
    cycles = sum(share * device.cycles.of(family) for family, share in _MIX)
    return device.clock_hz / 1e6 / cycles


def default_shares(cluster: Cluster) -> tuple[float, ...]:
    """What each rank should get of a layer if speed alone decides; they add up to 1."""
    speeds = [speed(device) for device in cluster.devices]
    return tuple(each / sum(speeds) for each in speeds)
