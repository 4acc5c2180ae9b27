# SPDX-License-Identifier: Apache-2.0
"""Microseconds of computing: work, times cycles of its family, over the clock."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from weakref import WeakKeyDictionary

from tflsplit.cluster import Cluster, Device, Family
from tflsplit.cluster.ways import Ways
from tflsplit.ir import Node
from tflsplit.ops import Piece
from tflsplit.plan.cost.flash import node_flash_us, piece_flash_us
from tflsplit.plan.cost.work import Work, piece_work, sum_work, work_of

_MIX = (
    (Family.CONV, 0.036),
    (Family.POINTWISE, 0.891),
    (Family.DEPTHWISE, 0.069),
    (Family.FULLY_CONNECTED, 0.004),
    (Family.MADE, 0.0146),
    (Family.READ, 0.0107),
    (Family.GATHER, 0.0001),
    (Family.PLANE_ROW, 0.0003),
    (Family.PLANE_INPUT, 0.0124),
    (Family.OTHER, 0.0009),
)
"""Amounts for each multiply-accumulate that stand for 'a network' where none is given: those of
MobileNetV2 1.0 at 224x224."""


def compute_us(
    cluster: Cluster,
    rank: int,
    node: Node,
    macs: int,
    output_bytes: int,
    channels: int | None = None,
    stock: bool = False,
) -> float:
    """Time of a rank's piece of a node of the whole graph.

    macs, output_bytes, channels: of the piece (None: the node's); stock: a convolution runs on
    TFLM's kernels.  cycles = the sum, over the parts
    of the node's work, of amount * cycles of the part's family.
    """
    return total_us(cluster.devices[rank], piece_work(node, macs, output_bytes, channels, stock))


def pieces_us(
    cluster: Cluster,
    node: Node,
    pieces: Sequence[Piece],
    stock: bool = False,
    sums: bool = False,
) -> Sequence[float]:
    """By rank, the time of its piece of a node of the whole graph; 0 of an empty one.

    sums: the pieces are partial sums.
    Found once: plans that are compared have most pieces in common.
    """
    known = _KNOWN.setdefault(cluster.ways, {})
    key = id(pieces), stock, sums
    found = known.get(key)
    if found is None:
        if len(known) >= _MOST_KNOWN:
            known.clear()
        us = [
            _piece_us(cluster, rank, node, piece, stock, sums) for rank, piece in enumerate(pieces)
        ]
        found = known[key] = pieces, us
    return found[1]


_Known = dict[tuple[int, bool, bool], tuple[Sequence[Piece], Sequence[float]]]
_KNOWN: WeakKeyDictionary[Ways, _Known] = WeakKeyDictionary()
"""By cluster, and by pieces (which are kept, so that no others get their address)."""
_MOST_KNOWN = 1 << 16


def _piece_us(
    cluster: Cluster, rank: int, node: Node, piece: Piece, stock: bool, sums: bool
) -> float:
    if piece.is_empty:
        return 0.0
    read = piece.operands[0] if piece.operands else None
    if sums and not piece.macs and read is not None:  # MEAN and its kin
        work = sum_work(read.size, sum(box.size for box in piece.results))
        return work_us(cluster.devices[rank], work)
    made = sum(
        box.size * value.dtype.itemsize
        for box, value in zip(piece.results, node.outputs, strict=True)
    )
    last = piece.results[0].shape[-1:]  # () of a scalar
    us = compute_us(cluster, rank, node, piece.macs, made, last[0] if last else None, stock)
    return us + piece_flash_us(cluster.devices[rank], node, piece)


def requantize_us(cluster: Cluster, rank: int, values: int) -> float:
    """Time of turning ``values`` complete int32 sums into int8."""
    return work_us(cluster.devices[rank], Work(Family.REQUANTIZE, values))


def local_node_us(device: Device, node: Node) -> float:
    """Time of a node of a device graph and of its weights from flash; of a RECV, of its copying."""
    return total_us(device, work_of(node)) + node_flash_us(device, node)


def total_us(device: Device, work: Iterable[Work]) -> float:
    """Time of all of it on a device."""
    return sum(work_us(device, each) for each in work)


def work_us(device: Device, work: Work) -> float:
    """Time of some work on a device."""
    return device.cycles_us(work.amount * device.cycles.of(work.family))


def speed(device: Device) -> float:
    """Multiply-accumulates a microsecond, over a usual mix of families."""
    cycles = sum(amount * device.cycles.of(family) for family, amount in _MIX)
    return device.clock_hz / 1e6 / cycles


def default_shares(cluster: Cluster) -> tuple[float, ...]:
    """What each rank should get of a layer if speed alone decides; they add up to 1."""
    speeds = [speed(device) for device in cluster.devices]
    return tuple(each / sum(speeds) for each in speeds)
