# SPDX-License-Identifier: Apache-2.0
"""What a node does, in the units that a device's cycles are given for."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tflsplit.cluster import Family
from tflsplit.ir import Node
from tflsplit.ops import rule_of
from tflsplit.ops.fused import unfused
from tflsplit.ops.packed import unpacked
from tflsplit.wire import custom_ops as wire

_FAMILIES: dict[str, Family] = {
    "CONV_2D": Family.CONV,
    "TRANSPOSE_CONV": Family.CONV,
    wire.CONV_2D: Family.CONV,
    wire.PARTIAL_CONV_2D: Family.CONV,
    "DEPTHWISE_CONV_2D": Family.DEPTHWISE,
    wire.DEPTHWISE_CONV_2D: Family.DEPTHWISE,
    "FULLY_CONNECTED": Family.FULLY_CONNECTED,
    wire.PARTIAL_FULLY_CONNECTED: Family.FULLY_CONNECTED,
    "BATCH_MATMUL": Family.FULLY_CONNECTED,
    "SVDF": Family.FULLY_CONNECTED,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": Family.FULLY_CONNECTED,
    "CONCATENATION": Family.COPY,
    "EXPAND_DIMS": Family.COPY,
    "GATHER": Family.COPY,
    "MIRROR_PAD": Family.COPY,
    "PACK": Family.COPY,
    "PAD": Family.COPY,
    "PADV2": Family.COPY,
    "RESHAPE": Family.COPY,
    "RESIZE_NEAREST_NEIGHBOR": Family.COPY,
    "SLICE": Family.COPY,
    "SPLIT": Family.COPY,
    "SPLIT_V": Family.COPY,
    "SQUEEZE": Family.COPY,
    "STRIDED_SLICE": Family.COPY,
    "TRANSPOSE": Family.COPY,
    "UNPACK": Family.COPY,
    wire.RECV: Family.COPY,
}
"""The one place that knows which kernels cost alike; an operator that is not here is OTHER."""

_WEIGHTS = 1  # operand of every operator above that has weights, but TRANSPOSE_CONV: the same place


@dataclass(frozen=True)
class Work:
    """So much of one family.

    amount: multiply-accumulates; of OTHER and COPY, bytes.
    """

    family: Family
    amount: float


def family_of(node: Node) -> Family:
    """The family of a node; a convolution of one position is POINTWISE."""
    family = _FAMILIES.get(node.op, Family.OTHER)
    if family is Family.CONV and node.input(_WEIGHTS).shape[1:3] == (1, 1):
        return Family.POINTWISE
    return family


def piece_work(node: Node, macs: int, output_bytes: int) -> Work:
    """The work of a piece of ``node`` with so many multiply-accumulates and bytes of results.

    An operator without multiply-accumulates is counted by what it makes or by what it reads,
    whichever is more: MEAN reads 49 values for each that it makes.
    """
    family = family_of(node)
    if family in (Family.OTHER, Family.COPY):
        return Work(family, output_bytes * _reads_per_result(node))
    return Work(family, macs)


def work_of(node: Node) -> tuple[Work, ...]:
    """All the work of a node of a device graph, stock or ours; () of a SEND, which only posts."""
    if node.op == wire.SEND or not node.outputs:
        return ()
    node = unpacked(node, sizes_only=True)
    if node.op == wire.FUSED_BLOCK:
        return tuple(work for stage in unfused(node) for work in work_of(stage))
    output_bytes = sum(value.size_bytes for value in node.outputs)
    return (piece_work(node, _macs(node), output_bytes),)


def _macs(node: Node) -> int:
    if not node.is_custom:
        return rule_of(node).macs(node)
    if family_of(node) in (Family.OTHER, Family.COPY):
        return 0
    weights = node.input(_WEIGHTS).shape
    # OHWI and [O, I]: all but the first dimension for each result; depthwise [1, h, w, O].
    each = weights[1:3] if family_of(node) is Family.DEPTHWISE else weights[1:]
    return node.output.size * math.prod(each)


def _reads_per_result(node: Node) -> float:
    if node.op == wire.RECV or not node.outputs:
        return 1.0
    made = sum(value.size for value in node.outputs)
    read = max((v.size for v in node.operands if v.is_computed), default=0)
    return max(1.0, read / made) if made and family_of(node) is Family.OTHER else 1.0
