# SPDX-License-Identifier: Apache-2.0
"""Whether a plan can be meant for a model: every violation, for plans that people have edited.

Shares no code with what makes plans or follows from them (policy, layouts, halos): it holds a plan
against the operators' factors only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import pairwise

from tflsplit.ir import Graph, Node, Value
from tflsplit.ops import Factor, Kind, rule_of
from tflsplit.ops.region import Interval
from tflsplit.ops.stock.concat import JOINED
from tflsplit.ops.stock.state import has_state
from tflsplit.plan.spec import NodeSplit, Plan, Way

MOST_TILES = 10
"""TFLM's CONCATENATION takes so many operands."""


def plan_problems(graph: Graph, plan: Plan) -> list[str]:
    """Everything that is wrong with ``plan`` for ``graph``; empty if nothing is."""
    problems = list(_shares(plan))
    names = [node.name for node in graph.nodes]
    listed = Counter(split.node for split in plan.splits)
    problems += [f"{name!r} is listed {n} times" for name, n in listed.items() if n > 1]
    problems += [f"the model has no layer {name!r}" for name in listed if name not in names]
    problems += [f"nothing is said of {name!r}" for name in names if name not in listed]
    nodes = {node.name: node for node in graph.nodes}
    roots = _roots(graph, {split.node for split in plan.splits if split.streamed})
    for split in plan.splits:
        if split.node in nodes:
            node = nodes[split.node]
            found = [*_split(node, split, plan), *_stream(node, split, roots)]
            problems += [f"{split.node!r}: {text}" for text in found]
    return problems


def _shares(plan: Plan) -> Iterator[str]:
    if plan.world_size < 1:
        yield f"world_size is {plan.world_size}"
    if len(plan.shares) != plan.world_size:
        yield f"there are {len(plan.shares)} shares for {plan.world_size} devices"
    elif plan.arena_rooms and len(plan.arena_rooms) != plan.world_size:
        yield f"arena_rooms are of {len(plan.arena_rooms)} devices, not {plan.world_size}"
    elif any(share < 0 for share in plan.shares) or abs(sum(plan.shares) - 1) > 1e-6:
        yield f"the shares {list(plan.shares)} are not fractions of 1"


def _split(node: Node, split: NodeSplit, plan: Plan) -> Iterator[str]:
    if split.scratch_limit_bytes is not None and split.scratch_limit_bytes <= 0:
        yield f"scratch_limit_bytes is {split.scratch_limit_bytes}"
    if split.window_columns < 0:
        yield f"window_columns is {split.window_columns}"
    if split.sweeps < 1:
        yield f"sweeps is {split.sweeps}"
    factors = {factor.name: factor for factor in rule_of(node).factors(node)}
    if split.way in (Way.REPLICATED, Way.WHOLE):
        if split.factor or split.bounds or split.scatter_factor:
            yield f"{split.way.value} takes neither factor nor bounds"
        if not 0 <= split.rank < plan.world_size:
            yield f"rank {split.rank} is none of 0..{plan.world_size - 1}"
        yield from _tiles(node, split, factors)
        return
    factor = factors.get(split.factor)
    if factor is None:
        known = ", ".join(factors) or "nothing"
        yield f"{node.op} cannot be split by {split.factor!r}, only by {known}"
        return
    if split.way is Way.GRID or split.cross_factor or split.cross_bounds or split.cross_extents:
        yield from _grid(split, factor, factors, plan.world_size)
    else:
        yield from _bounds("bounds", split.bounds, factor.size, plan.world_size)
    yield from _extents("extent", split.extents, factor, plan.world_size)
    yield from _reduction(split, factor, factors, plan)
    yield from _tiles(node, split, factors)


def _bounds(what: str, bounds: Sequence[int], size: int, world_size: int) -> Iterator[str]:
    if len(bounds) != world_size + 1:
        yield f"{what} has {len(bounds)} numbers, not {world_size + 1}"
    elif bounds[0] != 0 or bounds[-1] != size:
        yield f"{what} goes from {bounds[0]} to {bounds[-1]}, not from 0 to {size}"
    elif any(a > b for a, b in pairwise(bounds)):
        yield f"{what} {list(bounds)} does not ascend"


def _extents(
    what: str, extents: Sequence[Interval], factor: Factor, world_size: int
) -> Iterator[str]:
    if not extents:
        return
    if len(extents) != world_size:
        yield f"{what}s has {len(extents)} intervals, not {world_size}"
        return
    for rank, (start, stop) in enumerate(extents):
        if not 0 <= start <= stop <= factor.size:
            yield f"the {what} of rank {rank}, {start} to {stop}, is outside 0 to {factor.size}"


