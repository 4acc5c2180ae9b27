# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a chain: options against operands."""

from __future__ import annotations

from collections.abc import Iterator

from tflsplit.ir import DType, Node
from tflsplit.ops.own.chain import blocks_of
from tflsplit.ops.own.chain_layout import (
    UnitSizes,
    from_the_last,
    pieces_of,
    rolling_shape,
    tiles_of,
)
from tflsplit.ops.own.chain_options import ChainOptions
from tflsplit.ops.own.custom_check import add_check, problems
from tflsplit.ops.own.custom_options import WindowOptions
from tflsplit.ops.own.packed import unpacked
from tflsplit.wire import custom_ops as wire


def problems_of(node: Node) -> Iterator[str]:
    """How a chain's options and operands contradict each other."""
    if len(node.inputs) != 2 or None in node.inputs or len(node.outputs) != 1:
        yield "takes x and one constant, and makes 1 result"
        return
    x, y, options = node.input(0), node.output, ChainOptions.of(node)
    if not all(len(v.shape) == 4 and v.shape[0] == 1 for v in (x, y)):
        yield f"{x!r} and {y!r} must be of one image"
        return
    if x.dtype is not DType.INT8 and (x.dtype is not DType.UINT8 or not options.rolling):
        yield f"{x!r} must be int8, or uint8 that comes in pieces"
        return
    if x.quantization is None or y.quantization is None or len(y.quantization.scales) != 1:
        yield f"{x!r} and {y!r} need a scale and zero point"
        return
    blocks = blocks_of(node, sizes_only=node.input(1).data is None)
    wrong = next((text for block in blocks for text in problems(block)), None)
    if wrong:
        yield wrong
        return
    last = options.units[-1].result
    if (last[10], last[14]) != (y.quantization.zero_point, y.shape[3]):
        yield f"the last unit does not make {y!r}"
    units = [UnitSizes.of(block) for block in blocks]
    yield from _unit_problems(blocks, units)
    yield from _tile_problems(node, units)


def _unit_problems(blocks: list[Node], units: list[UnitSizes]) -> Iterator[str]:
    for number, (block, unit) in enumerate(zip(blocks, units, strict=True)):
        window, _ = unit.depthwise
        if window.stride[0] > unit.reach[0]:
            yield f"unit {number} leaves out rows"
        plain = unit.expand in (None, (WindowOptions(), (1, 1)))
        if number and not plain:
            yield f"the expansion of unit {number} is not 1x1"
        explicit = unpacked(block, sizes_only=True)
        if unit.adds and explicit.input(0).shape[3] != explicit.output.shape[3]:
            yield f"unit {number} adds what is not like its result"


def _tile_problems(node: Node, units: list[UnitSizes]) -> Iterator[str]:
    options, tiles = ChainOptions.of(node), tiles_of(node)
    for _, _, under in from_the_last(units, tiles):
        if any(start >= stop for pair in under for start, stop in pair):
            yield "a tile reads nothing"
            return
    if options.rolling is None:
        return
    shape = rolling_shape(units, tiles, options.rolling.piece_rows)
    if node.input(0).shape != shape:
        yield f"needs memory for {list(shape)} of x, not {node.input(0)!r}"


def rolling_boxes(node: Node) -> list[tuple[tuple[int, int], ...]]:
    """Of a rolling x: the intervals of every piece, in order, from the first element of x on."""
    channels = node.input(0).shape[3]
    return [((0, 1), rows, columns, (0, channels)) for rows, columns in pieces_of(node)]


add_check(wire.CHAIN, problems_of)
