# SPDX-License-Identifier: Apache-2.0
"""What a plan means for every tensor: who makes which box, and who reads which box."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from tflsplit.errors import PlanError
from tflsplit.ir import Graph, Node, Value
from tflsplit.ops import Box, Factor, Kind, Piece, rule_of
from tflsplit.ops.region import Interval
from tflsplit.plan.spec import NodeSplit, Plan, Way


@dataclass(frozen=True)
class NodeTile:
    """What of a node is done at one time: ``pieces`` and ``shares`` as of ``NodeShards``."""

    pieces: tuple[Piece, ...]
    shares: tuple[Piece, ...]


@dataclass(frozen=True)
class NodeShards:
    """One node over all ranks.

    pieces: what each rank computes; of a reduction, the partial sums.
    shares: what each rank answers for: the pieces without recomputed halos; of a reduction, the
        part of the requantized result that it keeps.
    tiles: the same, for each tile in time; of most nodes there is one.
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

    @property
    def gathered(self) -> tuple[NodeTile, ...]:
        """Tiles before each of which the ranks gather what they read in it."""
        if self.split.gather_tiles > 1:
            return self.tiles
        return (NodeTile(self.pieces, self.shares),)

    def owned(self, rank: int) -> tuple[Box, ...]:
        """The boxes of the node's outputs that a rank answers for."""
        return self.shares[rank].results

    def held(self, rank: int) -> tuple[Box, ...]:
        """The boxes of the node's outputs that a rank has once the node has run."""
        return (self.shares if self.is_reduction else self.pieces)[rank].results


@dataclass(frozen=True)
class Layouts:
    """Everything that follows from a plan before a byte is moved.

    nodes: in execution order.
    owned: for each computed tensor, the box that each rank answers for; either the boxes partition
        the tensor, or every rank holds all of it (replicated), or (model inputs) they overlap.
    held: the box that each rank has without asking others: ``owned``, and recomputed halos.
    reads: for each tensor and rank, (step, box) for every piece that reads it.
    """

    world_size: int
    nodes: tuple[NodeShards, ...]
    owned: dict[Value, tuple[Box, ...]] = field(default_factory=dict)
    held: dict[Value, tuple[Box, ...]] = field(default_factory=dict)
    reads: dict[Value, tuple[list[Read], ...]] = field(default_factory=dict)


Step = tuple[int, int]
"""Position of a node, and number of its tile."""


class Read(NamedTuple):
    """What a rank reads of a tensor in a step.

    in_tiles: it is one of several tiles, gathered when its turn comes.
    """

    step: Step
    box: Box
    in_tiles: bool = False


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
    factors = rule_of(node).factors(node)
    factor = next((f for f in factors if f.name == split.factor), None)
    if factor is None:
        raise PlanError(
            f"{node.op} {node.name!r} cannot be split by {split.factor!r}; it can be by: "
            f"{', '.join(f.name for f in factors) or 'nothing (it runs whole)'}"
        )
    check_bounds(split.bounds, factor.size, world_size, node.name)


def _tiles(node: Node, split: NodeSplit, world_size: int) -> tuple[NodeTile, ...]:
    factor = tile_factor(node, split)
    if factor is None:
        raise PlanError(f"{node.op} {node.name!r}, split so, cannot be run in tiles")
    return tuple(
        _tile(node, split, world_size, {factor.name: interval})
        for interval in split.tile_intervals(factor.size)
    )


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
    of every result, or are what the split divides among the ranks.
    """
    taken = split.factor, split.scatter_factor
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
        results=tuple(_nothing(value) for value in node.outputs),
        operands=tuple(None if value is None else _nothing(value) for value in node.inputs),
        pads=tuple(() if v is None else ((0, 0),) * len(v.shape) for v in node.inputs),
        macs=0,
    )


def _nothing(value: Value) -> Box:
    # A scalar has no empty box; a shape of one empty dimension marks it.
    return Box.empty(max(1, len(value.shape)))


def lay_out(
    graph: Graph, plan: Plan, given: Mapping[Value, tuple[Box, ...]] | None = None
) -> Layouts:
    """Pieces of every node and layouts of every tensor; PlanError if the plan does not fit.

    given: how inputs of the graph lie that do not come from the host, which can send any part to
        anyone (for a part of a model).
    """
    splits = plan.by_node()
    missing = [node.name for node in graph.nodes if node.name not in splits]
    if missing:
        raise PlanError(f"the plan says nothing of {missing[0]!r}; is it for another model?")
    nodes = tuple(shard_node(node, splits[node.name], plan.world_size) for node in graph.nodes)
    layouts = Layouts(plan.world_size, nodes)
    for position, shards in enumerate(nodes):
        _note_reads(layouts, position, shards)
        for index, value in enumerate(shards.node.outputs):
            ranks = range(plan.world_size)
            layouts.owned[value] = tuple(shards.owned(rank)[index] for rank in ranks)
            layouts.held[value] = tuple(shards.held(rank)[index] for rank in ranks)
    for value in graph.inputs:
        if given and value in given:
            layouts.owned[value] = layouts.held[value] = given[value]
            continue
        layouts.owned[value] = layouts.held[value] = tuple(
            _input_box(value, layouts.reads.get(value, ((),) * plan.world_size)[rank])
            for rank in range(plan.world_size)
        )
        if value in graph.outputs:  # one rank gives it back whole, whatever the others read
            layouts.owned[value] = layouts.held[value] = (
                Box.whole(value.shape),
                *layouts.owned[value][1:],
            )
    return layouts


def _note_reads(layouts: Layouts, position: int, shards: NodeShards) -> None:
    in_tiles = shards.split.gather_tiles > 1
    for number, tile in enumerate(shards.gathered):
        for rank, piece in enumerate(tile.pieces):
            for value, box in zip(shards.node.inputs, piece.operands, strict=True):
                if value is None or value.is_constant or box is None or box.is_empty:
                    continue
                if value not in layouts.reads:
                    layouts.reads[value] = tuple([] for _ in range(layouts.world_size))
                layouts.reads[value][rank].append(Read((position, number), box, in_tiles))


def _input_box(value: Value, reads: Iterable[Read]) -> Box:
    """The part of a model input that the host sends to a rank: around all that it reads."""
    box = _nothing(value)
    for read in reads:
        box = box.hull(read.box)
    return box
