# SPDX-License-Identifier: Apache-2.0
"""In which order a fused block reads and writes rows: what its kernel promises.

A block of one batch that makes whole rows (no column tiles) goes from top to bottom, in *steps* of
one chunk of a row, or of several narrow rows; a step reads all that it reads of x, then writes::

    with expansion       rows of x whose rows of e are not there yet; of a row in several chunks
                         the first step alone
    without              the same of rows that are small enough to be kept (4096 bytes under the
                         window), else all rows under the window, in every step
    window_columns       rows of x whose rows of e are not there yet, in every step of a row of y,
                         those that are kept from the begin on in the first step alone; behind a
                         first unit in the first step of a row alone

A value of what is added is read just before the value of y with the same index is written.
``tflm_app/lib/split_kernels/src/fused_block.cc`` does so, and its tests run it with y over x.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tflsplit.ir import Node
from tflsplit.ops.own.custom_options import WindowOptions
from tflsplit.ops.own.fused import UnitWindows, unit_windows
from tflsplit.ops.own.fused_options import FusedOptions
from tflsplit.ops.own.packed import unpacked
from tflsplit.ops.own.scratch import CHUNK_COLUMNS, keeps_rows, reach_of, rows_together
from tflsplit.wire import custom_ops as wire

Interval = tuple[int, int]


class SweepStep(NamedTuple):
    """What is done at a time: ``reads`` rows of x, perhaps none, then writes positions of y.

    writes: as numbers of positions, row after row.
    """

    reads: Interval
    writes: Interval


def sweep_of(node: Node) -> list[SweepStep] | None:
    """The steps of a fused block; None of anything else, and where y may not share bytes with x.

    Raises ModelError if the options cannot be read.
    """
    if node.op != wire.FUSED_BLOCK or not node.is_custom or node.output.shape[0] != 1:
        return None
    block = unpacked(node, sizes_only=True)
    columns = block.output.shape[2]
    tile = FusedOptions.of(block).tile_columns
    return None if 0 < tile < columns else list(_steps(block))


def _steps(block: Node) -> Iterator[SweepStep]:
    options, (_, rows, columns, _) = FusedOptions.of(block), block.output.shape
    units, window = unit_windows(block), options.window_columns
    together = 1 if window else rows_together(block.output.shape, columns, block.input(5).shape[3])
    once = keeps_rows(block)
    in_first_step = options.first is not None or (once and not window)
    chunk = window or CHUNK_COLUMNS
    made = [0] * len(units)  # rows of what the depthwise convolution of a unit reads
    for first in range(0, rows, together):
        stop = min(first + together, rows)
        reads = _rows_of_x(units, made if once else [0] * len(units), (first, stop))
        again = (0, 0) if in_first_step else reads
        if window and first == 0 and not in_first_step:
            again = _rows_of_x(units, [kept_from_begin(units[-1])], (first, stop))
        for at in range(0, columns, chunk):
            end = min(at + chunk, columns)
            yield SweepStep(
                reads if at == 0 else again,
                (first * columns + at, (stop - 1) * columns + end),
            )


def kept_from_begin(unit: UnitWindows) -> int:
    """Rows of the map that a block with windows makes, and keeps, before it makes any of y."""
    window = unit.depthwise
    reach, _ = reach_of(window, unit.kernel)
    return min(max(0, reach - window.stride[0] - window.pads[0]), unit.map_rows)


def _rows_of_x(units: list[UnitWindows], made: list[int], rows: Interval) -> Interval:
    """Rows of x that rows of y need newly; ``made``: rows of each unit's map, brought forward."""
    for number in reversed(range(len(units))):
        unit = units[number]
        under = _under(unit.depthwise, unit.kernel, rows, unit.map_rows)
        under = max(under[0], made[number]), under[1]
        made[number] = max(made[number], under[1])
        if under[0] >= under[1]:
            return 0, 0
        rows = under
        if unit.expand is not None:
            rows = _under(unit.expand, unit.expand_kernel, under, unit.x_rows)
    return rows


def _under(window: WindowOptions, kernel: tuple[int, ...], rows: Interval, most: int) -> Interval:
    """Rows that a window over rows ``rows`` of its result reaches, without padding."""
    reach, _ = reach_of(window, kernel)
    low = rows[0] * window.stride[0] - window.pads[0]
    high = (rows[1] - 1) * window.stride[0] - window.pads[0] + reach
    return max(0, low), max(0, min(high, most))
