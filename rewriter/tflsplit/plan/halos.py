# SPDX-License-Identifier: Apache-2.0
"""Halos: receive them, or recompute them where that is cheaper.

A 3x3 convolution over rows needs a row or two of its neighbours.  Where its input was made by a
1x1 expansion, that halo is six times wider than the expansion's own input:

    received                                     recomputed
    x 16 ch -- 1x1 --> e 96 ch -- halo --> 3x3   x 16 ch -- halo --> 1x1 (more rows) --> 3x3

Moving the exchange before the expansion sends a sixth of the bytes, and saves the copy that
assembling ``e`` would need, for the few multiplications of the extra rows.  The pass goes
backwards, so that a chain of such layers passes its halo up as far as that pays.

What a rank alone would have computed for its neighbours it then need not compute at all: with
stride 2, a rank's own last row may be read by the next rank only, and would have to be sliced off,
which is a copy of the largest tensor.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

from tflsplit.ir import Graph, Node, Value
from tflsplit.ops import Box, Factor, Kind, rule_of
from tflsplit.ops.region import Interval
from tflsplit.plan.grid import cell_extents
from tflsplit.plan.shards import NodeShards, shard_node
from tflsplit.plan.spec import NodeSplit, Plan

MACS_PER_BYTE = 100
"""Multiply-accumulates that take as long as one byte on the wire.

A Cortex-M7 at 600 MHz and 4 cycles per MAC makes 240 in the 1.6 µs that a byte takes at 6 Mbaud,
40 in what it takes on a 30 MHz SPI: this lies between.
"""

MOST_WORK = 2
"""How many times as much work recomputed halos may make a node: beyond, it is hardly split.

Without it, a cheap layer whose readers gather it would be computed whole by every device.
"""


Givens = Mapping[Value, tuple[Box, ...]]


def recompute_halos(
    graph: Graph,
    plan: Plan,
    always: Collection[str] = (),
    given: Givens | None = None,
    never: Collection[str] = (),
) -> Plan:
    """The plan with extents wherever recomputing a halo is cheaper than receiving it.

    always: names of nodes whose halo is recomputed at any price, because their result is to live
        inside a fused operator, where nothing can be received.
    given: how inputs of the graph lie that do not come from the host.
    never: names of nodes whose halo is received at any price, because the wires are fast.
    """
    splits = plan.by_node()
    sources: dict[Value, Source] = dict(given or {})
    plain = [shard_node(node, splits[node.name], plan.world_size) for node in graph.nodes]
    for shards in plain:
        for value in shards.node.outputs:
            sources.setdefault(value, shards)
    result = []
    chosen_readers: dict[Value, list[NodeShards]] = {}
    factors: dict[Value, list[tuple[str, ...]]] = {}  # that readers are split by
    for shards in reversed(plain):
        inside = shards.node.name in always and all(
            factor == shards.split.factors
            for value in shards.node.outputs
            for factor in factors.get(value, ())
        )
        returned = any(value in graph.outputs for value in shards.node.outputs)
        chosen = shards
        if shards.node.name not in never and not shards.split.streamed:
            made = shards.node.outputs[:1]
            after = tuple(reader for v in made for reader in chosen_readers.get(v, ()))
            before = tuple((v, sources[v]) for v in shards.node.operands if v in sources)
            chosen = _extended(shards, after, before, inside, not returned) or shards
        result.append(chosen.split)
        for value in dict.fromkeys(value for _, value, _ in chosen.reads):
            chosen_readers.setdefault(value, []).append(chosen)
        for value in shards.node.operands:
            factors.setdefault(value, []).append(shards.split.factors)
    return replace(plan, splits=tuple(reversed(result)))


Source = NodeShards | tuple[Box, ...]
"""Who makes a tensor, or how it lies."""


@lru_cache(maxsize=8192)
def _extended(
    shards: NodeShards,
    readers: tuple[NodeShards, ...],
    sources: tuple[tuple[Value, Source], ...],
    always: bool,
    may_shrink: bool,
) -> NodeShards | None:
    """The node computing all that its readers need of it, if that pays; else None.

    sources: of what it reads, but what the host gives.
    may_shrink: what no reader needs on a rank need not be computed there.
    Remembered, because plans that are compared have most layers in common.
    """
    node, split, world_size = shards.node, shards.split, len(shards.pieces)
    if not split.factor or len(node.outputs) != 1 or not readers:
        return None
    factors = [_factor(node, name) for name in split.factors]
    for factor in factors:
        if factor.kind is not Kind.PARALLEL or 0 not in factor.results:
            return None
        if any(not node.input(index).is_computed for index in factor.operands):
            return None  # that would repeat weights (or state) which the split just distributed
    reads = _boxes_by_rank(readers, node.output, world_size)
    extended = _with_extents(split, factors, reads, always, may_shrink, world_size)
    if extended is None:
        return None
    wider = shard_node(node, extended, world_size)
    if not always and _steps(wider) > MOST_WORK * node.output.size:
        return None
    if not _fills(wider, reads):
        return None
    if always:
        return wider
    owned = dict(sources)
    saved = _missing(shards, reads) - _upstream(wider, owned) + _upstream(shards, owned)
    more_macs = sum(p.macs for p in wider.pieces) - sum(p.macs for p in shards.pieces)
    return wider if saved > 0 and more_macs <= MACS_PER_BYTE * saved else None


def _factor(node: Node, name: str) -> Factor:
    return next(factor for factor in rule_of(node).factors(node) if factor.name == name)


def _steps(shards: NodeShards) -> int:
    return sum(piece.results[0].size for piece in shards.pieces)


def _with_extents(
    split: NodeSplit,
    factors: Sequence[Factor],
    reads: Sequence[Sequence[Box]],
    always: bool,
    may_shrink: bool,
    world_size: int,
) -> NodeSplit | None:
    """The split whose ranks compute what their readers need; None if that is their shares."""
    if split.cross_factor:
        cells = [tuple(split.share(rank).values()) for rank in range(world_size)]
        hulls = [_hull(boxes) for boxes in reads]
        needed = cell_extents(cells, hulls, factors, always, may_shrink)
        rows, columns = zip(*needed, strict=True)
        return None if needed == cells else replace(split, extents=rows, cross_extents=columns)
    shares = [split.share(rank)[split.factor] for rank in range(world_size)]
    extents = _extents(factors[0], shares, reads, always, may_shrink)
    return None if extents == shares else replace(split, extents=tuple(extents))


def _boxes_by_rank(readers: Iterable[NodeShards], value: Value, world_size: int) -> list[list[Box]]:
    reads: list[list[Box]] = [[] for _ in range(world_size)]
    for shards in readers:
        for rank, read, box in shards.reads:
            if read is value:
                reads[rank].append(box)
    return reads


def _extents(
    factor: Factor,
    shares: Sequence[Interval],
    reads: Sequence[Sequence[Box]],
    always: bool,
    may_shrink: bool,
) -> list[Interval]:
    """The interval that each rank's readers need, and its share unless that may be left out."""
    dim, scale = factor.results[0]
    extents, unread = [], []
    for rank, ((start, stop), boxes) in enumerate(zip(shares, reads, strict=True)):
        hull = _hull(boxes)
        may_shrink = may_shrink and (stop > start or hull is None)  # else it is sent a share
        # Where nothing can come, a rank without a share still computes what it reads.
        if (always or stop > start) and hull is not None:
            start, stop = hull.intervals[dim][0] // scale, -(-hull.intervals[dim][1] // scale)
        elif hull is None and stop > start:
            unread.append(rank)
        extents.append((start, stop))
    fewer = [(a, a if rank in unread else b) for rank, (a, b) in enumerate(extents)]
    if may_shrink and not _gaps(fewer, factor.size):
        return fewer
    if always:
        return _with_gaps(extents, shares, factor.size)
    if may_shrink and not _gaps(extents, factor.size):
        return extents
    return [(min(a, c), max(b, d)) for (a, b), (c, d) in zip(extents, shares, strict=True)]


