# SPDX-License-Identifier: Apache-2.0
"""What a split makes of one node: each rank's piece, and what of it is done at a time."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import NamedTuple

from tflsplit.errors import PlanError
from tflsplit.ir import Node, Value
from tflsplit.ops import Box, Factor, Kind, Piece, rule_of
from tflsplit.ops.region import Interval
from tflsplit.ops.stock.concat import JOINED
from tflsplit.plan.spec import NodeSplit, Way, even_shares, proportional_bounds


@dataclass(frozen=True)
class NodeTile:
    """What of a node is done at one time: ``pieces`` and ``shares`` as of ``NodeShards``.

    inside: the streamed nodes that are run for it before, in order, with each rank's piece.
    """

    pieces: tuple[Piece, ...]
    shares: tuple[Piece, ...]
    inside: tuple[tuple[Node, tuple[Piece, ...]], ...] = ()


class TileRead(NamedTuple):
    """What a rank reads of a tensor for a tile.

    tile, stage: before which step of the node; in_tiles: it is gathered when its turn comes.
    """

    tile: int
    stage: int
    in_tiles: bool
    rank: int
    value: Value
    box: Box


@dataclass(frozen=True, eq=False)
class NodeShards:
    """One node over all ranks; compared by identity, since ``shard_node`` makes equal ones once.

    pieces: what each rank computes; of a reduction, the partial sums.
    shares: what each rank answers for: the pieces without recomputed halos; of a reduction, the
        part of the requantized result that it keeps.
    tiles: the same, for each tile in time; of most nodes there is one, of a streamed node none.
    """

    node: Node
    split: NodeSplit
    pieces: tuple[Piece, ...]
    shares: tuple[Piece, ...]
    tiles: tuple[NodeTile, ...]

    @property
    def is_reduction(self) -> bool:
        """Whether the pieces are partial sums."""
        return bool(self.split.scatter_factor)

    @cached_property
    def reads(self) -> tuple[tuple[int, Value, Box], ...]:
        """(rank, tensor, box) of what the pieces read of computed tensors."""
        return reads_of(self.node, self.pieces)

    @cached_property
    def tile_reads(self) -> tuple[TileRead, ...]:
        """What of each tile its streamed nodes read; the node itself too, if it gathers in tiles.

        Else all that the node reads, before its first tile.  What a tile makes itself is left out.
        """
        in_tiles = self.split.gather_tiles > 1
        made = {value for tile in self.tiles for node, _ in tile.inside for value in node.outputs}
        found: list[TileRead] = []
        for number, tile in enumerate(self.tiles):
            for stage, (node, pieces) in enumerate(tile.inside):
                found += [TileRead(number, stage, True, *r) for r in reads_of(node, pieces)]
            last = number, len(tile.inside), in_tiles
            if in_tiles:
                found += [TileRead(*last, *r) for r in reads_of(self.node, tile.pieces)]
            elif not number:
                found += [TileRead(*last, *r) for r in self.reads]
        return tuple(read for read in found if read.value not in made)

    @cached_property
    def values_read(self) -> tuple[Value, ...]:
        """The tensors of ``tile_reads``, in order."""
        return tuple(dict.fromkeys(read.value for read in self.tile_reads))

    @cached_property
    def owned_outputs(self) -> tuple[tuple[Box, ...], ...]:
        """By output and rank, ``owned``."""
        return tuple(zip(*(piece.results for piece in self.shares), strict=True))

    @cached_property
    def held_outputs(self) -> tuple[tuple[Box, ...], ...]:
        """By output and rank, ``held``."""
        pieces = self.shares if self.is_reduction else self.pieces
        return tuple(zip(*(piece.results for piece in pieces), strict=True))

    @cached_property
    def most_held_bytes(self) -> int:
        """Computed operands and results of the piece that has most of them."""
        return max(_held_bytes(self.node, piece) for piece in self.pieces)

    def macs(self, rank: int) -> int:
        """Multiply-accumulates of a rank, those of streamed nodes inside the tiles included."""
        return sum(
            tile.pieces[rank].macs + sum(pieces[rank].macs for _, pieces in tile.inside)
            for tile in self.tiles
        )

    def owned(self, rank: int) -> tuple[Box, ...]:
        """The boxes of the node's outputs that a rank answers for."""
        return self.shares[rank].results

    def held(self, rank: int) -> tuple[Box, ...]:
        """The boxes of the node's outputs that a rank has once the node has run."""
        return (self.shares if self.is_reduction else self.pieces)[rank].results


def reads_of(node: Node, pieces: Sequence[Piece]) -> tuple[tuple[int, Value, Box], ...]:
    """(rank, tensor, box) of what pieces of a node read; each device has constants and state."""
    computed = [(i, v) for i, v in enumerate(node.inputs) if v is not None and v.is_computed]
    return tuple(
        [
            (rank, value, box)
            for rank, piece in enumerate(pieces)
            for index, value in computed
            if (box := piece.operands[index]) is not None and not box.is_empty
        ]
    )


def _held_bytes(node: Node, piece: Piece) -> int:
    held = sum(b.size * v.dtype.itemsize for v, b in zip(node.outputs, piece.results, strict=True))
    for value, box in zip(node.inputs, piece.operands, strict=True):
        if value is not None and box is not None and not value.is_constant:
            held += box.size * value.dtype.itemsize
    return held


@lru_cache(maxsize=8192)
def shard_node(node: Node, split: NodeSplit, world_size: int) -> NodeShards:
    """The pieces of one node; PlanError if the split names a factor that the node has not.

    Remembered, because planning comes back to the same split of the same node many times.
    """
    if split.factor:
        _check_factor(node, split, world_size)
    everything = _tile(node, split, world_size, {})
    tiles = (everything,) if split.tiles == 1 else _tiles(node, split, world_size)
    return NodeShards(node, split, everything.pieces, everything.shares, tiles)


