# SPDX-License-Identifier: Apache-2.0
"""What a chain keeps, to the byte: ``split_kernels/src/chain_layout.cc``.

In scratch, one behind the other: of every unit but the first the newest rows of its x; of every
unit rows of what its depthwise convolution reads, between two rows of its result; and what the unit
that runs works with.  Of a rolling x the newest rows, in a tensor of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import prod

from tflsplit.ir import Node
from tflsplit.ops.own.chain import blocks_of
from tflsplit.ops.own.chain_options import ChainOptions, Rolling
from tflsplit.ops.own.custom_options import WindowOptions
from tflsplit.ops.own.fused import stage_result
from tflsplit.ops.own.fused_options import FusedOptions
from tflsplit.ops.own.packed import unpacked
from tflsplit.ops.own.packing import fours
from tflsplit.ops.own.scratch import (
    SweptSizes,
    gathered_bytes,
    is_dense,
    reach_of,
    widened_bytes,
)

_Interval = tuple[int, int]


@dataclass(frozen=True)
class UnitSizes:
    """A unit: shapes (rows, columns, channels) of what it reads, what it expands that to, and y."""

    x: tuple[int, ...]
    e: tuple[int, ...]
    y: tuple[int, ...]
    expand: tuple[WindowOptions, tuple[int, ...]] | None
    depthwise: tuple[WindowOptions, tuple[int, ...]]
    adds: bool

    @classmethod
    def of(cls, block: Node) -> UnitSizes:
        """Of a packed block."""
        node = unpacked(block, sizes_only=True)
        options, x = FusedOptions.of(node), node.input(0)
        expand, e = options.expand, x
        if expand is not None:
            e = stage_result(node, x, expand, 1, "")
        return cls(
            x.shape[1:],
            e.shape[1:],
            node.output.shape[1:],
            (expand.window, node.input(1).shape[1:3]) if expand else None,
            (options.depthwise.window, node.input(5).shape[1:3]),
            options.add is not None,
        )

    @property
    def reach(self) -> tuple[int, int]:
        """Rows and columns of e under one position of y."""
        return reach_of(*self.depthwise)

    @property
    def kept_rows(self) -> int:
        """Rows of e that two rows of y need."""
        return max(0, self.reach[0] - self.depthwise[0].stride[0])

    @property
    def rows_at_once(self) -> int:
        """Rows of e that one row of y wants anew, and with an ADD those from the added one on."""
        new = self.reach[0] - self.kept_rows
        window, kernel = self.depthwise
        added = self.reach[0] - (kernel[0] - 1) // 2 * window.dilation[0]
        return max(new, added) if self.adds else new

    @property
    def first_rows_at_once(self) -> int:
        """The same of rows of x, whatever the expansion is."""
        if self.expand is None:
            return self.rows_at_once
        window, kernel = self.expand
        return (self.rows_at_once - 1) * window.stride[0] + reach_of(window, kernel)[0]

    def columns_under(self, y: _Interval, whole: bool) -> tuple[_Interval, _Interval]:
        """Columns of x and of e that columns ``y`` are made of.

        whole: a tile of all columns has those too that no window reads.
        """
        if whole:
            return (0, self.x[1]), (0, self.e[1])
        e = _under(*self.depthwise, y, self.e[1])
        return (_under(*self.expand, e, self.x[1]) if self.expand else e), e

    def swept(self, columns: int, made: int) -> SweptSizes:
        """Of a tile of ``columns`` columns of the result; ``made``: columns of a row of e."""
        window = self.depthwise[0]
        expansion = self._expansion_bytes(made) if self.expand else 0
        return SweptSizes(window, self.reach, self.e[2], columns, self.y[2], self.adds, expansion)

    def _expansion_bytes(self, made: int) -> int:
        assert self.expand is not None
        window, kernel = self.expand
        products = prod(kernel) * self.x[2]
        if is_dense((0, *kernel, self.x[2]), self.x[2], window):
            return widened_bytes(made, products)
        return widened_bytes(made, products) + gathered_bytes(made, products)


def _under(
    window: WindowOptions, kernel: tuple[int, ...], columns: _Interval, most: int
) -> _Interval:
    low = columns[0] * window.stride[1] - window.pads[2]
    high = (columns[1] - 1) * window.stride[1] - window.pads[2] + reach_of(window, kernel)[1]
    return min(max(low, 0), most), min(max(high, 0), most)


@dataclass(frozen=True)
class Tile:
    """Columns [start, stop) of y: columns of x that they are made of, and bytes of scratch.

    at_once: by unit, columns of its result that are made at a time.
    """

    y: _Interval
    x: _Interval
    scratch_bytes: int
    at_once: tuple[int, ...]


def tiles_of(node: Node) -> list[Tile]:
    """The tiles of a chain, in order."""
    options = ChainOptions.of(node)
    return tiled(units_of(node), options.window_columns, options.tile_columns)


def units_of(node: Node) -> list[UnitSizes]:
    """The units of a chain."""
    return [UnitSizes.of(block) for block in blocks_of(node, sizes_only=True)]


def tiled(units: list[UnitSizes], window_columns: int, tile_columns: int) -> list[Tile]:
    """The tiles of a chain of such units."""
    total = units[-1].y[1]
    step = min(tile_columns or total, total)
    starts = range(0, total, step)
    return [tile_between(units, window_columns, (at, min(at + step, total))) for at in starts]


def tile_between(units: Sequence[UnitSizes], window_columns: int, y: _Interval) -> Tile:
    """The tile of some columns of the last unit's result."""
    columns, rows, swept = y, 0, list[SweptSizes]()
    whole = y == (0, units[-1].y[1])
    for number, unit in reversed(list(enumerate(units))):
        x, e = unit.columns_under(columns, whole)
        swept.insert(0, unit.swept(columns[1] - columns[0], e[1] - e[0]))
        rows += swept[0].kept_bytes
        if number:
            rows += fours(unit.rows_at_once * (x[1] - x[0]) * unit.x[2])
        columns = x
    rest = max(each.swept_bytes(window_columns) for each in swept)
    at_once = tuple(each.columns_within(window_columns, rest) for each in swept)
    return Tile(y, columns, rows + rest, at_once)


