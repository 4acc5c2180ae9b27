# SPDX-License-Identifier: Apache-2.0
"""Resharding: the only place where bytes move.

Every change of layout is the same computation.  Rank r needs box B of a tensor whose shards
S_0 ... S_{n-1} lie on the ranks; what it lacks is B ∩ S_k from each other rank k:

    all_gather        rows -> all rows            each rank gets every other shard
    halo exchange     rows -> rows + neighbours'  each rank gets thin boxes of two shards
    broadcast, gather whole on one rank -> many / many -> whole on one rank
    reduce_scatter    partial sums -> channels    each rank gets its box of every partial

so the bytes are the fewest that the two layouts allow.  All that a rank gives of one tensor before
one node is one SEND: equal boxes are a multicast, different ones a scatter.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tflsplit.ir import Node, Value
from tflsplit.ops import Box, Piece, rule_of
from tflsplit.plan.layout import Layouts, Read, Reader, Step, reads_by_rank
from tflsplit.plan.shards import NodeTile


@dataclass(frozen=True)
class Transfer:
    """One SEND: ``boxes[i]`` of ``value``, from ``source`` to ``to[i]``.

    position: the node before which it is posted (after which, for partial sums).
    """

    channel: int
    position: int
    value: Value
    source: int
    to: tuple[int, ...]
    boxes: tuple[Box, ...]
    itemsize: int

    @property
    def payload_bytes(self) -> int:
        """Bytes that all destinations together receive."""
        return sum(box.size for box in self.boxes) * self.itemsize


@dataclass(frozen=True)
class Assembly:
    """One RECV on one rank: ``box`` of ``value`` put together before the node at ``position``.

    local: what the rank holds of it itself (empty if nothing).
    pieces: (channel, source, box) for the rest.
    """

    position: int
    value: Value
    rank: int
    box: Box
    local: Box
    pieces: tuple[tuple[int, int, Box], ...]


Tile = tuple[int, int]
"""Position of a reduction, and number of its tile."""


@dataclass(frozen=True)
class Schedule:
    """All movements of a plan, by the step that they belong to.

    ``sends`` and ``assemblies`` stand before what a node does in a tile (before its first if it
    gathers all at once); ``partial_sends`` and ``sums``, by (position, tile), between a
    reduction's partial sums and their requantization.
    """

    sends: dict[Step, list[Transfer]] = field(default_factory=lambda: defaultdict(list))
    assemblies: dict[Step, list[Assembly]] = field(default_factory=lambda: defaultdict(list))
    partial_sends: dict[Tile, list[Transfer]] = field(default_factory=lambda: defaultdict(list))
    sums: dict[Tile, list[Assembly]] = field(default_factory=lambda: defaultdict(list))

    def transfers(self) -> Iterator[Transfer]:
        """Every transfer, in no particular order."""
        for transfers in (*self.sends.values(), *self.partial_sends.values()):
            yield from transfers


def gather_groups(reads: list[Read], held: Box) -> list[tuple[Step, Box]]:
    """(first step, box) of the boxes that a rank must assemble, given what it holds.

    Reads of the same or overlapping boxes share one assembly when their hull holds nothing that
    neither of them asked for; a read inside what the rank holds anyway needs none.  What is read
    in tiles is assembled for each tile alone, and gone after it, unless it is there already.
    """
    lacking = [read for read in reads if not held.contains(read.box)]
    if not lacking:
        return []
    groups: list[tuple[Step, Box]] = []
    for step, box, _ in (read for read in lacking if not read.in_tiles):
        for index, (first, other) in enumerate(groups):
            hull = other.hull(box)
            if hull.size <= other.size + box.size - other.intersect(box).size:
                groups[index] = first, hull
                break
        else:
            groups.append((step, box))
    tiles: list[tuple[Step, Box]] = []
    for step, box, _ in (read for read in lacking if read.in_tiles):
        of_node = (tile for tile in tiles if tile[0][0] == step[0])
        there = itertools.chain((group for group in groups if group[0] <= step), of_node)
        if not any(other.contains(box) for _, other in there):
            tiles.append((step, box))
    return groups + tiles


def schedule(layouts: Layouts) -> Schedule:
    """Every SEND and RECV that the layouts call for.

    Channels are numbered in the order of the steps that need the data, so that on every link
    the order of sending is the order of receiving.
    """
    result = Schedule()
    wanted: dict[Step, list[tuple[Value, int, Box]]] = defaultdict(list)
    for value, readers in layouts.readers.items():
        for step, rank, box in _gathered(value, tuple(readers), layouts.held[value]):
            wanted[step].append((value, rank, box))
    channels = iter(range(1 << 30))
    for position, shards in enumerate(layouts.nodes):
        for number, tile in enumerate(shards.tiles):
            made: dict[Value, list[Box]] = {}
            for stage, (node, pieces) in enumerate((*tile.inside, (shards.node, tile.pieces))):
                step = position, number, stage
                lacking = wanted[step] + _lacking(node, pieces, made)
                for value, needs in _rounds(lacking):
                    owned = made.get(value) or _owners(layouts, value)
                    _exchange(result, owned, step, value, needs, channels)
                for index, value in enumerate(node.outputs):
                    made[value] = [piece.results[index] for piece in pieces]
            if shards.is_reduction:
                _reduce_scatter(result, (position, number), shards.node, tile, channels)
    return result


@lru_cache(maxsize=2048)
def _gathered(
    value: Value, readers: tuple[Reader, ...], held: tuple[Box, ...]
) -> tuple[tuple[Step, int, Box], ...]:
    """(first step, rank, box) of all that ranks must assemble of a tensor; remembered, too."""
    return tuple(
        (step, rank, box)
        for rank, reads in enumerate(reads_by_rank(value, readers, len(held)))
        for step, box in gather_groups(reads, held[rank])
    )


def _owners(layouts: Layouts, value: Value) -> tuple[Box, ...]:
    """What each rank has to give of a tensor; the host is the rank behind the last device."""
    owned = layouts.owned[value]
    return (*owned, Box.whole(value.shape)) if value in layouts.hosted else owned


def _rounds(
    lacking: Sequence[tuple[Value, int, Box]],
) -> Iterator[tuple[Value, dict[int, Box]]]:
    """What ranks lack before a step, tensor by tensor, at most one box for each rank at a time.

    A node that has a tensor as several operands may read several boxes of it.
    """
    for value in dict.fromkeys(value for value, _, _ in lacking):
        boxes: dict[int, list[Box]] = defaultdict(list)
        for wanted, rank, box in lacking:
            if wanted is value and box not in boxes[rank]:
                boxes[rank].append(box)
        for turn in range(max(map(len, boxes.values()))):
            yield value, {rank: of[turn] for rank, of in boxes.items() if turn < len(of)}


def _lacking(
    node: Node, pieces: Sequence[Piece], made: Mapping[Value, Sequence[Box]]
) -> list[tuple[Value, int, Box]]:
    """(value, rank, box) of what ranks read of streamed tensors and others make."""
    return [
        (value, rank, box)
        for index, value in enumerate(node.inputs)
        if value is not None and value in made
        for rank, piece in enumerate(pieces)
        if (box := piece.operands[index]) is not None
        and not box.is_empty
        and not made[value][rank].contains(box)
    ]


def _exchange(
    result: Schedule,
    owned: Sequence[Box],
    step: Step,
    value: Value,
    needs: dict[int, Box],
    channels: Iterator[int],
) -> None:
    pieces: dict[int, list[tuple[int, int, Box]]] = defaultdict(list)
    parts_of = _parts_of if len(owned) <= _REMEMBERED else _parts_of.__wrapped__
    for source, parts in enumerate(parts_of(tuple(owned), tuple(needs.items()))):
        if parts:
            transfer = Transfer(
                next(channels), step[0], value, source, *_split(parts), value.dtype.itemsize
            )
            result.sends[step].append(transfer)
            for rank, part in parts.items():
                pieces[rank].append((transfer.channel, source, part))
    for rank, need in needs.items():
        local = owned[rank].intersect(need)
        assembly = Assembly(step[0], value, rank, need, local, tuple(pieces[rank]))
        result.assemblies[step].append(assembly)


_REMEMBERED = 16
"""Exchanges of more ranks are not remembered: they take megabytes."""


@lru_cache(maxsize=2048)
def _parts_of(
    owned: tuple[Box, ...], needs: tuple[tuple[int, Box], ...]
) -> tuple[Mapping[int, Box], ...]:
    """By source: what it gives to each rank of what that needs.

    Many ranks need the same box, where they gather: it is cut once for all of them.
    Remembered, because plans that are compared have most exchanges in common.
    """
    wanted: dict[Box, list[int]] = {}
    for rank, box in needs:
        wanted.setdefault(box, []).append(rank)
    boxes = list(wanted)
    result = []
    for source, shared in enumerate(_overlapping(owned, boxes)):
        parts: dict[int, Box] = {}
        for number in shared:
            ranks = wanted[boxes[number]]
            if ranks != [source]:
                common = owned[source].intersect(boxes[number])
                parts.update((rank, common) for rank in ranks if rank != source)
        result.append({rank: parts[rank] for rank, _ in needs if rank in parts} if parts else parts)
    return tuple(result)


def _overlapping(some: Sequence[Box], others: Sequence[Box]) -> list[list[int]]:
    """For each box, the numbers of the others that have something in common with it."""
    found: list[list[int]] = [[] for _ in some]
    full = [number for number, box in enumerate(some) if not box.is_empty]
    if len(full) * len(others) <= _FEW:
        for number in full:
            found[number] = [at for at, box in enumerate(others) if some[number].common_size(box)]
    elif others:
        mine, theirs = _bounds([some[number] for number in full]), _bounds(others)
        starts = np.maximum(mine[:, None, :, 0], theirs[None, :, :, 0])
        stops = np.minimum(mine[:, None, :, 1], theirs[None, :, :, 1])
        for number, other in np.argwhere((starts < stops).all(axis=-1)).tolist():
            found[full[number]].append(other)
    return found


_FEW = 100
"""Pairs of boxes that are compared sooner one by one than all at once."""


def _bounds(boxes: Sequence[Box]) -> NDArray[np.int64]:
    """[boxes, dimensions, start and stop]."""
    intervals = [box.intervals for box in boxes]
    return np.array(intervals, np.int64).reshape(len(boxes), len(intervals[0]), 2)


def _reduce_scatter(
    result: Schedule, key: Tile, node: Node, tile: NodeTile, channels: Iterator[int]
) -> None:
    value, itemsize = node.output, rule_of(node).sums_dtype(node).itemsize
    adders = [rank for rank, piece in enumerate(tile.pieces) if not piece.is_empty]
    kept = {rank: piece.results[0] for rank, piece in enumerate(tile.shares) if not piece.is_empty}
    pieces: dict[int, list[tuple[int, int, Box]]] = defaultdict(list)
    for source in adders:
        parts = {rank: box for rank, box in kept.items() if rank != source}
        if parts:
            transfer = Transfer(next(channels), key[0], value, source, *_split(parts), itemsize)
            result.partial_sends[key].append(transfer)
            for rank, part in parts.items():
                pieces[rank].append((transfer.channel, source, part))
    for rank, box in kept.items():
        local = box if rank in adders else Box.empty(len(box.intervals))
        result.sums[key].append(Assembly(key[0], value, rank, box, local, tuple(pieces[rank])))


def _split(parts: Mapping[int, Box]) -> tuple[tuple[int, ...], tuple[Box, ...]]:
    return tuple(parts), tuple(parts.values())