def _check_factor(node: Node, split: NodeSplit, world_size: int) -> None:
    sizes = {factor.name: factor.size for factor in rule_of(node).factors(node)}
    for name in split.factors:
        if name not in sizes:
            raise PlanError(
                f"{node.op} {node.name!r} cannot be split by {name!r}; it can be by: "
                f"{', '.join(sizes) or 'nothing (it runs whole)'}"
            )
    if not split.cross_factor:
        check_bounds(split.bounds, sizes[split.factor], world_size, node.name)
        return
    bands, columns = len(split.bounds) - 1, len(split.cross_bounds) - 1
    if bands * columns > world_size:
        raise PlanError(f"{node.name!r} has {bands} x {columns} cells for {world_size} devices")
    check_bounds(split.bounds, sizes[split.factor], bands, node.name)
    check_bounds(split.cross_bounds, sizes[split.cross_factor], columns, node.name)


def _tiles(node: Node, split: NodeSplit, world_size: int) -> tuple[NodeTile, ...]:
    factor = tile_factor(node, split)
    if factor is None and is_shared_out(node, split):
        return _tiles_of_shares(node, split, world_size)
    if factor is None:
        raise PlanError(f"{node.op} {node.name!r}, split so, cannot be run in tiles")
    return tuple(
        _tile(node, split, world_size, {factor.name: interval})
        for interval in split.tile_intervals(factor.size)
    )


def outermost_factor(node: Node, split: NodeSplit) -> Factor | None:
    """``tile_factor``, or the same dimension where it is what the split divides."""
    return tile_factor(node, split) or tile_factor(node, replace(split, factor="", cross_factor=""))


def is_shared_out(node: Node, split: NodeSplit) -> bool:
    """Whether what the ranks share out is the dimension that tiles are of."""
    outermost = tile_factor(node, replace(split, factor="", cross_factor=""))
    return bool(split.factor) and outermost is not None and outermost.name == split.factor


def _tiles_of_shares(node: Node, split: NodeSplit, world_size: int) -> tuple[NodeTile, ...]:
    """Where rows are what the ranks share out: each takes its own rows in so many tiles."""
    rule = rule_of(node)
    of_ranks = []
    for rank in range(world_size):
        spans = split.computed(rank)
        start, stop = spans[split.factor]
        cuts = proportional_bounds(stop - start, even_shares(split.tiles))
        of_ranks.append(
            [
                rule.piece(node, {**spans, split.factor: (start + a, start + b)})
                if a < b
                else empty_piece(node)
                for a, b in itertools.pairwise(cuts)
            ]
        )
    return tuple(NodeTile(pieces, pieces) for pieces in zip(*of_ranks, strict=True))


def _tile(node: Node, split: NodeSplit, world_size: int, tile: Mapping[str, Interval]) -> NodeTile:
    """What the ranks do of a node where the factors in ``tile`` run over these intervals only."""
    rule, nothing = rule_of(node), empty_piece(node)
    if not split.factor:
        piece = rule.piece(node, tile)
        takes_part = [split.way is Way.REPLICATED or r == split.rank for r in range(world_size)]
        pieces = tuple(piece if part else nothing for part in takes_part)
        return NodeTile(pieces, pieces)

    def of_ranks(spans: Callable[[int], Mapping[str, Interval]]) -> tuple[Piece, ...]:
        return tuple(rule.piece(node, {**spans(rank), **tile}) for rank in range(world_size))

    if split.scatter_factor:
        return NodeTile(of_ranks(split.share), of_ranks(split.scatter_interval))
    shares = of_ranks(split.share)
    return NodeTile(of_ranks(split.computed) if split.extents else shares, shares)


def tile_factor(node: Node, split: NodeSplit) -> Factor | None:
    """The dimension along which a node can be taken in tiles: the outermost of its results.

    That is rows of a map, pixels of a batch.  None where its steps do not make independent parts
    of every result, or are what the split divides among the ranks; or where nothing joins the
    tiles of a result again, as of a uint8 output.
    """
    if not all(value.dtype in JOINED for value in node.outputs):
        return None
    taken = *split.factors, split.scatter_factor
    outer = [next((d for d, n in enumerate(v.shape) if n > 1), None) for v in node.outputs]
    for factor in rule_of(node).factors(node):
        made = [factor.results.get(index, (None, 0))[0] for index in range(len(outer))]
        if factor.kind is Kind.PARALLEL and factor.name not in taken and made == outer:
            return factor if factor.size > 1 else None
    return None


def check_bounds(bounds: Sequence[int], size: int, world_size: int, name: str) -> None:
    """PlanError unless ``bounds`` cut ``[0, size)`` into ``world_size`` ascending pieces."""
    if (
        len(bounds) != world_size + 1
        or bounds[0] != 0
        or bounds[-1] != size
        or any(a > b for a, b in itertools.pairwise(bounds))
    ):
        raise PlanError(
            f"the bounds {list(bounds)} of {name!r} do not cut 0..{size} into {world_size} pieces"
        )


def empty_piece(node: Node) -> Piece:
    """The piece of a rank that has no part in a node."""
    return Piece(
        results=tuple(empty_box(value) for value in node.outputs),
        operands=tuple(None if value is None else empty_box(value) for value in node.inputs),
        pads=tuple(() if v is None else ((0, 0),) * len(v.shape) for v in node.inputs),
        macs=0,
    )


def empty_box(value: Value) -> Box:
    """Nothing of a tensor."""
    # A scalar has no empty box; a shape of one empty dimension marks it.
    return Box.empty(max(1, len(value.shape)))
