# SPDX-License-Identifier: Apache-2.0
"""What sweeping adds to the work of blocks and chains that keep few rows (``swept_rows.cc``).

Some columns of a row are made at a time, so that more often than in whole rows a channel's run of
columns is begun, its new columns are carried over and kept, and products are made of fewer
positions than four::

    row of e   | 4 | 4 | 1 |  4  | 2 |  4  | 2 |     fours that are begun: 7, of 21 columns
    row of y   |   8       |    6    |    6    |     runs: 3
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from tflsplit.ir import Node
from tflsplit.ops.own.chain_layout import UnitSizes, from_the_last, tiles_of, units_of
from tflsplit.ops.own.fused import inner_result, stage_result
from tflsplit.ops.own.fused_options import FusedOptions
from tflsplit.ops.own.scratch import POSITIONS, SweptSizes, swept_sizes

_ENDS = 8
"""What a result of a product takes beside its multiply-accumulates, in those."""


@dataclass(frozen=True)
class Begun:
    """runs: of columns of one channel of d; fresh: the same of rows of e that are new to them.

    apart: multiply-accumulates that would be made beside those of the products, if all were of four
        positions; their weights are read as often.
    """

    runs: int
    fresh: int
    apart: int

    def __add__(self, other: Begun) -> Begun:
        return Begun(self.runs + other.runs, self.fresh + other.fresh, self.apart + other.apart)


def begun_by_block(node: Node) -> Begun:
    """Of an explicit block with windows; of two as one, of the last."""
    options, sizes, y = FusedOptions.of(node), swept_sizes(node), node.output.shape
    e, products = inner_result(node), 0
    if options.expand is not None:
        products = prod(node.input(1).shape[1:])
        e = stage_result(node, e, options.expand, 1, "")
    return _begun(sizes, (e.shape[1], y[1]), e.shape[2], products, options.window_columns)


def begun_by_chain(node: Node) -> list[Begun]:
    """Of the units of a chain."""
    return list(_by_unit(units_of(node), node))[::-1]


def _by_unit(units: list[UnitSizes], node: Node) -> Iterator[Begun]:
    tiles = tiles_of(node)
    for number, (unit, columns, under) in enumerate(from_the_last(units, tiles), 1):
        rows, total = (unit.e[0], unit.y[0]), Begun(0, 0, 0)
        products = prod(unit.expand[1]) * unit.x[2] if unit.expand else 0
        for tile, made, (_, e) in zip(tiles, columns, under, strict=True):
            width = e[1] - e[0]
            sizes = unit.swept(made[1] - made[0], width)
            total += _begun(sizes, rows, width, products, tile.at_once[-number])
        yield total


def _begun(
    sizes: SweptSizes, rows: tuple[int, int], e_columns: int, products: int, at_once: int
) -> Begun:
    """rows: of e and y; e_columns: of them, those that are made; products: of one value of e."""
    window, at_once = sizes.window, min(at_once, sizes.columns)
    made, fours, chunks = 0, [0, 0], range(0, sizes.columns, at_once)
    for at in chunks:
        stop = min(at + at_once, sizes.columns)
        reached = (stop - 1) * window.stride[1] + sizes.reach[1] - window.pads[2]
        reached = e_columns if stop == sizes.columns else min(max(made, reached), e_columns)
        fours[0] += _fours(reached - made)
        fours[1] += _fours(stop - at)
        made = reached
    apart = rows[0] * (POSITIONS * fours[0] - e_columns) * (products + _ENDS if products else 0)
    apart *= sizes.channels
    of_y = rows[1] * (POSITIONS * fours[1] - sizes.columns) * sizes.made * (sizes.channels + _ENDS)
    runs = rows[1] * len(chunks) * sizes.channels
    return Begun(runs, runs * (sizes.reach[0] - sizes.kept_rows), apart + of_y)


def _fours(columns: int) -> int:
    return -(-columns // POSITIONS)
