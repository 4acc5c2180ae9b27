# SPDX-License-Identifier: Apache-2.0
"""Scratch memory of our compute operators, to the byte: ``split_kernels/src/scratch.cc``.

It follows from shapes and options alone and is the same for every schedule of the kernels, so that
a plan does not depend on the core that it will run on.

*Widened* are up to four positions of x, two bytes a value (a multiple of four values): matrix
products read them again for every two output channels.  *Gathered* are the windows that are
widened, where a position is not a run of x.  *Planes* are rows of one channel, column
beside column, padding included: what depthwise convolutions read.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from math import prod

from tflsplit.ir import Node, Value
from tflsplit.ops.own.custom_options import WindowOptions
from tflsplit.ops.own.fused import FIRST, inner_result, stage_result
from tflsplit.ops.own.fused_options import FirstUnit, FusedOptions, Stage
from tflsplit.ops.own.packing import fours
from tflsplit.wire import custom_ops as wire

POSITIONS = 4
CHUNK_COLUMNS = 32
"""Columns of a block's result that are made at a time (``kChunkColumns``)."""
SWEPT_CHANNELS = 16
"""Of ``e``, made together where only rows stay that two rows of y need (``kSweptChannels``)."""
_ROWS_BYTES = 16384  # of several narrow rows of d, projected together
_KEPT_BYTES = 4096  # of rows of x that a block without expansion keeps for all channels, at most
_PLANES = 4
_SPARE_BYTES = 4  # planes are read in words, which may reach over the end
_LEAST_TABLED = 4096  # values of an ADD that finds once what each operand is scaled to
_ADD_TABLES_BYTES = 2048


def widened_bytes(positions: int, products: int) -> int:
    """Up to four positions of so many products, two bytes each."""
    return 2 * fours(products) * min(positions, POSITIONS)


def gathered_bytes(positions: int, products: int) -> int:
    """The same, one byte each."""
    return fours(products) * min(positions, POSITIONS)


