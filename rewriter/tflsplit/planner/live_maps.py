# SPDX-License-Identifier: Apache-2.0
"""About what a device holds while each layer of a plan runs, without lowering the plan.

    layer            there while it runs                                     about
    conv             x, y                                                    |x| + |y|
    ADD              y over what it adds, if nobody reads that later         |x| + |y| - |y|
    in tiles         operands and result whole, and the most of any tile     ...

Maps alone: scratch, halos on their way and how tensors fit beside each other are not looked at, and
of the tail only that every layer of every tile has a part.  Good enough to tell which of many plans
are worth to be lowered.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from tflsplit.ir import Graph, Node, Value
from tflsplit.ops import Box, Piece
from tflsplit.ops.own.fused import fused_inside
from tflsplit.plan.shards import NodeShards, NodeTile, shard_node
from tflsplit.plan.spec import Plan
from tflsplit.plan.streams import with_streams

_TAIL_BYTES = 75
"""Of the arena's tail, for a layer of a tile."""
_IN_PLACE = {"ADD", "QUANTIZE", "RESHAPE"}
"""Their results may lie over what they read.  (A block's may: its last layer reads no x.)"""

Bytes = dict[Value, int]


@dataclass(frozen=True)
class LiveMaps:
    """Of one rank.

    around: by layer, in the graph's order, bytes while it runs; of a streamed one 0.
    there: by layer, the tensors that are whole then.
    macs: of all layers, those of tiles that are made twice included.
    """

    around: tuple[int, ...]
    there: tuple[frozenset[Value], ...]
    macs: int

    @cached_property
    def pressure_bytes(self) -> float:
        """The most at any time, and somewhat more where there is about as much at other times.

        So what takes one of two such times away is worth something.
        """
        return pressure(self.around)


def pressure(around: Iterable[int]) -> float:
    """``LiveMaps.pressure_bytes`` of the bytes at each time."""
    sizes = list(around)
    most = max(sizes, default=0) or 1
    return most * math.pow(sum((size / most) ** _SHARPNESS for size in sizes), 1 / _SHARPNESS)


_SHARPNESS = 16
"""Two times of equal bytes count 1.04 times as much as one."""


def live_maps(graph: Graph, plan: Plan, rank: int = 0) -> LiveMaps:
    """What there is on a rank; PlanError if layers are streamed that cannot be."""
    splits = plan.by_node()
    nodes = [shard_node(node, splits[node.name], plan.world_size) for node in graph.nodes]
    shards = with_streams(graph, nodes)
    return _Walk(graph, shards, rank, plan.stream).walk()


@dataclass
class _Walk:
    graph: Graph
    nodes: Sequence[NodeShards]
    rank: int
    hosted: bool
    live: Bytes = field(default_factory=dict)
    held: dict[Value, Box] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.inside = fused_inside(self.graph)
        self.given = {v for v in self.graph.inputs if self.hosted and v not in self.graph.outputs}

    def walk(self) -> LiveMaps:
        last = {v: at for at, shards in enumerate(self.nodes) for v in shards.values_read}
        last.update(dict.fromkeys(self.graph.outputs, len(self.nodes)))
        self.live = {v: v.size_bytes for v in self.graph.inputs if v not in self.given}
        around, there, instances = list[int](), list[frozenset[Value]](), 0
        for at, shards in enumerate(self.nodes):
            dying = {v for v in self.live if last.get(v, at) <= at}
            around.append(self._while(shards, dying))
            there.append(frozenset(self.live) | frozenset(shards.node.outputs))
            if shards.tiles:
                self.live.update(self._held(shards))
                self.held.update(zip(shards.node.outputs, shards.held(self.rank), strict=True))
            self.live = {v: size for v, size in self.live.items() if last.get(v, -1) > at}
            instances += sum(
                node.name not in self.inside for tile in shards.tiles for node in _all(shards, tile)
            )
        tail = instances * _TAIL_BYTES
        macs = sum(shards.macs(self.rank) for shards in self.nodes)
        return LiveMaps(tuple(n and n + tail for n in around), tuple(there), macs)

    def _held(self, shards: NodeShards) -> Bytes:
        if shards.node.name in self.inside:
            return {}
        boxes = zip(shards.node.outputs, shards.held(self.rank), strict=True)
        return {value: box.size * value.dtype.itemsize for value, box in boxes}

    def _while(self, shards: NodeShards, dying: Iterable[Value]) -> int:
        """Bytes while a layer runs, in all of its tiles."""
        if not shards.tiles:
            return 0
        whole, made = sum(self.live.values()), sum(self._held(shards).values())
        if len(shards.tiles) == 1:
            read = {v: self.live[v] for v in dying}
            over = self._over(shards.node, made, read)
            return whole + made - over + self._received(shards.node, shards.tiles[0].pieces)
        return whole + made + max(map(self._in_tile, (_stages(shards, t) for t in shards.tiles)))

    def _in_tile(self, stages: Sequence[tuple[Node, tuple[Piece, ...]]]) -> int:
        """The most of what a tile has of its own at any time."""
        last = {v: at for at, (node, _) in enumerate(stages) for v in node.operands}
        own, most = Bytes(), 0
        for at, (node, pieces) in enumerate(stages):
            made = 0
            if at < len(stages) - 1 and node.name not in self.inside:
                made = _bytes(node.output, pieces[self.rank].results[0])
            dying = {v: size for v, size in own.items() if last[v] == at}
            there = sum(own.values()) + made - self._over(node, made, dying)
            most = max(most, there + self._received(node, pieces))
            own = {v: size for v, size in own.items() if v not in dying}
            if made:
                own[node.output] = made
        return most

    def _over(self, node: Node, made: int, dying: Mapping[Value, int]) -> int:
        """Bytes of a result that lie over what is read for the last time."""
        if node.op not in _IN_PLACE:
            return 0
        return min(made, max(dying.values(), default=0))

    def _received(self, node: Node, pieces: Sequence[Piece]) -> int:
        """What comes from the host or from other ranks for a layer."""
        piece, total = pieces[self.rank], 0
        for value, box in zip(node.inputs, piece.operands, strict=True):
            if (
                value is not None
                and box is not None
                and (value in self.given or value in self.held)
            ):
                here = self.held.get(value)
                own = here.intersect(box).size if here and _grows(here, box) else 0
                total += (box.size - own) * value.dtype.itemsize
        return total


def _grows(here: Box, box: Box) -> bool:
    """Whether what comes lies before or behind what is here, as rows do: that stays in its place.

    Or nothing comes.
    """
    return here.contains(box) or all(
        mine == its for mine, its in zip(here.intervals[2:], box.intervals[2:], strict=True)
    )


def _bytes(value: Value, box: Box) -> int:
    return box.size * value.dtype.itemsize


def _stages(shards: NodeShards, tile: NodeTile) -> list[tuple[Node, tuple[Piece, ...]]]:
    return [*tile.inside, (shards.node, tile.pieces)]


def _all(shards: NodeShards, tile: NodeTile) -> list[Node]:
    return [node for node, _ in _stages(shards, tile)]
