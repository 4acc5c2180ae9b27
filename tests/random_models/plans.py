# SPDX-License-Identifier: Apache-2.0
"""Any plan at all: every node in any way its rule allows, at any bounds, halos, tiles, streams."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from dataclasses import replace

from tflsplit.ir import Graph, Node
from tflsplit.ops import Factor, Kind, rule_of
from tflsplit.ops.region import Interval
from tflsplit.ops.stock.state import has_state
from tflsplit.plan.shards import tile_factor
from tflsplit.plan.spec import NodeSplit, Plan, Way
from tflsplit.plan.wishes import WITHOUT_SUMS, way_of


def random_plan(
    graph: Graph, world_size: int, rng: random.Random, stock: bool = False, fuse: bool = False
) -> Plan:
    """A plan of ``world_size`` devices that no planner would think of."""
    splits = tuple(_split(graph, node, world_size, rng, stock) for node in graph.nodes)
    own = random.Random(repr(splits))  # so that numbers that others have drawn stay what they were
    if own.random() < _GRIDDED:
        pairs = zip(graph.nodes, splits, strict=True)
        splits = tuple(_gridded(node, split, world_size, own) for node, split in pairs)
    shares = (1 / world_size,) * world_size
    return Plan(world_size, splits, shares, stock_kernels=stock, fuse=fuse)


_GRIDDED = 0.3
"""In so many plans layers are cut by two dimensions at once."""


def _gridded(node: Node, split: NodeSplit, world_size: int, rng: random.Random) -> NodeSplit:
    """The split cut across as well, where it can be."""
    factors = {factor.name: factor for factor in rule_of(node).factors(node)}
    own = factors.get(split.factor)
    taken = split.factor, split.scatter_factor
    others = [f for f in factors.values() if own and f.kind is own.kind and f.name not in taken]
    if own is None or not others or split.streamed or split.tiles > 1 or rng.random() < 0.3:
        return split
    cross, bands = rng.choice(others), rng.randint(1, world_size)
    grid = replace(
        split,
        way=Way.GRID,
        bounds=_bounds(own.size, bands, rng),
        extents=(),
        cross_factor=cross.name,
        cross_bounds=_bounds(cross.size, world_size // bands, rng),
    )
    if split.scatter_factor or rng.random() < 0.6:
        return grid
    return replace(
        grid,
        **{
            name: tuple(_wider(grid.share(rank)[f.name], f, rng) for rank in range(world_size))
            for name, f in (("extents", own), ("cross_extents", cross))
        },  # type: ignore[arg-type]
    )


def _split(graph: Graph, node: Node, world_size: int, rng: random.Random, stock: bool) -> NodeSplit:
    split = _untiled(node, world_size, rng, stock)
    if tile_factor(node, split) is not None and rng.random() < 0.3:
        tiles = rng.randint(1, 4)
        name = "sum_tiles" if split.scatter_factor else "gather_tiles"
        return replace(split, **{name: tiles})  # type: ignore[arg-type]
    readers = graph.consumers()[node.outputs[0]] if len(node.outputs) == 1 else []
    can_stream = len(readers) == 1 and node.output not in graph.outputs and not has_state(node)
    if can_stream and not split.scatter_factor and rng.random() < 0.2:
        return replace(split, extents=(), streamed=True)
    return split


def _untiled(node: Node, world_size: int, rng: random.Random, stock: bool) -> NodeSplit:
    factors = [f for f in rule_of(node).factors(node) if not (stock and f.kind is Kind.REDUCTION)]
    factor = rng.choice([None, *factors, *factors])
    if factor is None:
        if rng.random() < 0.5:
            return NodeSplit(node.name, Way.REPLICATED)
        return NodeSplit(node.name, Way.WHOLE, rank=rng.randrange(world_size))
    cuts = _bounds(factor.size, world_size, rng)
    if factor.kind is Kind.REDUCTION:
        parallel = (f for f in factors if f.kind is Kind.PARALLEL)
        kept = min(parallel, key=lambda f: way_of(f) not in WITHOUT_SUMS)
        return NodeSplit(
            node.name,
            way_of(factor),
            factor.name,
            cuts,
            scatter_factor=kept.name,
            scatter_bounds=_bounds(kept.size, world_size, rng),
        )
    extents = _extents(factor, cuts, rng) if rng.random() < 0.4 else ()
    return NodeSplit(node.name, way_of(factor), factor.name, cuts, extents)


def _bounds(size: int, world_size: int, rng: random.Random) -> tuple[int, ...]:
    if rng.random() < 0.5:
        return tuple(size * rank // world_size for rank in range(world_size + 1))
    return (0, *sorted(rng.randint(0, size) for _ in range(world_size - 1)), size)


def _extents(
    factor: Factor, cuts: Sequence[int], rng: random.Random
) -> tuple[tuple[int, int], ...]:
    return tuple(_wider(share, factor, rng) for share in itertools.pairwise(cuts))


def _wider(share: Interval, factor: Factor, rng: random.Random) -> Interval:
    start, stop = share
    if start == stop:
        return share
    return max(0, start - rng.randint(0, 2)), min(factor.size, stop + rng.randint(0, 2))
