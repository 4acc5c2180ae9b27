# SPDX-License-Identifier: Apache-2.0
"""Streams: nodes that are run inside the tiles of what reads them, so that their results never
stand in memory whole.  Where several read one, all run in the same tiles.

    before   x -- gather --> expand --> e -- depthwise --> d -- partial sums in tiles --> ...
             |               all rows   |                  |
    after    x -- rows 0:4 --> expand, depthwise --> partial sums of rows 0:3 --> ...
               -- rows 2:7 --> expand, depthwise --> partial sums of rows 3:6 --> ...

What a tile needs of a streamed node follows backwards from boxes, as a halo does; rows that two
tiles need are gathered and computed twice.  Where ranks read of a streamed tensor what others make
(a projection that is split by output channels), that is exchanged tile by tile too.  It is
patch-based inference (Lin et al., "MCUNetV2", 2021), in time and with every rank's own channels.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

from tflsplit.errors import PlanError
from tflsplit.ir import Graph, Node, Value
from tflsplit.ops import Box, Kind, Piece, rule_of
from tflsplit.ops.region import Interval
from tflsplit.ops.stock.state import has_state
from tflsplit.plan.shards import NodeShards, NodeTile, empty_piece, is_shared_out
from tflsplit.plan.spec import NodeSplit, Way

Needs = dict[Value, list[list[tuple[Box, ...]]]]
"""By reader of a streamed tensor: for each tile and rank, the box that it reads."""


def with_streams(graph: Graph, nodes: Sequence[NodeShards]) -> list[NodeShards]:
    """``nodes``, in the order of the graph, streamed ones inside the tiles of those they are for.

    Raises PlanError where a streamed node cannot be: its result is kept or read by several nodes,
    or it makes sums.
    """
    result = list(nodes)
    if not any(shards.split.streamed for shards in nodes):
        return result
    inside: dict[Node, list[NodeShards]] = {}
    needs: Needs = {}
    by_node = {shards.node: shards for shards in nodes}
    roots: dict[Node, Node] = {}
    readers = graph.consumers()
    for place in reversed(range(len(result))):
        shards = result[place]
        if not shards.split.streamed:
            roots[shards.node] = shards.node
            _add_needs(needs, shards.node, [tile.pieces for tile in shards.tiles])
            continue
        of_it = _readers(graph, readers, shards)
        (root, *others) = dict.fromkeys(roots[reader] for reader in of_it)
        if others:
            raise PlanError(
                f"{shards.node.name!r} cannot be streamed: its result is read in the tiles of "
                f"{root.name!r} and of {others[0].name!r}"
            )
        roots[shards.node] = root
        ways = {shards.split.way, *(by_node[reader].split.way for reader in of_it)}
        read = _together(needs[shards.node.output])
        pieces = _made_in_tiles(shards, read, ways == {Way.COLUMNS})
        inside.setdefault(root, []).insert(0, replace(shards, tiles=_as_tiles(pieces)))
        _add_needs(needs, shards.node, pieces)
        result[place] = replace(shards, tiles=())
    places = {shards.node: place for place, shards in enumerate(nodes)}
    for root, chain in inside.items():
        shards = result[places[root]]
        result[places[root]] = replace(shards, tiles=_with_inside(shards.tiles, chain))
    return result


def _as_tiles(pieces: Sequence[tuple[Piece, ...]]) -> tuple[NodeTile, ...]:
    return tuple(NodeTile(of_ranks, of_ranks) for of_ranks in pieces)


def _with_inside(tiles: Sequence[NodeTile], chain: Sequence[NodeShards]) -> tuple[NodeTile, ...]:
    return tuple(
        replace(tile, inside=tuple((each.node, each.tiles[number].pieces) for each in chain))
        for number, tile in enumerate(tiles)
    )


def _readers(
    graph: Graph, readers: Mapping[Value, Sequence[Node]], shards: NodeShards
) -> Sequence[Node]:
    """The nodes that read what a streamed node makes, at least one."""
    node = shards.node
    if shards.is_reduction or shards.split.tiles > 1:
        raise PlanError(f"{node.name!r} cannot be streamed: it has sums or tiles of its own")
    if has_state(node):
        raise PlanError(f"{node.name!r} cannot be streamed: it must run once in each inference")
    found = readers.get(node.outputs[0], ()) if len(node.outputs) == 1 else ()
    if not found or node.output in graph.outputs:
        raise PlanError(
            f"{node.name!r} cannot be streamed: no node reads its result, or the host, too"
        )
    return found


def _add_needs(needs: Needs, node: Node, pieces: Sequence[tuple[Piece, ...]]) -> None:
    """Note what a node reads; of an operand that it has twice, what both together read."""
    for value in dict.fromkeys(v for v in node.operands if v.is_computed):
        places = [index for index, operand in enumerate(node.inputs) if operand is value]
        nothing = Box.empty(max(1, len(value.shape)))
        read = [
            tuple(_hull([piece.operands[at] or nothing for at in places]) for piece in of_ranks)
            for of_ranks in pieces
        ]
        needs.setdefault(value, []).append(read)


def _together(needs: Sequence[Sequence[tuple[Box, ...]]]) -> list[tuple[Box, ...]]:
    """For each tile and rank, what all readers read."""
    return [
        tuple(_hull(of_rank) for of_rank in zip(*of_tile, strict=True))
        for of_tile in zip(*needs, strict=True)
    ]


def _made_in_tiles(
    shards: NodeShards, needs: Sequence[Sequence[Box]], by_columns: bool
) -> list[tuple[Piece, ...]]:
    """By tile, each rank's piece: its share, of the rows that anybody reads in the tile.

    Where the ranks share out rows, or columns of it and of what reads it (``by_columns``), what the
    rank itself reads in the tile.

    A stride may step over rows between tiles, and a SLICE leave out channels; they are computed all
    the same, so that all of a tensor is.
    """
    everything = Box.whole(shards.node.output.shape)
    if is_shared_out(shards.node, shards.split) or by_columns:
        return [_own_pieces(shards, boxes) for boxes in _without_gaps(needs, everything)]
    reached = [start for start, _ in everything.intervals]
    hulls = [_hull(boxes) for boxes in needs]
    read = {hull.intervals for hull in hulls if not hull.is_empty}
    along = [len(set(intervals)) > 1 for intervals in zip(*read, strict=True)]
    result = []
    for number, box in enumerate(hulls):
        if not box.is_empty:  # whole in dimensions in which all tiles read the same
            whole = zip(along, box.intervals, everything.intervals, strict=True)
            box = Box(tuple(some if moves else every for moves, some, every in whole))
        last = everything if number == len(needs) - 1 else box
        box = Box(
            tuple(
                (min(start, before), max(stop, end))
                for (start, stop), before, (_, end) in zip(
                    box.intervals, reached, last.intervals, strict=True
                )
            )
        )
        reached = [max(*pair) for pair in zip(reached, _stops(box), strict=True)]
        result.append(_pieces(shards.node, shards.split, len(shards.pieces), box))
    return result


def _own_pieces(shards: NodeShards, boxes: Sequence[Box]) -> tuple[Piece, ...]:
    """Each rank's piece of a tile is what it reads itself; halos are computed by both sides."""
    rule, node = rule_of(shards.node), shards.node
    nothing = empty_piece(node)
    return tuple(nothing if b.is_empty else rule.piece(node, _spans(node, b)) for b in boxes)


