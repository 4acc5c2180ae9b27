# SPDX-License-Identifier: Apache-2.0
"""A unit's splits "in tiles": what needs the most memory is made a few rows at a time.

    fused blocks                     scratch in tiles of columns
    partial sums                     in tiles of rows; what makes the summands is streamed
    gathers by output channels       in tiles of rows; what makes the gathered map is streamed

Every tile costs operators, messages and halos, and the head of an arena is that of its worst unit:
so tiles are as large as they may be without making theirs the worst (``room_bytes``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from tflsplit.ir import Graph, Node, Value
from tflsplit.ops import Box, Piece
from tflsplit.ops.own.fused import block_parts
from tflsplit.plan.policy import MOST_TILES
from tflsplit.plan.shards import shard_node, tile_factor
from tflsplit.plan.spec import NodeSplit, Way

SCRATCH_LIMIT_BYTES = 4096
LEAST_ROOM_BYTES = 8192

Splits = tuple[NodeSplit, ...]
Owned = Mapping[Value, Sequence[Box]]


def room_bytes(units: Iterable[Graph], world_size: int) -> int:
    """What every device needs at least: its share of the largest maps on either side of a unit."""
    largest = max((ends_bytes(unit) for unit in units), default=0)
    return max(LEAST_ROOM_BYTES, largest // world_size)


def ends_bytes(unit: Graph) -> int:
    """What a unit reads and what it makes, which are in memory at the same time."""
    return sum(value.size_bytes for value in (*unit.inputs, *unit.outputs))


def in_tiles(graph: Graph, splits: Splits, owned: Owned, room: int) -> Splits:
    """The splits of a unit, tiled so that its head is about ``room`` bytes, if that can be.

    owned: how every tensor lies.
    """
    world_size = max(len(split.bounds) - 1 for split in splits)
    limit = max(LEAST_ROOM_BYTES // 2, room - ends_bytes(graph) // max(1, world_size))
    blocks = block_parts(graph)
    inside = {part for parts in blocks.values() for part in parts}
    made = dict(zip(graph.nodes, splits, strict=True))
    for node, split in made.items():
        if node not in inside:
            first = next((part for part in blocks.get(node, ()) if part is not None), node)
            made[node] = _tiled(node, split, _tile_bytes(node, split, first, owned), limit)
    for project, parts in blocks.items():
        made[project] = replace(made[project], scratch_limit_bytes=SCRATCH_LIMIT_BYTES)
        if made[project].tiles > 1:
            _stream(made, parts)
    return tuple(made.values())


def _tiled(node: Node, split: NodeSplit, size_bytes: int, limit_bytes: int) -> NodeSplit:
    """The split in the fewest tiles of rows that bring a size below a limit."""
    factor = tile_factor(node, split)
    if factor is None:
        return split
    tiles = min(factor.size, MOST_TILES, max(1, -(-size_bytes // limit_bytes)))
    if split.scatter_factor:
        return replace(split, sum_tiles=tiles)
    return replace(split, gather_tiles=tiles)


def _tile_bytes(node: Node, split: NodeSplit, first: Node, owned: Owned) -> int:
    """What a node would have in memory at once that tiles can make smaller.

    Of sums: they and what the first node of the block reads; of output channels: what is gathered.
    """
    if split.scatter_factor:
        return 4 * node.output.size + first.input(0).size_bytes
    if split.way is not Way.OUT_CHANNELS:
        return 0
    pieces = shard_node(node, split, len(split.bounds) - 1).pieces
    return max(_gathered_bytes(node, piece, rank, owned) for rank, piece in enumerate(pieces))


def _gathered_bytes(node: Node, piece: Piece, rank: int, owned: Owned) -> int:
    return sum(
        box.size * value.dtype.itemsize
        for value, box in zip(node.inputs, piece.operands, strict=True)
        if value is not None and value in owned and box is not None
        if not owned[value][rank].contains(box)
    )


def _stream(made: dict[Node, NodeSplit], parts: Sequence[Node | None]) -> None:
    """Stream the depthwise convolution of a block, and the expansion if that is cut alike."""
    for part in reversed([part for part in parts if part is not None]):
        if made[part].way not in (Way.CHANNELS, Way.OUT_CHANNELS):
            return
        made[part] = replace(made[part], streamed=True)
