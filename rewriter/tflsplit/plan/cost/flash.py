# SPDX-License-Identifier: Apache-2.0
"""Waiting for weights that come from flash, on boards that say how fast (``flash_bytes_per_s``).

Kernels make four positions of a layer at a time, of all channels, and for each four they read all
weights of the layer; a depthwise convolution reads its weights for each row.  What a cache holds is
read from flash once:

    bytes = weights,           if they fit into flash_cache_bytes
          = weights * passes,  else: the first are lost when the last have come
"""

from __future__ import annotations

import math
from weakref import WeakKeyDictionary

from tflsplit.cluster import Device, Family
from tflsplit.ir import Node
from tflsplit.ops import Piece
from tflsplit.ops.own.fused import unfused
from tflsplit.ops.own.packed import unpacked
from tflsplit.plan.cost.families import family_of
from tflsplit.plan.cost.work import chain_stages
from tflsplit.wire import custom_ops as wire

_POSITIONS = 4  # kPositions of split_kernels
_WEIGHTS = 1
_READ = (Family.CONV, Family.POINTWISE, Family.DEPTHWISE, Family.FULLY_CONNECTED)

Reads = tuple[tuple[int, int], ...]
"""Bytes of weights, and how often all of them are gone through."""


def passes(node: Node, rows: int, values: int, channels: int) -> int:
    """How often ``values`` results of so many channels in so many rows go through the weights."""
    if family_of(node) is Family.DEPTHWISE:
        return rows
    return -(-values // (channels * _POSITIONS))


def reads_of(node: Node) -> Reads:
    """Of a node of a device graph."""
    if node not in _KNOWN:
        _KNOWN[node] = tuple(read for stage in _stages(node) for read in _stage_reads(stage))
    return _KNOWN[node]


def _stages(node: Node) -> list[Node]:
    if node.op == wire.CHAIN:
        return [stage for stages in chain_stages(node) for stage, _ in stages]
    explicit = unpacked(node, sizes_only=True) if wire.is_packed(node) else node
    return unfused(explicit) if explicit.op == wire.FUSED_BLOCK else [explicit]


_KNOWN: WeakKeyDictionary[Node, Reads] = WeakKeyDictionary()


def _stage_reads(node: Node) -> Reads:
    if family_of(node) not in _READ:
        return ()
    y = node.output.shape
    rows = math.prod(y[:2]) if len(y) == 4 else 1
    return ((node.input(_WEIGHTS).size_bytes, passes(node, rows, node.output.size, y[-1])),)


def piece_reads(node: Node, piece: Piece) -> Reads:
    """Of a piece of a node of the whole graph."""
    if family_of(node) not in _READ or len(piece.operands) <= _WEIGHTS:
        return ()
    weights, made = piece.operands[_WEIGHTS], piece.results[0]
    if weights is None or not made.size:
        return ()
    rows = math.prod(made.shape[:2]) if len(made.shape) == 4 else 1
    size_bytes = weights.size * node.input(_WEIGHTS).dtype.itemsize
    return ((size_bytes, passes(node, rows, made.size, made.shape[-1])),)


def node_flash_us(device: Device, node: Node) -> float:
    """Of a node of a device graph; 0 where no rate is known, as below."""
    return flash_us(device, reads_of(node)) if device.flash_bytes_per_s is not None else 0.0


def piece_flash_us(device: Device, node: Node, piece: Piece) -> float:
    """Of a piece of a node of the whole graph."""
    return (
        flash_us(device, piece_reads(node, piece)) if device.flash_bytes_per_s is not None else 0.0
    )


def flash_us(device: Device, reads: Reads) -> float:
    """Time of a device that waits for its flash."""
    assert device.flash_bytes_per_s is not None
    read = sum(size if size <= device.flash_cache_bytes else size * count for size, count in reads)
    return read * 1e6 / device.flash_bytes_per_s
