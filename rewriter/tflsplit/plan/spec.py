# SPDX-License-Identifier: Apache-2.0
"""The frozen plan: how every node of a model is divided over the ranks."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from tflsplit.errors import PlanError
from tflsplit.ops.region import Interval


class Way(enum.Enum):
    """How a node is divided; the value is what users type and what plan.json stores."""

    ROWS = "rows"
    COLUMNS = "columns"
    GRID = "grid"
    OUT_CHANNELS = "out_channels"
    CHANNELS = "channels"
    IN_CHANNELS = "in_channels"
    BATCH = "batch"
    OTHER = "other"
    REPLICATED = "replicated"
    WHOLE = "whole"


@dataclass(frozen=True)
class NodeSplit:
    """The way one node is divided.

    node: the node's name.
    factor: the factor whose steps are divided ("" for REPLICATED and WHOLE).
    bounds: ``world_size + 1`` ascending steps of that factor; rank r gets
        ``[bounds[r], bounds[r + 1])``, possibly nothing.
    extents: where ranks compute more than their share (halos that are cheaper to recompute than
        to receive): the interval of each rank, around that of ``bounds``; () where they do not.
    cross_factor, cross_bounds, cross_extents: only for GRID: the second factor that is divided.
        ``bounds`` are those of bands then, ``cross_bounds`` those of columns of cells.  The cells
        are numbered down the first column, up the second, down the third, ..., so that those one
        above the other are neighbours on a ring; ranks behind the last cell get nothing.
    scatter_factor, scatter_bounds: only for a reduction factor: how the summed result lies over
        the ranks afterwards.
    sum_tiles: only for a reduction: the partial sums are made, added up and requantized in this
        many tiles of rows, one after the other.
    gather_tiles: for the others: what the node reads is gathered, and computed with, in this many
        tiles of rows, one after the other.
    tile_bounds: where these tiles begin, and the last ends; () where they are as even as can be.
    streamed: it is run inside the tiles of what reads it, the same for all: for each the ranks
        make only the rows of its result that are needed, and keep none of it.
    scratch_limit_bytes: only for the projection of a fused block: it makes its columns in as many
        tiles as keep its scratch within this.
    window_columns: only for the projection of a fused block: beside the rows that two rows of its
        result need, the block has windows of so many columns; 0: whole rows.
    chained: for the projection of a fused block: it is run inside the block that reads it,
        row by row, and none of its result is kept; or for a convolution whose reader adds up what a
        device has of its map: some channels are made and added up at a time.
    sweeps: only for the projection of a fused block that ends several that are chained, and whose
        first reads the model's input row by row: its columns are made in so many tiles, each of
        them from the first row to the last.
    rank: only for WHOLE: the device that runs it.
    """

    node: str
    way: Way
    factor: str = ""
    bounds: tuple[int, ...] = ()
    extents: tuple[Interval, ...] = ()
    cross_factor: str = ""
    cross_bounds: tuple[int, ...] = ()
    cross_extents: tuple[Interval, ...] = ()
    scatter_factor: str = ""
    scatter_bounds: tuple[int, ...] = ()
    sum_tiles: int = 1
    gather_tiles: int = 1
    tile_bounds: tuple[int, ...] = ()
    streamed: bool = False
    scratch_limit_bytes: int | None = None
    window_columns: int = 0
    chained: bool = False
    sweeps: int = 1
    rank: int = 0

    def share(self, rank: int) -> Mapping[str, Interval]:
        """The factor interval that a rank answers for, as ``OpRule.piece`` takes it."""
        if not self.factor:
            return {}
        if self.cross_factor:
            spans = cell_of(self.bounds, self.cross_bounds, rank)
            return dict(zip(self.factors, spans, strict=True))
        return {self.factor: (self.bounds[rank], self.bounds[rank + 1])}

    def computed(self, rank: int) -> Mapping[str, Interval]:
        """The factor interval that a rank computes: its share, and halos that it recomputes."""
        if not self.extents:
            return self.share(rank)
        spans = {self.factor: self.extents[rank]}
        return (
            {**spans, self.cross_factor: self.cross_extents[rank]} if self.cross_factor else spans
        )

    @property
    def factors(self) -> tuple[str, ...]:
        """Those that are divided, one or two."""
        return tuple(name for name in (self.factor, self.cross_factor) if name)

    def scatter_interval(self, rank: int) -> Mapping[str, Interval]:
        """The interval of the scattered result of a reduction."""
        return {self.scatter_factor: (self.scatter_bounds[rank], self.scatter_bounds[rank + 1])}

    @property
    def tiles(self) -> int:
        """In how many tiles in time the node is run."""
        return max(self.sum_tiles, self.gather_tiles)

    def tile_intervals(self, steps: int) -> list[Interval]:
        """``[0, steps)`` cut into the tiles; if even, fewer where there are not enough steps."""
        if self.tile_bounds:
            return list(pairwise(self.tile_bounds))
        cuts = proportional_bounds(steps, even_shares(min(steps, self.tiles)))
        return list(pairwise(cuts))


def cell_of(bounds: Sequence[int], cross_bounds: Sequence[int], rank: int) -> tuple[Interval, ...]:
    """The cell of a grid that a rank has: its band's rows and its column's; empty beyond the last.

    Cells are numbered band by band.
    """
    band, column = divmod(rank, len(cross_bounds) - 1)
    if band >= len(bounds) - 1:
        return (0, 0), (0, 0)
    return (bounds[band], bounds[band + 1]), (cross_bounds[column], cross_bounds[column + 1])


def without_extents(split: NodeSplit) -> NodeSplit:
    """The split, halos received."""
    return replace(split, extents=(), cross_extents=())


@dataclass(frozen=True)
class Plan:
    """The decision for one model on ``world_size`` devices.

    splits: one per node, in execution order.
    shares: what each rank can do, as a fraction of the whole (sums to 1).
    stock_kernels: SEND and RECV are the only custom operators.
    reasons: why each node is divided as it is, by node name.
    fuse: convolutions run on our own kernels, and blocks of expansion, depthwise convolution and
        projection as one operator each.
    overlap: such blocks begin while rows of their input are still under way.
    stream: devices RECV the model's inputs from the host where their nodes read them, box by box,
        instead of being given all that they read before they begin.
    mtu_bytes: of the links' frames; None: whatever the cluster has.
    arena_rooms: by rank, bytes for its arena in the main RAM and in each bank of the device, for
        activations that find no room in the one before; (): arenas are in one piece.
    """

    world_size: int
    splits: tuple[NodeSplit, ...]
    shares: tuple[float, ...]
    stock_kernels: bool = False
    reasons: Mapping[str, str] = field(default_factory=dict)
    fuse: bool = False
    overlap: bool = False
    stream: bool = False
    mtu_bytes: int | None = None
    arena_rooms: tuple[tuple[int, ...], ...] = ()

    def by_node(self) -> dict[str, NodeSplit]:
        """The splits by node name."""
        return {split.node: split for split in self.splits}


def active_count(shares: Sequence[float]) -> int:
    """How many devices have a share at all."""
    return sum(share > 0 for share in shares)


def even_shares(world_size: int) -> tuple[float, ...]:
    """The same share for every device."""
    return (1.0 / world_size,) * world_size


def parse_shares(text: str, world_size: int) -> tuple[float, ...]:
    """``"2,1,1"`` as fractions of the whole; PlanError if it does not fit ``world_size``."""
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        raise PlanError(f"shares={text} is not a comma-separated list of numbers") from None
    if len(numbers) != world_size:
        raise PlanError(f"shares={text} names {len(numbers)} devices, not {world_size}")
    if any(not 0 <= number < 1e9 for number in numbers) or sum(numbers) <= 0:
        raise PlanError(f"shares={text}: shares must be 0 or more, and not all 0")
    return tuple(number / sum(numbers) for number in numbers)


def proportional_bounds(size: int, shares: Sequence[float]) -> tuple[int, ...]:
    """``[0, size)`` cut in proportion to ``shares``, each cut rounded to the nearest step.

    Cuts are rounded from the cumulative share, so that maps of 56 and 28 rows are cut at (nearly)
    the same places and neighbouring layers exchange thin halos only.
    """
    cuts = [0]
    total = 0.0
    for share in shares[:-1]:
        total += share
        cuts.append(max(cuts[-1], min(size, int(size * total + 0.5))))
    return (*cuts, size)
