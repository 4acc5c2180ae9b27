# SPDX-License-Identifier: Apache-2.0
"""What users may ask of a split, in the words that they use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tflsplit.ir import Node
from tflsplit.ops import Factor, rule_of
from tflsplit.plan.spec import Way

_WAY_OF_FACTOR = {
    "rows": Way.ROWS,
    "columns": Way.COLUMNS,
    "out_channels": Way.OUT_CHANNELS,
    "groups": Way.OUT_CHANNELS,
    "channels": Way.CHANNELS,
    "in_channels": Way.IN_CHANNELS,
    "in_rows": Way.ROWS,
    "in_columns": Way.COLUMNS,
    "batch": Way.BATCH,
}
SPATIAL = (Way.ROWS, Way.COLUMNS, Way.BATCH)
"""What repeats a layer's weights: rows of a map or positions of a sequence, and their kin."""
CHANNEL_WAYS = (Way.OUT_CHANNELS, Way.CHANNELS, Way.IN_CHANNELS)
WITHOUT_SUMS = (Way.OUT_CHANNELS, Way.CHANNELS)

RUN_WAYS: dict[str, tuple[Way, ...]] = {
    "rows": SPATIAL,
    "columns": (Way.COLUMNS,),
    "grid": (Way.GRID,),
    "out_channels": WITHOUT_SUMS,
    "channels": CHANNEL_WAYS,
    "in_channels": (Way.IN_CHANNELS,),
}
"""What ``split=NAME`` asks of every weighted layer that can do it; others do what they can."""


@dataclass(frozen=True)
class Wishes:
    """What the user asks of the split.

    split: "auto" or a key of RUN_WAYS.
    layers: a way for single layers, by node name or number in execution order.
    shares: what each rank can do; fractions of the whole.
    fuse: blocks of expansion, depthwise convolution and projection become one operator.
    sums_limit_bytes: int32 partial sums larger than this are made and added up in row tiles.
    weights_limit: largest fraction of the model's weights on one device that rows may cause.
    """

    world_size: int
    split: str = "auto"
    layers: Mapping[str, Way] = field(default_factory=dict)
    shares: tuple[float, ...] = ()
    stock_kernels: bool = False
    weights_limit: float | None = None
    fuse: bool = False
    sums_limit_bytes: int | None = None


def way_of(factor: Factor) -> Way:
    """The name under which users know a factor."""
    return _WAY_OF_FACTOR.get(factor.name, Way.OTHER)


def is_weighted(node: Node) -> bool:
    """Whether a node multiplies its input with constants of its own (CONV_2D, ...)."""
    rule = rule_of(node)
    has_matrix = any(v.is_constant and len(v.shape) >= 2 for v in node.operands)
    return has_matrix and rule.macs(node) > 0


def is_product(node: Node) -> bool:
    """Whether a node multiplies computed tensors with each other (BATCH_MATMUL)."""
    return not is_weighted(node) and rule_of(node).macs(node) > 0


def weight_bytes(node: Node) -> int:
    """Bytes of a node's constants."""
    return sum(value.size_bytes for value in node.operands if value.is_constant)
