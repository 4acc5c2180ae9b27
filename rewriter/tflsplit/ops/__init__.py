# SPDX-License-Identifier: Apache-2.0
"""Operators: factors, sharding rules and local pieces; one module per family.

Importing this package registers the rules of all families.
"""

from tflsplit.ops.factors import Factor, Kind, Piece
from tflsplit.ops.own import chain, chain_check, fused, fused_check, packed, unweighted
from tflsplit.ops.region import Box, Interval, is_partition
from tflsplit.ops.rule import (
    OpRule,
    cut_constant,
    graph_macs,
    known_ops,
    local_value,
    rule_of,
)
from tflsplit.ops.stock import (
    batch_matmul,
    concat,
    conv,
    depthwise,
    elementwise,
    fully_connected,
    pad,
    pooling,
    rearrange,
    reduce,
    reshape,
    resize,
    slices,
    softmax,
    state,
    transpose_conv,
)

__all__ = [
    "Box",
    "Factor",
    "Interval",
    "Kind",
    "OpRule",
    "Piece",
    "batch_matmul",
    "chain",
    "chain_check",
    "concat",
    "conv",
    "cut_constant",
    "depthwise",
    "elementwise",
    "fully_connected",
    "fused",
    "fused_check",
    "graph_macs",
    "is_partition",
    "known_ops",
    "local_value",
    "packed",
    "pad",
    "pooling",
    "rearrange",
    "reduce",
    "reshape",
    "resize",
    "rule_of",
    "slices",
    "softmax",
    "state",
    "transpose_conv",
    "unweighted",
]
