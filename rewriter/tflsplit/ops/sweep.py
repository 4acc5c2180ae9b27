# SPDX-License-Identifier: Apache-2.0
"""In which order a fused block reads and writes rows: what its kernel promises.

A block of one batch that makes whole rows (no column tiles) goes from top to bottom, in *steps* of
one chunk of a row, or of several narrow rows; a step reads all that it reads of x, then writes::

    with expansion       rows of x whose rows of e are not there yet; of a row in several chunks
                         the first step alone
    without              all rows under the window, in every step

A value of what is added is read just before the value of y with the same index is written.
``tflm_app/lib/split_kernels/src/fused_block.cc`` does so, and its tests run it with y over x.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tflsplit.ir import Node
from tflsplit.ops.fused import stage_result
from tflsplit.ops.fused_options import FusedOptions
from tflsplit.ops.packed import unpacked
from tflsplit.ops.scratch import CHUNK_COLUMNS, reach_of, rows_together
from tflsplit.wire import custom_ops as wire

Interval = tuple[int, int]


@dataclass(frozen=True)
class SweepStep:
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
    expands = options.expand is not None
    together = rows_together(block.output.shape, columns, block.input(5).shape[3])
    made = 0  # rows of what the depthwise convolution reads
    for first in range(0, rows, together):
        stop = min(first + together, rows)
        under = _rows_under(block, first, stop)
        fresh = (max(made, under[0]), under[1]) if expands else under
        made = max(made, under[1])
        for at in range(0, columns, CHUNK_COLUMNS):
            reads = _rows_of_x(block, fresh) if not expands or at == 0 else (0, 0)
            end = min(at + CHUNK_COLUMNS, columns)
            yield SweepStep(reads, (first * columns + at, (stop - 1) * columns + end))


def _rows_under(block: Node, first: int, stop: int) -> Interval:
    """Rows that the depthwise convolution of rows ``[first, stop)`` reads, without padding."""
    options = FusedOptions.of(block)
    window = options.depthwise.window
    reach, _ = reach_of(window, block.input(5).shape[1:3])
    x = block.input(0)
    map_rows = stage_result(block, x, options.expand, 1, "").shape[1] if options.expand else 0
    low = first * window.stride[0] - window.pads[0]
    high = (stop - 1) * window.stride[0] - window.pads[0] + reach
    return max(0, low), max(0, min(high, map_rows or x.shape[1]))


def _rows_of_x(block: Node, rows: Interval) -> Interval:
    """Rows of x that rows of the map under the depthwise convolution are made of."""
    expand, x_rows = FusedOptions.of(block).expand, block.input(0).shape[1]
    if expand is None or rows[0] >= rows[1]:
        return rows if rows[0] < rows[1] else (0, 0)
    window = expand.window
    reach, _ = reach_of(window, block.input(1).shape[1:3])
    low = rows[0] * window.stride[0] - window.pads[0]
    high = (rows[1] - 1) * window.stride[0] - window.pads[0] + reach
    return max(0, low), min(high, x_rows)
