# SPDX-License-Identifier: Apache-2.0
"""A plan whose inputs the host keeps: what first reads them does so in tiles of rows.

before   image -- all of it --> QUANTIZE --> block 1 ------------> map
after    host -- rows 0:35 --> QUANTIZE --> block 1, rows 0:16 --.
         host -- rows 29:67 -> QUANTIZE --> block 1, rows 16:32 -+--> map
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import accumulate, pairwise

from tflsplit.ir import Graph, Node, Value
from tflsplit.memory.buffers import ALIGNMENT_BYTES
from tflsplit.ops.own.fused import block_parts
from tflsplit.plan.shards import tile_factor
from tflsplit.plan.spec import NodeSplit, Plan, Way, without_extents

_DEEPEST = 9
"""Layers from the input on that tiles may reach: QUANTIZE, PAD and a block, or two in one."""
_MAP_DIMS = 4
_HALO_COLUMNS = 1.25  # times as much is read as the result has of it: halos, on most devices
_WAYS = {Way.ROWS, Way.COLUMNS, Way.WHOLE, Way.REPLICATED}


def in_tiles(graph: Graph, plan: Plan, tiles: int) -> Plan:
    """The plan with all inputs streamed, the first layers behind each of them in tiles."""
    splits = plan.by_node()
    if tiles > 1:
        for value in graph.inputs:
            chain = _chain(graph, value, splits)
            for node in chain[:-1]:
                splits[node.name] = replace(without_extents(splits[node.name]), streamed=True)
            if chain:
                name = chain[-1].name
                split = replace(splits[name], gather_tiles=tiles)
                bounds = tile_bounds(chain[-1], split, value)
                splits[name] = replace(split, tile_bounds=bounds)
    return replace(plan, splits=tuple(splits.values()), stream=True)


def tile_bounds(node: Node, split: NodeSplit, read: Value) -> tuple[int, ...]:
    """Where the tiles of a node begin, and the last ends, so that its device needs the least.

    The rows made before a tile stay, those of the input that it reads go: later tiles are smaller.
    They begin at multiples of 16 bytes, so that they can be made where the whole result lies.
    read: the input of which the tiles are made.  () where tiles are best even.
    """
    factor = tile_factor(node, split)
    if factor is None or len(node.output.shape) != _MAP_DIMS or node.output.shape[0] != 1:
        return ()
    rows, grain = factor.size, _grain(node, split)
    if node.output.shape[1] != rows or (split.tiles + 1) * grain > rows:
        return ()
    made, needs = node.output.size_bytes / rows, _HALO_COLUMNS * read.size_bytes / rows
    most = next(
        (
            rows_read
            for rows_read in range(grain, rows + grain, grain)
            if sum(_sizes(rows_read, made / needs, rows, split.tiles, grain)) >= rows
        ),
        None,
    )
    if most is None:
        return ()
    return (0, *accumulate(_sizes(most, made / needs, rows, split.tiles, grain)))


def _grain(node: Node, split: NodeSplit) -> int:
    """How many rows of the result are a multiple of 16 bytes, on every device that makes some."""
    _, rows, columns, channels = node.output.shape
    made = [b - a for a, b in split.extents or pairwise(split.bounds)] or [columns]
    row_bytes = math.gcd(*(count * channels * node.output.dtype.itemsize for count in made))
    return min(rows, ALIGNMENT_BYTES // math.gcd(row_bytes, ALIGNMENT_BYTES))


def _sizes(most: int, share: float, rows: int, tiles: int, grain: int) -> list[int]:
    """Rows of tiles, the first ``most``, the others what is left beside those made before.

    share: what a row takes of what is read for it.
    """
    sizes, made = [], 0
    for after in reversed(range(tiles)):
        size = max(grain, int(most - share * made) // grain * grain)
        left = rows - made - after * grain
        sizes.append(min(size, left // grain * grain if after else left))
        made += sizes[-1]
    return sizes


def _chain(graph: Graph, value: Value, splits: dict[str, NodeSplit]) -> list[Node]:
    """The layers from an input to the end of the first block, each read by the next one only.

    Of the first two, if the second runs the first (``NodeSplit.chained``).  To the first layer with
    weights, if no block ends within reach; [] if that is divided by channels, or not the only one
    that reads.
    """
    blocks = block_parts(graph)
    chain: list[Node] = []
    for node in _read_alone(graph, value):
        ways = {splits[each.name].way for each in (*chain, node)}
        if len(ways) > 1 or not ways <= _WAYS or splits[node.name].tiles > 1:
            break
        chain.append(node)
        if node in blocks and not splits[node.name].chained:
            return chain
    weighted = (
        index for index, node in enumerate(chain, 1) if any(v.is_constant for v in node.operands)
    )
    return chain[: next(weighted, 0)]


def _read_alone(graph: Graph, value: Value) -> Iterator[Node]:
    """The only node that reads a tensor, the only one that reads its result, and so on."""
    for _ in range(_DEEPEST):
        readers = [node for node in graph.nodes if value in node.operands]
        if len(readers) != 1 or len(readers[0].outputs) != 1 or value in graph.outputs:
            return
        yield readers[0]
        value = readers[0].output
