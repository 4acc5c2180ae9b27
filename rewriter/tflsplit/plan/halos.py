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

from tflsplit.ir import Graph, Value
from tflsplit.ops import Box, Factor, Kind, rule_of
from tflsplit.ops.region import Interval
from tflsplit.plan.shards import NodeShards, shard_node
from tflsplit.plan.spec import Plan

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
    reads: dict[Value, list[list[Box]]] = {}
    givens = dict(given or {})
    owners: dict[Value, NodeShards] = {}
    plain = [shard_node(node, splits[node.name], plan.world_size) for node in graph.nodes]
    for shards in plain:
        owners.update(dict.fromkeys(shards.node.outputs, shards))
    result = []
    readers = graph.consumers() if always else {}
    for shards in reversed(plain):
        inside = shards.node.name in always and all(
            splits[reader.name].factor == shards.split.factor
            for value in shards.node.outputs
            for reader in readers[value]
        )
        returned = any(value in graph.outputs for value in shards.node.outputs)
        chosen = shards
        if shards.node.name not in never and not shards.split.streamed:
            chosen = _extended(shards, reads, owners, givens, inside, not returned) or shards
        result.append(chosen.split)
        for rank, value, box in chosen.reads:
            if value not in reads:
                reads[value] = [[] for _ in range(plan.world_size)]
            reads[value][rank].append(box)
    return replace(plan, splits=tuple(reversed(result)))


def _extended(
    shards: NodeShards,
    reads: dict[Value, list[list[Box]]],
    owners: dict[Value, NodeShards],
    givens: Givens,
    always: bool,
    may_shrink: bool,
) -> NodeShards | None:
    """The node computing all that its readers need of it, if that pays; else None.

    may_shrink: what no reader needs on a rank need not be computed there.
    """
    node, split, world_size = shards.node, shards.split, len(shards.pieces)
    if not split.factor or len(node.outputs) != 1 or node.output not in reads:
        return None
    factor = next(f for f in rule_of(node).factors(node) if f.name == split.factor)
    if factor.kind is not Kind.PARALLEL or 0 not in factor.results:
        return None
    if any(not node.input(index).is_computed for index in factor.operands):
        return None  # that would repeat weights (or state) which the split has just distributed
    shares = [split.share(rank)[split.factor] for rank in range(world_size)]
    extents = _extents(factor, shares, reads[node.output], always, may_shrink)
    if extents == shares:
        return None
    if not always and sum(b - a for a, b in extents) > MOST_WORK * factor.size:
        return None
    wider = shard_node(node, replace(split, extents=tuple(extents)), world_size)
    if not _fills(wider, reads[node.output]):
        return None
    if always:
        return wider
    saved = _missing(shards, reads[node.output]) - _upstream(wider, owners, givens)
    saved += _upstream(shards, owners, givens)
    more_macs = sum(p.macs for p in wider.pieces) - sum(p.macs for p in shards.pieces)
    return wider if saved > 0 and more_macs <= MACS_PER_BYTE * saved else None


def _extents(
    factor: Factor,
    shares: Sequence[Interval],
    reads: Sequence[Sequence[Box]],
    always: bool,
    may_shrink: bool,
) -> list[Interval]:
    """The interval that each rank's readers need, and its share unless that may be left out."""
    dim, scale = factor.results[0]
    extents = []
    for (start, stop), boxes in zip(shares, reads, strict=True):
        hull = _hull(boxes)
        may_shrink = may_shrink and (stop > start or hull is None)  # else it is sent a share
        # Where nothing can come, a rank without a share still computes what it reads.
        if (always or stop > start) and hull is not None:
            start, stop = hull.intervals[dim][0] // scale, -(-hull.intervals[dim][1] // scale)
        extents.append((start, stop))
    if always or (may_shrink and _cover(extents, factor.size)):
        return extents
    return [(min(a, c), max(b, d)) for (a, b), (c, d) in zip(extents, shares, strict=True)]


def _hull(boxes: Iterable[Box]) -> Box | None:
    result: Box | None = None
    for box in boxes:
        if not box.is_empty:
            result = box if result is None else result.hull(box)
    return result


def _cover(extents: Iterable[Interval], size: int) -> bool:
    """Whether intervals leave nothing out of ``[0, size)``."""
    reached = 0
    for start, stop in sorted(extents):
        if start > reached:
            return False
        reached = max(reached, stop)
    return reached >= size


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


def _upstream(shards: NodeShards, owners: dict[Value, NodeShards], givens: Givens) -> int:
    """Bytes of the node's inputs that ranks would have to receive (from the host: none)."""
    total = 0
    for rank, value, box in shards.reads:
        if value in givens:
            owned = givens[value][rank]
        elif value in owners:
            owned = owners[value].owned(rank)[owners[value].node.outputs.index(value)]
        else:
            continue
        total += (box.size - _common(box, owned)) * value.dtype.itemsize
    return total


def _common(a: Box, b: Box) -> int:
    return a.common_size(b)