def _without_gaps(needs: Sequence[Sequence[Box]], everything: Box) -> list[list[Box]]:
    """The boxes of all tiles and ranks, those that end where nobody reads on to the next.

    In dimensions in which all read the same (of what a SLICE takes), everything.
    """
    read = [box.intervals for boxes in needs for box in boxes if not box.is_empty]
    longer = [
        _filled(set(intervals), every[1])
        for intervals, every in zip(zip(*read, strict=True), everything.intervals, strict=False)
    ]
    return [
        [
            box
            if box.is_empty
            else Box(tuple(to[part] for to, part in zip(longer, box.intervals, strict=True)))
            for box in boxes
        ]
        for boxes in needs
    ]


def _filled(read: Collection[Interval], size: int) -> dict[Interval, Interval]:
    """What intervals become so that nothing of 0:size is left out."""
    first = min(start for start, _ in read)
    starts = sorted({start for start, _ in read})

    def stop_of(stop: int) -> int:
        if any(start < stop < end or start == stop for start, end in read):
            return stop
        return next((start for start in starts if start > stop), size)

    return {(a, b): (0 if a == first else a, stop_of(b)) for a, b in read}


def _hull(boxes: Sequence[Box]) -> Box:
    hull = boxes[0]
    for box in boxes[1:]:
        hull = hull.hull(box)
    return hull


def _stops(box: Box) -> list[int]:
    return [stop for _, stop in box.intervals]


@lru_cache(maxsize=8192)
def _pieces(node: Node, split: NodeSplit, world_size: int, box: Box) -> tuple[Piece, ...]:
    """Each rank's piece of a streamed node of whose result ``box`` is needed."""
    rule, spans = rule_of(node), _spans(node, box)
    if split.factor:
        return tuple(rule.piece(node, {**spans, **split.share(rank)}) for rank in range(world_size))
    piece, nothing = rule.piece(node, spans), empty_piece(node)
    everywhere = split.way is Way.REPLICATED
    return tuple(piece if everywhere or r == split.rank else nothing for r in range(world_size))


def _spans(node: Node, box: Box) -> dict[str, Interval]:
    """The interval of every factor that makes a dimension of the result."""
    spans: dict[str, Interval] = {}
    for factor in rule_of(node).factors(node):
        if factor.kind is Kind.PARALLEL and 0 in factor.results:
            dim, scale = factor.results[0]
            start, stop = box.intervals[dim]
            spans[factor.name] = start // scale, -(-stop // scale)
    return spans
