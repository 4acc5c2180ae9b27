# SPDX-License-Identifier: Apache-2.0
"""Maps cut by rows and columns: a cell for each rank.

    14 rows over 8 ranks: 2 for each of 7        a grid of 4 x 2: 4 x 7 or 3 x 7 for each of 8
    +---------------+ 0                          +-------+-------+
    +---------------+ 1                          |   0   |   1   |
    |      ...      |                            +-------+-------+
    +---------------+ 6                          |   2   |   3   |
                      7 has nothing              +-------+-------+  ...

Of the four sides of a cell between others one is an edge of the map where there are two columns,
so a window reads (4 + 2) x (7 + 1) positions there, where rows would read (2 + 2) x 14.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

import numpy as np

from tflsplit.ir import Node, Value
from tflsplit.ops import Box, Factor, Kind, rule_of
from tflsplit.ops.factors import Scaled
from tflsplit.ops.region import Interval
from tflsplit.plan.spec import NodeSplit, Way, cell_of, even_shares, proportional_bounds
from tflsplit.plan.wishes import way_of

Cuts = tuple[tuple[int, ...], tuple[int, ...]]
"""Bounds of the bands, and of the columns of cells."""
Cell = tuple[Interval, ...]
"""Of each factor that is divided."""

COLUMNS = 2
"""Columns of cells: with more, most cells would have neighbours on all four sides."""
_MAP_DIMS = 4
_LEAST_GAIN = 0.05
_EQUAL = 1e-6
LEAST_RANKS = 2 * COLUMNS
_NOTHING: Cell = ((0, 0), (0, 0))


def even_cuts(rows: int, columns: int, world_size: int) -> Cuts:
    """A map cut for as many ranks as there are cells."""
    sizes = (rows, world_size // COLUMNS), (columns, COLUMNS)
    by_rows, by_columns = (proportional_bounds(size, even_shares(count)) for size, count in sizes)
    return by_rows, by_columns


def may_be_cells(shares: Sequence[float]) -> bool:
    """Whether maps may be cut so for such shares: cells are all alike."""
    return len(shares) >= LEAST_RANKS and max(shares) - min(shares) < _EQUAL


def grid_pays(shape: Sequence[int], shares: Sequence[float]) -> bool:
    """Whether cells of a map are less work than rows of it, by ``_LEAST_GAIN`` or more.

    Work is counted in positions: those that the device with most of them makes, and those that it
    reads through windows of 3x3.
    """
    if len(shape) != _MAP_DIMS or not may_be_cells(shares):
        return False
    _, rows, columns, _ = shape
    ranks = len(shares)
    high, wide = -(-rows // (ranks // COLUMNS)), -(-columns // COLUMNS)
    most = -(-rows // ranks)
    by_rows = (most + min(rows, most + 2)) * columns
    by_cells = high * wide + min(rows, high + 2) * min(columns, wide + 1)
    return by_cells <= (1 - _LEAST_GAIN) * by_rows


def cuts_of(owned: Sequence[Box], dims: Sequence[int]) -> Cuts | None:
    """How a tensor lies in a grid over two of its dimensions; None where it does not."""
    full = [box for box in owned if not box.is_empty]
    by_band = [list(cells) for _, cells in groupby(full, lambda box: box.intervals[dims[0]])]
    if not by_band or len(by_band[0]) < COLUMNS:
        return None
    columns = [box.intervals[dims[1]] for box in by_band[0]]
    bands = [cells[0].intervals[dims[0]] for cells in by_band]
    by_rows, by_columns = ((run[0][0], *(stop for _, stop in run)) for run in (bands, columns))
    for rank, box in enumerate(owned):
        cell = cell_of(by_rows, by_columns, rank)
        if box.is_empty != _is_empty(cell):
            return None
        if not box.is_empty and tuple(box.intervals[dim] for dim in dims) != cell:
            return None
    return by_rows, by_columns


def grid_splits(
    node: Node,
    owned: Mapping[Value, Sequence[Box]],
    shares: Sequence[float],
    following: bool = False,
) -> Iterator[NodeSplit]:
    """The node cut by rows and columns: as its largest operand lies, or else evenly.

    Of a reduction, sums of the cells, scattered by what each of the other factors makes.
    following: only as an operand lies.  Nothing where devices are unequal, or too few.
    """
    if not may_be_cells(shares):
        return
    world_size = len(shares)
    factors = rule_of(node).factors(node)
    for kind in Kind:
        found = [
            next((f for f in factors if f.kind is kind and way_of(f) is way and f.size > 1), None)
            for way in (Way.ROWS, Way.COLUMNS)
        ]
        pair = [factor for factor in found if factor is not None]
        if len(pair) < len(found):
            continue
        cuts = _followed(node, pair, owned)
        if cuts is None and not following:
            cuts = even_cuts(pair[0].size, pair[1].size, world_size)
        if cuts is not None:
            split = NodeSplit(
                node.name,
                Way.GRID,
                pair[0].name,
                cuts[0],
                cross_factor=pair[1].name,
                cross_bounds=cuts[1],
            )
            yield from [split] if kind is Kind.PARALLEL else _scattered(split, factors, world_size)


def _followed(
    node: Node, pair: Sequence[Factor], owned: Mapping[Value, Sequence[Box]]
) -> Cuts | None:
    for index in sorted(pair[0].operands, key=lambda at: -node.input(at).size):
        maps = [factor.operands[index] for factor in pair if index in factor.operands]
        value = node.input(index)
        if len(maps) < len(pair) or value not in owned:
            continue
        cuts = cuts_of(owned[value], [dim for dim, _ in maps])
        scaled = [_scaled(cut, how) for cut, (_, how) in zip(cuts or (), maps, strict=False)]
        by_size = zip(scaled, pair, strict=False)
        if cuts is not None and all(cut and cut[-1] == f.size for cut, f in by_size):
            return scaled[0], scaled[1]
    return None


def _scaled(cuts: Sequence[int], how: object) -> tuple[int, ...]:
    """The cuts in steps of a factor; () where they do not fit them."""
    if not isinstance(how, Scaled) or any(cut % how.scale for cut in cuts):
        return ()
    return tuple(cut // how.scale for cut in cuts)


def _scattered(split: NodeSplit, factors: Sequence[Factor], world_size: int) -> Iterator[NodeSplit]:
    for kept in factors:
        if way_of(kept) in (Way.OUT_CHANNELS, Way.CHANNELS) and kept.kind is Kind.PARALLEL:
            yield NodeSplit(
                split.node,
                split.way,
                split.factor,
                split.bounds,
                cross_factor=split.cross_factor,
                cross_bounds=split.cross_bounds,
                scatter_factor=kept.name,
                scatter_bounds=proportional_bounds(kept.size, even_shares(world_size)),
            )


def cell_extents(
    cells: Sequence[Cell],
    hulls: Sequence[Box | None],
    factors: Sequence[Factor],
    always: bool,
    may_shrink: bool,
) -> list[Cell]:
    """What the readers of each rank need, and its cell too unless all is made without that.

    hulls: by rank, around what its readers read; the rest as for ``halos._extents``.
    """
    pairs = list(zip(cells, hulls, strict=True))
    needed = [_needed(factors, cell, hull, always) for cell, hull in pairs]
    # What has no cell, and makes nothing of what it reads, is sent what others have of their cells.
    is_sent = any(hull and made == _NOTHING for hull, made in zip(hulls, needed, strict=True))
    if may_shrink and not is_sent and _cover(needed, [factor.size for factor in factors]):
        return needed
    return [_hull(*each) for each in zip(cells, needed, strict=True)]


def _needed(factors: Sequence[Factor], cell: Cell, hull: Box | None, always: bool) -> Cell:
    if hull is None or (_is_empty(cell) and not always):
        return _NOTHING
    spans = [(*hull.intervals[f.results[0][0]], f.results[0][1]) for f in factors]
    return tuple((start // scale, -(-stop // scale)) for start, stop, scale in spans)


def _is_empty(cell: Cell) -> bool:
    return any(start >= stop for start, stop in cell)


def _hull(cell: Cell, other: Cell) -> Cell:
    if _is_empty(cell) or _is_empty(other):
        return other if _is_empty(cell) else cell
    return tuple((min(a, c), max(b, d)) for (a, b), (c, d) in zip(cell, other, strict=True))


def _cover(cells: Sequence[Cell], sizes: Sequence[int]) -> bool:
    """Whether cells together are all of a map."""
    made = np.zeros(sizes, np.bool_)
    for (top, bottom), (left, right) in cells:
        made[top:bottom, left:right] = True
    return bool(made.all())