def _hull(boxes: Iterable[Box]) -> Box | None:
    result: Box | None = None
    for box in boxes:
        if not box.is_empty:
            result = box if result is None else result.hull(box)
    return result


def _with_gaps(
    extents: Sequence[Interval], shares: Sequence[Interval], size: int
) -> list[Interval]:
    """The intervals, each with what of its share nobody needs: what a SLICE takes nothing of."""
    wider = list(extents)
    for low, high in _gaps(extents, size):
        for rank, (start, stop) in enumerate(shares):
            if max(start, low) < min(stop, high):
                a, b = wider[rank]
                wider[rank] = min(a, max(start, low)), max(b, min(stop, high))
    return wider


def _gaps(extents: Iterable[Interval], size: int) -> list[Interval]:
    """What intervals leave out of ``[0, size)``."""
    reached, gaps = 0, []
    for start, stop in sorted(extents):
        if start > reached:
            gaps.append((reached, start))
        reached = max(reached, stop)
    return gaps if reached >= size else [*gaps, (reached, size)]


def _fills(shards: NodeShards, reads: list[list[Box]]) -> bool:
    """Whether no rank needs more of the output than it now computes."""
    return all(
        shards.pieces[rank].results[0].contains(box)
        for rank, boxes in enumerate(reads)
        if not shards.pieces[rank].is_empty
        for box in boxes
    )


def _missing(shards: NodeShards, reads: list[list[Box]]) -> int:
    """Bytes of the node's output that ranks would have to receive."""
    return shards.node.output.dtype.itemsize * sum(
        hull.size - _common(hull, shards.held(rank)[0])
        for rank, boxes in enumerate(reads)
        if not shards.pieces[rank].is_empty and (hull := _hull(boxes)) is not None
    )


def _upstream(shards: NodeShards, sources: Mapping[Value, Source]) -> int:
    """Bytes of the node's inputs that ranks would have to receive (from the host: none)."""
    total = 0
    for rank, value, box in shards.reads:
        source = sources.get(value)
        if source is None:
            continue
        if isinstance(source, NodeShards):
            owned = source.owned(rank)[source.node.outputs.index(value)]
        else:
            owned = source[rank]
        total += (box.size - _common(box, owned)) * value.dtype.itemsize
    return total


def _common(a: Box, b: Box) -> int:
    return a.common_size(b)