def scratch_bytes(node: Node) -> int:
    """Scratch of one of our compute operators in explicit form; 0 for others."""
    if node.op in (wire.CONV_2D, wire.PARTIAL_CONV_2D):
        return _convolution(node)
    if node.op == wire.PARTIAL_FULLY_CONNECTED:
        depth = node.input(1).shape[1]
        return widened_bytes(node.output.size // node.output.shape[-1], depth)
    if node.op == wire.DEPTHWISE_CONV_2D:
        reach = reach_of(WindowOptions.of(node), node.input(1).shape[1:3])
        planes = min(_PLANES, node.input(0).shape[3])
        return planes_bytes(planes, reach, WindowOptions.of(node), node.output.shape[2])
    if node.op == wire.ADD:
        return _ADD_TABLES_BYTES if node.output.size >= _LEAST_TABLED else 0
    if node.op != wire.FUSED_BLOCK:
        return 0
    windows = FusedOptions.of(node).window_columns
    return sweep_scratch(node, windows) if windows else block_scratch(node).total_bytes


def is_dense(weights: tuple[int, ...], channels: int, options: WindowOptions) -> bool:
    """Whether the positions of a convolution are those of x, one after the other."""
    plain = options.stride == (1, 1) and not any(options.pads)
    return weights[1:3] == (1, 1) and weights[3] == channels and plain


def _convolution(node: Node) -> int:
    weights, y = node.input(1).shape, node.output.shape
    products = prod(weights[1:])
    if is_dense(weights, node.input(0).shape[3], WindowOptions.of(node)):
        return widened_bytes(prod(y[:3]), products)
    return widened_bytes(y[2], products) + gathered_bytes(y[2], products)


def reach_of(options: WindowOptions, kernel: tuple[int, ...]) -> tuple[int, int]:
    """Rows and columns from the first to the last that one position reads."""
    rows, columns = ((kernel[i] - 1) * options.dilation[i] + 1 for i in range(2))
    return rows, columns


def planes_bytes(count: int, reach: tuple[int, int], options: WindowOptions, columns: int) -> int:
    """Planes of what so many columns of a result read, a multiple of four."""
    under = (columns - 1) * options.stride[1] + reach[1]
    return fours(count * reach[0] * under + _SPARE_BYTES)


@dataclass(frozen=True)
class BlockScratch:
    """What a fused block keeps while it runs, in bytes, one after the other.

    planes: of ``e`` under the depthwise window, for the columns of one tile; of a block without
        expansion, of x, where that is little, else of four channels of x, for one chunk's columns.
    work: one chunk of a row of ``d`` (or several narrow rows) with what its projection takes, or
        what the expansion of four positions takes, which lies there too unless rows wait.
    """

    planes: int
    work: int

    @property
    def total_bytes(self) -> int:
        """Both."""
        return self.planes + self.work


def rows_together(y: tuple[int, ...], tile: int, channels: int) -> int:
    """Narrow rows of ``d`` that are projected together, so that positions come in fours."""
    _, rows, columns, _ = y
    if tile < columns or columns > CHUNK_COLUMNS // 2:
        return 1
    most = min(CHUNK_COLUMNS // columns, _ROWS_BYTES // (columns * channels))
    return max(1, min(most, rows, 4 // math.gcd(columns, 4)))


def _sum_bytes(node: Node, at_once: int) -> int:
    """Results of four positions that an ADD waits for, if they do not fit in the place of ``d``."""
    wide = node.output.shape[3] > node.input(5).shape[3]
    if FusedOptions.of(node).add is None or not wide:
        return 0
    return fours(min(at_once, POSITIONS) * node.output.shape[3])


def keeps_rows(node: Node) -> bool:
    """Whether an explicit block without tiles makes every row under the window once.

    Without expansion rows of x are kept only if they are small.
    """
    options, taps = FusedOptions.of(node), node.input(5).shape
    if options.expand is not None or options.window_columns:
        return True
    window, columns = options.depthwise.window, node.output.shape[2]
    return planes_bytes(taps[3], reach_of(window, taps[1:3]), window, columns) <= _KEPT_BYTES


def block_scratch(node: Node, tile_columns: int | None = None) -> BlockScratch:
    """Scratch of an explicit block, with its own tiles or others."""
    options, taps = FusedOptions.of(node), node.input(5).shape
    tile = options.tile_columns if tile_columns is None else tile_columns
    tile = min(tile or node.output.shape[2], node.output.shape[2])
    chunk, channels = min(tile, CHUNK_COLUMNS), taps[3]
    window = options.depthwise.window
    reach = reach_of(window, taps[1:3])
    rows = rows_together(node.output.shape, tile, channels)
    at_once = chunk * rows
    kept = fours(at_once * channels)
    work = kept + _sum_bytes(node, at_once) + widened_bytes(at_once, channels)
    if options.expand is None:
        planes = planes_bytes(channels, reach, window, tile)
        if planes > _KEPT_BYTES:
            planes = planes_bytes(min(_PLANES, channels), reach, window, chunk)
        return BlockScratch(planes, work)
    expansion = _expansion_bytes(node, node.input(0), options.expand, 1)
    expansion += kept if rows > 1 else 0
    return BlockScratch(planes_bytes(channels, reach, window, tile), max(work, expansion))


def _expansion_bytes(node: Node, x: Value, expand: Stage, at: int) -> int:
    """What the expansion of four positions takes; ``at``: the place of its weights."""
    weights, e = node.input(at).shape, stage_result(node, x, expand, at, "")
    products, together = prod(weights[1:]), min(e.shape[2], POSITIONS)
    if is_dense(weights, x.shape[3], expand.window):
        return widened_bytes(together, products)
    return widened_bytes(together, products) + gathered_bytes(together, products)


@dataclass(frozen=True)
class SweptSizes:
    """What a unit is that keeps only the rows of ``e`` that two rows of its result need.

    reach: rows and columns of ``e`` under a position; channels: of ``e``; columns, made: of a row
        of the result, and channels of the result; adds: whether it is added to; expansion_bytes:
        what the expansion of four positions takes, 0 without one.
    """

    window: WindowOptions
    reach: tuple[int, int]
    channels: int
    columns: int
    made: int
    adds: bool
    expansion_bytes: int

    @property
    def kept_rows(self) -> int:
        """Rows that stay."""
        return max(0, self.reach[0] - self.window.stride[0])

    @property
    def kept_bytes(self) -> int:
        """Of the rows that stay."""
        return fours(self.channels * self.kept_rows * self._under(self.columns))

    def swept_bytes(self, at_once: int) -> int:
        """All else, with so many columns made at a time (``swept_rows.cc``)."""
        at_once, new = min(at_once, self.columns), self.reach[0] - self.kept_rows
        shared = max(0, self.reach[1] - self.window.stride[1])
        carried = fours(self.channels * new * shared) if at_once < self.columns else 0
        row, under = self._under(self.columns), self._under(at_once)
        fresh = max(row if new * under <= row else new * row, self.reach[0] * under)
        fresh = fours(min(SWEPT_CHANNELS, self.channels) * fresh + _SPARE_BYTES)
        return carried + fresh + self._work_bytes(at_once)

    def _work_bytes(self, at_once: int) -> int:
        widened = widened_bytes(at_once, self.channels)
        if at_once <= POSITIONS:
            making = fours(at_once * min(SWEPT_CHANNELS, self.channels))
            adding = fours(at_once * self.made) if self.adds else 0
            return widened + max(self.expansion_bytes + making, adding)
        waiting = fours(POSITIONS * self.made) if self.adds and self.made > self.channels else 0
        return fours(at_once * self.channels) + max(self.expansion_bytes, waiting + widened)

    def _under(self, columns: int) -> int:
        return (columns - 1) * int(self.window.stride[1]) + self.reach[1]

    def columns_within(self, least: int, limit_bytes: int) -> int:
        """As many columns at a time as so many bytes allow, in fours if not all."""
        if self.swept_bytes(self.columns) <= limit_bytes:
            return self.columns
        columns = (self.columns - 1) // POSITIONS * POSITIONS or self.columns - 1
        while columns > least and self.swept_bytes(columns) > limit_bytes:
            columns -= POSITIONS if columns > POSITIONS else 1
        return max(columns, min(least, self.columns))


def swept_sizes(node: Node) -> SweptSizes:
    """Of an explicit block; of two blocks as one, of the last."""
    options, y, taps = FusedOptions.of(node), node.output.shape, node.input(5).shape
    x, window = inner_result(node), options.depthwise.window
    expansion = _expansion_bytes(node, x, options.expand, 1) if options.expand else 0
    reach, adds = reach_of(window, taps[1:3]), options.add is not None
    return SweptSizes(window, reach, taps[3], y[2], y[3], adds, expansion)


def sweep_scratch(node: Node, window_columns: int) -> int:
    """Scratch of an explicit block that keeps what two rows need, so many columns at a time.

    Rows of the first unit (if there is one) and of its result, rows kept, and what the unit that
    runs works with.
    """
    options, sizes = FusedOptions.of(node), swept_sizes(node)
    rest = sizes.swept_bytes(window_columns)
    if options.first is None:
        return sizes.kept_bytes + rest
    x = inner_result(node)
    planes, first_work = _first_scratch(node, options.first, x)
    inner = fours((sizes.reach[0] - sizes.kept_rows) * x.shape[2] * x.shape[3])
    return planes + inner + sizes.kept_bytes + max(rest, first_work)


def _first_scratch(node: Node, first: FirstUnit, made: Value) -> tuple[int, int]:
    """Rows under the window of a first unit, and what it works with; ``made``: its result."""
    taps = node.input(FIRST + 4).shape
    reach, channels = reach_of(first.depthwise.window, taps[1:3]), taps[3]
    planes = planes_bytes(channels, reach, first.depthwise.window, made.shape[2])
    columns = min(CHUNK_COLUMNS, made.shape[2])
    work = fours(columns * channels) + widened_bytes(columns, channels)
    if first.expand is not None:
        work = max(work, _expansion_bytes(node, node.input(0), first.expand, FIRST))
    return planes, work
