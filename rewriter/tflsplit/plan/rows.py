# SPDX-License-Identifier: Apache-2.0
"""Which layers are split by rows: the largest maps, until weights would be repeated too often."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tflsplit.ir import Graph, Node
from tflsplit.ops import rule_of
from tflsplit.ops.own.fused import block_parts
from tflsplit.plan.spec import Way, active_count
from tflsplit.plan.wishes import SPATIAL, Wishes, is_weighted, way_of, weight_bytes


def row_layers(graph: Graph, wishes: Wishes, shares: Sequence[float]) -> frozenset[str]:
    """Names of the nodes to split by rows (or columns).

    Rows repeat a layer's weights on every device, channels divide them.  Units (single layers, or
    the blocks that are to be fused) get rows in the order of their map size, while the weights of
    the device with the largest share stay within the limit.
    """
    weighted = [node for node in graph.nodes if is_weighted(node)]
    total = sum(map(weight_bytes, weighted))
    largest = max(shares)
    limit = wishes.weights_limit
    budget = (max(0.24, 1.25 * largest) if limit is None else limit) * total
    chosen: set[str] = set()
    repeated = 0
    for unit in sorted(units(graph, weighted, wishes.fuse), key=_map_size, reverse=True):
        if not all(spatial_way(node, shares) for node in unit):
            continue
        with_unit = repeated + sum(map(weight_bytes, unit))
        if with_unit + largest * (total - with_unit) > budget:
            break
        repeated = with_unit
        chosen.update(node.name for node in unit)
    return frozenset(chosen)


def units(graph: Graph, weighted: Sequence[Node], fuse: bool) -> list[list[Node]]:
    """The layers that are decided together, in execution order of their last nodes."""
    blocks = block_parts(graph) if fuse else {}
    inside = {part for parts in blocks.values() for part in parts}
    return [
        [*(part for part in blocks.get(node, ()) if part is not None), node]
        for node in weighted
        if node not in inside
    ]


def spatial_way(node: Node, shares: Sequence[float]) -> Way | None:
    """Rows if they give at least half of the devices that take part a step, else columns, or the
    batch; None if nothing does.

    With fewer, rows would leave most devices idle; asking for all would push layers to channels,
    which move whole maps, as soon as there is one device too many.
    """
    active = active_count(shares)
    sizes = {way_of(factor): factor.size for factor in rule_of(node).factors(node)}
    return next((way for way in SPATIAL if 2 * sizes.get(way, 0) >= active), None)


def _map_size(unit: Sequence[Node]) -> int:
    """Positions of a unit's output: rows times columns of a map, the steps of a sequence."""
    return math.prod(unit[-1].outputs[0].shape[1:-1])


def rows_of(shape: Sequence[int]) -> int:
    """Rows of a map, positions of a sequence; 0 of what has neither."""
    return shape[1] if len(shape) in (3, 4) else 0
