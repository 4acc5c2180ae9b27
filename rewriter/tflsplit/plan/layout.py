# SPDX-License-Identifier: Apache-2.0
"""What a plan means for every tensor: who makes which box, and who reads which box."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from tflsplit.errors import PlanError
from tflsplit.ir import Graph, Value
from tflsplit.ops import Box
from tflsplit.plan.shards import NodeShards, empty_box, shard_node
from tflsplit.plan.spec import Plan
from tflsplit.plan.streams import with_streams


@dataclass(frozen=True)
class Layouts:
    """Everything that follows from a plan before a byte is moved.

    nodes: in execution order.
    owned: for each computed tensor, the box that each rank answers for; either the boxes partition
        the tensor, or every rank holds all of it (replicated), or (model inputs) they overlap.
    held: the box that each rank has without asking others: ``owned``, and recomputed halos.
    streamed: for each tensor that is made inside the tiles of another node, and each rank, the
        boxes of it in order; nothing of it is held.
    readers: for each tensor the nodes that read it, with their positions.
    hosted: inputs that the host keeps, and sends box by box where they are read.
    """

    world_size: int
    nodes: tuple[NodeShards, ...]
    owned: dict[Value, tuple[Box, ...]] = field(default_factory=dict)
    held: dict[Value, tuple[Box, ...]] = field(default_factory=dict)
    streamed: dict[Value, tuple[list[Box], ...]] = field(default_factory=dict)
    readers: dict[Value, list[Reader]] = field(default_factory=dict)
    hosted: set[Value] = field(default_factory=set)

    @property
    def reads(self) -> dict[Value, tuple[list[Read], ...]]:
        """For each tensor and rank, (step, box) for every piece that reads it."""
        return {
            value: reads_by_rank(value, tuple(readers), self.world_size)
            for value, readers in self.readers.items()
        }


Reader = tuple[int, NodeShards]
"""A node by its position."""

Step = tuple[int, int, int]
"""Position of a node, number of its tile, and of the streamed nodes inside that one before which
it is (their number: before the node itself)."""


class Read(NamedTuple):
    """What a rank reads of a tensor in a step.

    in_tiles: it is one of several tiles, gathered when its turn comes.
    """

    step: Step
    box: Box
    in_tiles: bool = False


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
    nodes = [shard_node(node, splits[node.name], plan.world_size) for node in graph.nodes]
    nodes = with_streams(graph, nodes)
    layouts = Layouts(plan.world_size, tuple(nodes))
    for position, shards in enumerate(nodes):
        for value in shards.values_read:
            layouts.readers.setdefault(value, []).append((position, shards))
        _note_streamed(layouts, shards)
        layouts.owned.update(zip(shards.node.outputs, shards.owned_outputs, strict=True))
        layouts.held.update(zip(shards.node.outputs, shards.held_outputs, strict=True))
    for value in graph.inputs:
        if given and value in given:
            layouts.owned[value] = layouts.held[value] = given[value]
            continue
        if plan.stream and value not in graph.outputs:
            layouts.hosted.add(value)
            nothing = (empty_box(value),) * plan.world_size
            layouts.owned[value] = layouts.held[value] = nothing
            continue
        reads = reads_by_rank(value, tuple(layouts.readers.get(value, ())), plan.world_size)
        layouts.owned[value] = layouts.held[value] = tuple(_input_box(value, r) for r in reads)
        if value in graph.outputs:  # one rank gives it back whole, whatever the others read
            layouts.owned[value] = layouts.held[value] = (
                Box.whole(value.shape),
                *layouts.owned[value][1:],
            )
    return layouts


def _note_streamed(layouts: Layouts, shards: NodeShards) -> None:
    for tile in shards.tiles:
        for node, pieces in tile.inside:
            if node.output not in layouts.streamed:
                layouts.streamed[node.output] = tuple([] for _ in pieces)
            for rank, piece in enumerate(pieces):
                if not piece.is_empty:
                    layouts.streamed[node.output][rank].append(piece.results[0])


@lru_cache(maxsize=2048)
def reads_by_rank(
    value: Value, readers: tuple[Reader, ...], world_size: int
) -> tuple[list[Read], ...]:
    """What each rank reads of a tensor, in order; remembered, since plans have most in common."""
    by_rank: tuple[list[Read], ...] = tuple([] for _ in range(world_size))
    for position, shards in readers:
        for read in shards.tile_reads:
            if read.value is value:
                step = position, read.tile, read.stage
                by_rank[read.rank].append(Read(step, read.box, read.in_tiles))
    return by_rank


def _input_box(value: Value, reads: Iterable[Read]) -> Box:
    """The part of a model input that the host sends to a rank: around all that it reads."""
    box = empty_box(value)
    for read in reads:
        box = box.hull(read.box)
    return box
