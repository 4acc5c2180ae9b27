# SPDX-License-Identifier: Apache-2.0
"""What ``partition`` makes one rank's device graph from, as a key: equal keys, equal graphs.

Of the graphs that a search asks for, more than half have been partitioned before: the same pieces
of the same nodes, where something else lies on other ranks.  The pieces tell, before any graph is
made.  What memory does not depend on is left out (``memories``): who is at the other end
of a message, by which channel, and what of a tensor goes there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tflsplit.ir import Graph, Value
from tflsplit.ops import Piece
from tflsplit.plan.layout import Layouts
from tflsplit.plan.shards import NodeShards
from tflsplit.plan.transfers import Assembly, Schedule, Transfer

Key = tuple[object, ...]


def rank_key(
    graph: Graph, layouts: Layouts, movements: Schedule, rank: int
) -> tuple[Key, list[Piece]]:
    """The key of a rank's device graph, and the pieces that it knows by their identity.

    Pieces are made once (``OpRule.piece``), and who keeps the key has to keep them, too.
    """
    pieces = [piece for shards in layouts.nodes for piece in _pieces(shards, rank)]
    steps: list[object] = []
    for position, shards in enumerate(layouts.nodes):
        steps += shards.node, shards.split.gather_tiles, shards.split.scatter_factor
        steps += _moved(shards, movements, position, rank)
    boxes = [(value, held[rank]) for value, held in layouts.held.items()]
    boxes += [(value, owned[rank]) for value, owned in layouts.owned.items()]
    given_back = [_is_given_back(layouts, value, rank) for value in graph.outputs]
    whole = graph.inputs, graph.outputs, *given_back
    return (*map(id, pieces), *steps, *boxes, *whole), pieces


def _pieces(shards: NodeShards, rank: int) -> Iterator[Piece]:
    for tile in shards.tiles:
        for _, pieces in tile.inside:
            yield pieces[rank]
        yield tile.pieces[rank]
        yield tile.shares[rank]


def _moved(shards: NodeShards, movements: Schedule, position: int, rank: int) -> Iterator[object]:
    """What the rank gives and gets for a node, by step."""
    for number, tile in enumerate(shards.tiles):
        for stage in range(len(tile.inside) + 1):
            step = position, number, stage
            yield from _given(movements.sends.get(step, ()), rank)
            yield from _got(movements.assemblies.get(step, ()), rank)
            yield stage
        if shards.is_reduction:
            tiles = position, number
            yield from _given(movements.partial_sends.get(tiles, ()), rank)
            yield from _got(movements.sums.get(tiles, ()), rank)


def _given(transfers: Sequence[Transfer], rank: int) -> Iterator[object]:
    return (transfer.value for transfer in transfers if transfer.source == rank)


def _got(assemblies: Sequence[Assembly], rank: int) -> Iterator[object]:
    for got in assemblies:
        if got.rank == rank:
            yield got.value, got.box, got.local, bool(got.pieces)


def _is_given_back(layouts: Layouts, value: Value, rank: int) -> bool:
    """Whether no rank before it gives back the same."""
    owned = layouts.owned.get(value)
    return owned is not None and not any(box.contains(owned[rank]) for box in owned[:rank])
