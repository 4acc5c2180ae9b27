# SPDX-License-Identifier: Apache-2.0
"""How many of the first blocks are best as one operator whose x comes row by row.

    image -- [ block, block, block ] --> a -- block --> ... -- block --> y
             '--- n of them: rows ---'        '- the fullest of the rest -'

With every block more the map behind them gets smaller, and so does most of what follows; but rows
of one more map are kept, and tiles of columns have more in common.  What a chain keeps is known to
the byte (``ops.own.chain_layout``); of the rest only what its maps and rows come to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tflsplit.ir import Node
from tflsplit.memory.custom import CHAIN_UNIT_BYTES
from tflsplit.ops.own.chain_layout import UnitSizes, piece_rows, rolling_rows, tile_between
from tflsplit.ops.own.custom_options import WindowOptions
from tflsplit.ops.own.fused import block_parts
from tflsplit.ops.stock.conv import windows_of
from tflsplit.planner.ways.units import Unit

SWEEPS = (1, 2, 4)
"""Numbers of tiles of columns that are tried."""

_HALOS = 1.5
"""So many times its share of a unit's maps and rows a device needs about (measured: 1.48 to 2.08):
halos, and two copies of a map while they are received."""

_Window = tuple[WindowOptions, tuple[int, ...]]
_Interval = tuple[int, int]


def best_length(
    blocks: Sequence[Unit], rests: Mapping[int, Sequence[Unit]], world_size: int
) -> int:
    """The number of blocks, a key of ``rests``, that needs about the least RAM.

    blocks: from the first on; rests: by number, the units behind so many.
    """
    sizes = [unit_sizes(unit) for unit in blocks]

    def needed(count: int) -> float:
        rest = (_about_bytes(unit, world_size) for unit in rests[count])
        return max([chain_bytes(sizes[:count], world_size), *rest])

    return min(rests, key=needed)


def unit_sizes(unit: Unit) -> UnitSizes:
    """Of a unit that is one block, perhaps with an ADD."""
    ((project, (expand, depthwise)),) = block_parts(unit.graph).items()
    return UnitSizes(
        (expand or depthwise).input(0).shape[1:],
        depthwise.input(0).shape[1:],
        project.output.shape[1:],
        _window_of(expand) if expand else None,
        _window_of(depthwise),
        any(node.op == "ADD" for node in unit.nodes),
    )


def _window_of(node: Node) -> _Window:
    windows = windows_of(node)
    rows, columns = windows.axes
    (top, bottom), (left, right) = windows.pads(node.input(0))
    options = WindowOptions(
        (rows.stride, columns.stride), (rows.dilation, columns.dilation), (top, bottom, left, right)
    )
    return options, node.input(1).shape[1:3]


def chain_bytes(units: Sequence[UnitSizes], world_size: int) -> int:
    """Head of the fullest device while a chain runs, its result by columns on several devices."""
    rows, columns, channels = units[-1].y
    own = -(-columns // world_size)
    # one in the middle has halos on both sides
    start = min(columns - own, columns // 2)
    kept = min(_tiled_bytes(units, (start, start + own), count) for count in SWEEPS)
    return rows * own * channels + kept + len(units) * CHAIN_UNIT_BYTES


def _tiled_bytes(units: Sequence[UnitSizes], made: _Interval, count: int) -> int:
    step = -(-(made[1] - made[0]) // count)
    starts = range(made[0], made[1], step)
    tiles = [tile_between(units, 1, (at, min(at + step, made[1]))) for at in starts]
    rows = rolling_rows(units, piece_rows(units, tiles))
    rolling = rows * units[0].x[2] * max(tile.x[1] - tile.x[0] for tile in tiles)
    return max(tile.scratch_bytes for tile in tiles) + rolling


def _about_bytes(unit: Unit, world_size: int) -> float:
    """About the head of a device while a unit runs whose result lies over what it reads."""
    ends = max(value.size_bytes for value in (*unit.inputs, *unit.outputs))
    kept = 0
    for _, depthwise in block_parts(unit.graph).values():
        window, kernel = _window_of(depthwise)
        _, row, channels = depthwise.input(0).shape[1:]
        kept += max(0, kernel[0] - window.stride[0]) * row * channels
    return (ends + kept) / world_size * (_HALOS if world_size > 1 else 1)
