# SPDX-License-Identifier: Apache-2.0
"""Which kernels cost alike: the one place that knows."""

from __future__ import annotations

import math

from tflsplit.cluster import Family
from tflsplit.ir import DType, Node
from tflsplit.wire import custom_ops as wire

_FAMILIES: dict[str, Family] = {
    "CONV_2D": Family.CONV,
    "TRANSPOSE_CONV": Family.TFLM,
    wire.CONV_2D: Family.CONV,
    wire.PARTIAL_CONV_2D: Family.CONV,
    "DEPTHWISE_CONV_2D": Family.DEPTHWISE,
    wire.DEPTHWISE_CONV_2D: Family.DEPTHWISE,
    "FULLY_CONNECTED": Family.FULLY_CONNECTED,
    wire.PARTIAL_FULLY_CONNECTED: Family.FULLY_CONNECTED,
    "BATCH_MATMUL": Family.TFLM,
    "SVDF": Family.TFLM,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": Family.TFLM,
    "ADD": Family.ADD,
    "SUB": Family.ADD,
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
    wire.PARTIAL_SUM: Family.SUM,
    wire.REQUANTIZE: Family.REQUANTIZE,
}
"""An operator that is not here is OTHER."""

WEIGHTS = 1
"""Operand of every operator above that has weights, but TRANSPOSE_CONV: the same place."""

PER_MAC = (
    Family.CONV,
    Family.POINTWISE,
    Family.DEPTHWISE,
    Family.FULLY_CONNECTED,
)


def family_of(node: Node) -> Family:
    """The family of a node.

    A 1x1 convolution is POINTWISE; one of a single position reads every weight for one product, as
    FULLY_CONNECTED does; what has weights and is not int8 runs on TFLM's kernels.
    """
    family = _FAMILIES.get(node.op, Family.OTHER)
    if family in PER_MAC and node.input(0).dtype is not DType.INT8:
        return Family.TFLM
    if family is Family.CONV:
        if math.prod(node.output.shape[:-1]) == 1:
            return Family.FULLY_CONNECTED
        if node.input(WEIGHTS).shape[1:3] == (1, 1):
            return Family.POINTWISE
    return family
