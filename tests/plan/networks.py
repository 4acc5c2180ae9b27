# SPDX-License-Identifier: Apache-2.0
"""Networks small enough to work out by hand what a plan must do with them."""

from __future__ import annotations

from collections.abc import Sequence

from models.builder import NONE
from models.layers import LayerBuilder
from tflsplit.ir import Graph, Node
from tflsplit.ops import Box
from tflsplit.plan.spec import NodeSplit, Plan, Way, even_shares


def two_convolutions(kernel: tuple[int, int] = (3, 3)) -> Graph:
    """int8[1, 8, 4, 3] -- conv 3x3, 6 channels -- conv ``kernel``, 4 channels."""
    net = LayerBuilder("two", 1, images=2)
    x = net.conv(net.input((8, 4, 3)), 6)
    return net.finish(net.conv(x, 4, kernel))


def expansion(residual: bool = False, wide: int = 24) -> Graph:
    """int8[1, 8, 4, 4] -- 1x1 to 4 -- 1x1 to ``wide`` -- depthwise 3x3 -- 1x1 to 4 (-- ADD)."""
    net = LayerBuilder("expansion", 2, images=2)
    x = net.conv(net.input((8, 4, 4)), 4, (1, 1))
    inner = net.depthwise(net.conv(x, wide, (1, 1)))
    inner = net.conv(inner, 4, (1, 1), activation=NONE)
    return net.finish(net.add(inner, x) if residual else inner)


def rows(node: Node, *bounds: int) -> NodeSplit:
    return NodeSplit(node.name, Way.ROWS, "rows", bounds)


def out_channels(node: Node, *bounds: int) -> NodeSplit:
    return NodeSplit(node.name, Way.OUT_CHANNELS, "out_channels", bounds)


def in_channels(node: Node, bounds: Sequence[int], kept: Sequence[int]) -> NodeSplit:
    return NodeSplit(
        node.name,
        Way.IN_CHANNELS,
        "in_channels",
        tuple(bounds),
        scatter_factor="out_channels",
        scatter_bounds=tuple(kept),
    )


def whole(node: Node, rank: int) -> NodeSplit:
    return NodeSplit(node.name, Way.WHOLE, rank=rank)


def replicated(node: Node) -> NodeSplit:
    return NodeSplit(node.name, Way.REPLICATED)


def plan_of(world_size: int, *splits: NodeSplit) -> Plan:
    return Plan(world_size, splits, even_shares(world_size))


def box(*bounds: int) -> Box:
    """A box from ``start0, stop0, start1, stop1, ...``."""
    return Box.from_flat(bounds)