def _grid(
    split: NodeSplit, factor: Factor, factors: dict[str, Factor], world_size: int
) -> Iterator[str]:
    """What is wrong with cells; each has a rank, and rows and columns are of one kind."""
    if split.way is not Way.GRID:
        yield f"{split.way.value} takes no cross_factor, cross_bounds and cross_extents"
        return
    cross = factors.get(split.cross_factor)
    if cross is None or cross is factor or cross.kind is not factor.kind:
        others = [f.name for f in factors.values() if f.kind is factor.kind and f is not factor]
        known = ", ".join(others) or "nothing"
        yield f"a grid of {split.factor} cannot have {split.cross_factor!r} across, only {known}"
        return
    bands, columns = len(split.bounds) - 1, len(split.cross_bounds) - 1
    if bands < 1 or columns < 1 or bands * columns > world_size:
        yield f"{max(0, bands)} x {max(0, columns)} cells are none for {world_size} devices"
        return
    yield from _bounds("bounds", split.bounds, factor.size, bands)
    yield from _bounds("cross_bounds", split.cross_bounds, cross.size, columns)
    yield from _extents("cross_extent", split.cross_extents, cross, world_size)
    if bool(split.extents) != bool(split.cross_extents):
        yield "a grid has both extents and cross_extents, or neither"


def _reduction(
    split: NodeSplit, factor: Factor, factors: dict[str, Factor], plan: Plan
) -> Iterator[str]:
    is_sum = factor.kind is Kind.REDUCTION
    if is_sum and plan.stock_kernels:
        yield "stock kernels cannot return the partial sums of this split"
    if not is_sum and split.scatter_factor:
        yield f"{split.factor} makes no sums: no scatter_factor"
    if not is_sum:
        return
    kept = factors.get(split.scatter_factor)
    if kept is None or kept.kind is Kind.REDUCTION:
        yield f"the sums cannot be scattered by {split.scatter_factor!r}"
    else:
        yield from _bounds("scatter_bounds", split.scatter_bounds, kept.size, plan.world_size)


def _tiles(node: Node, split: NodeSplit, factors: dict[str, Factor]) -> Iterator[str]:
    factor = factors.get(split.factor)
    is_sum = factor is not None and factor.kind is Kind.REDUCTION
    what = split.factor or split.way.value
    if is_sum and split.gather_tiles != 1:
        yield f"{what} makes sums, which have sum_tiles: gather_tiles must be 1"
    if not is_sum and split.sum_tiles != 1:
        yield f"{what} makes no sums: sum_tiles must be 1"
    key, tiles = ("sum_tiles", split.sum_tiles) if is_sum else ("gather_tiles", split.gather_tiles)
    if not 1 <= tiles <= MOST_TILES:
        yield f"{key} is {tiles}, not within 1..{MOST_TILES}"
    elif tiles > 1 and not _tiled_by(node, factors) - {split.scatter_factor}:
        yield f"{node.op}, split so, cannot be run in tiles of rows: {key} must be 1"
    elif split.tile_bounds:
        names = sorted(_tiled_by(node, factors) - {split.factor})
        yield from _tile_bounds(split, [factors[name].size for name in names])


def _tile_bounds(split: NodeSplit, sizes: Sequence[int]) -> Iterator[str]:
    """sizes: of the dimensions that tiles could be of, without that which ranks share out."""
    bounds = split.tile_bounds
    if split.gather_tiles == 1:
        yield "tile_bounds are of gather_tiles only"
    elif len(bounds) != split.gather_tiles + 1:
        yield f"tile_bounds has {len(bounds)} numbers, not {split.gather_tiles + 1}"
    elif bounds[0] != 0 or bounds[-1] not in sizes:
        wanted = " or ".join(map(str, sizes)) or "nothing: the devices share the rows out"
        yield f"tile_bounds goes from {bounds[0]} to {bounds[-1]}, not from 0 to {wanted}"
    elif any(a >= b for a, b in pairwise(bounds)):
        yield f"tile_bounds {list(bounds)} does not ascend"


def _roots(graph: Graph, streamed: Collection[str]) -> dict[Value, set[str]]:
    """For each tensor, the layers in whose tiles it is read, by name; none of a model's output."""
    readers, found = graph.consumers(), dict[Value, set[str]]()
    for node in reversed(graph.nodes):
        for value in node.outputs:
            roots = found[value] = set()
            for reader in readers[value] if value not in graph.outputs else ():
                inside = reader.name in streamed and len(reader.outputs) == 1
                roots |= found[reader.output] if inside else {reader.name}
    return found


def _stream(node: Node, split: NodeSplit, roots: Mapping[Value, set[str]]) -> Iterator[str]:
    if not split.streamed:
        return
    if [len(roots[value]) for value in node.outputs] != [1]:
        yield "streamed needs one result, which layers read that all run in the same tiles"
    if split.scatter_factor or split.gather_tiles > 1:
        yield "streamed has no sums and no tiles of its own, it follows its reader's"
    if has_state(node):
        yield f"streamed runs {node.op} several times in an inference, and it may have state"
    if split.extents:
        yield "streamed has no extents, its reader's tiles say what is computed"


def _tiled_by(node: Node, factors: dict[str, Factor]) -> set[str]:
    """Names of the factors that cut the outermost dimension of every result.

    None where TFLM's CONCATENATION does not take the parts of one.
    """
    if not all(value.dtype in JOINED for value in node.outputs):
        return set()
    found = set(factors)
    for index, value in enumerate(node.outputs):
        outermost = next((dim for dim, extent in enumerate(value.shape) if extent > 1), None)
        found &= {
            factor.name
            for factor in factors.values()
            if factor.kind is Kind.PARALLEL and factor.results.get(index, (-1,))[0] == outermost
        }
    return found