def columns_made(node: Node) -> list[tuple[float, float]]:
    """By unit, how often columns of what it expands x to, and of its result, are made on average.

    Tiles have columns in common.
    """
    found = [
        (_total(e for _, e in under) / unit.e[1], _total(made) / unit.y[1])
        for unit, made, under in from_the_last(units_of(node), tiles_of(node))
    ]
    return found[::-1]


def from_the_last(
    units: Sequence[UnitSizes], tiles: Iterable[Tile]
) -> Iterator[tuple[UnitSizes, list[_Interval], list[tuple[_Interval, _Interval]]]]:
    """From the last unit on: by tile, columns of its result, and of x and e that those need."""
    columns = [tile.y for tile in tiles]
    whole = len(columns) == 1
    for unit in reversed(units):
        under = [unit.columns_under(each, whole) for each in columns]
        yield unit, columns, under
        columns = [x for x, _ in under]


def _total(intervals: Iterable[_Interval]) -> int:
    return sum(stop - start for start, stop in intervals)


def chain_scratch(node: Node) -> int:
    """Scratch of a chain."""
    return max(tile.scratch_bytes for tile in tiles_of(node))


def rolling_shape(units: list[UnitSizes], tiles: list[Tile], piece_rows: int) -> tuple[int, ...]:
    """The shape of the tensor in which pieces of x arrive."""
    columns = max(tile.x[1] - tile.x[0] for tile in tiles)
    return 1, rolling_rows(units, piece_rows), columns, units[0].x[2]


def rolling_rows(units: Sequence[UnitSizes], piece_rows: int) -> int:
    """How many rows of a rolling x there is memory for."""
    return units[0].first_rows_at_once - 1 + min(piece_rows, units[0].x[0])


def piece_rows(units: Sequence[UnitSizes], tiles: Sequence[Tile]) -> int:
    """Rows of a piece, so that it has about a kilobyte: each is asked for when the last is used."""
    rows, _, channels = units[0].x
    row_bytes = channels * max(tile.x[1] - tile.x[0] for tile in tiles)
    return min(rows, -(-_PIECE_BYTES // row_bytes))


_PIECE_BYTES = 1024


def pieces_of(node: Node) -> Iterator[tuple[_Interval, _Interval]]:
    """Rows and columns of x of every piece, in the order in which they come; of a rolling x."""
    rolling = ChainOptions.of(node).rolling
    assert rolling is not None
    return pieces_between(rolling, tiles_of(node))


def pieces_between(
    rolling: Rolling, tiles: Sequence[Tile]
) -> Iterator[tuple[_Interval, _Interval]]:
    """The same of a chain in such tiles."""
    return ((rows, tile.x) for tile in tiles for rows in rolling.pieces)
