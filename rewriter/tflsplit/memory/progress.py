# SPDX-License-Identifier: Apache-2.0
"""Whether a result lies over an operand so that nothing is written over before it was read.

Time runs with the bytes of the result: what is read before byte ``n`` of it is written has the time
``n``.  An operand's byte may be written over if its time is not after that of the byte that comes
there::

    rows of x that are dead   |0 0 0 0|4 4 4 4|8 8 8 8|      when each byte is read last
    when row q is written         |0 1 2 3|4 5 6 7|8 9...    when each byte is written: sound

Found window by window, from the rows that every row of the result is made of: the witness against
``overlays.py``, which looks for one number and takes it from intervals.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tflsplit.ir import Node, Value
from tflsplit.ops.fused import RESIDUAL
from tflsplit.ops.fused_options import FusedOptions
from tflsplit.ops.packed import unpacked
from tflsplit.ops.scratch import reach_of
from tflsplit.ops.sweep import sweep_of
from tflsplit.wire import custom_ops as wire

Times = NDArray[np.int64]
NEVER = -1


def is_read_before_written(node: Node, operand: Value, result: Value, distance_bytes: int) -> bool:
    """Whether ``node`` finds every byte of an operand, although it writes a result over it.

    distance_bytes: where byte 0 of the result lies, from byte 0 of the operand.
    Raises ModelError if options cannot be read.
    """
    if operand not in node.operands or result not in node.outputs:
        return False
    times = reading_times(node, operand)
    if times is None:
        return distance_bytes == 0 and _goes_value_by_value(node, operand, result)
    start, stop = max(0, distance_bytes), min(len(times), distance_bytes + result.size_bytes)
    written = np.arange(start, stop) - distance_bytes  # nothing, if no byte is shared
    return bool(np.all(times[start : start + len(written)] <= written))


def _goes_value_by_value(node: Node, operand: Value, result: Value) -> bool:
    if node.op == "QUANTIZE" and not node.is_custom:
        return operand.dtype.itemsize == result.dtype.itemsize == 1
    is_block = node.op == wire.FUSED_BLOCK and node.is_custom
    return is_block and operand in _added(node) and operand is not node.input(0)


def _added(node: Node) -> tuple[Value | None, ...]:
    return node.inputs[RESIDUAL if len(node.inputs) > RESIDUAL else 2 :]


def reading_times(node: Node, operand: Value) -> Times | None:
    """By byte of ``operand``, when it is read last; NEVER if it is not.

    Bytes of the result are written in ascending order.  None if nothing is known of the order.
    Raises ModelError if options cannot be read.
    """
    steps = sweep_of(node)
    if steps is None:
        return None
    times = np.full(operand.size_bytes, NEVER)
    if operand in _added(node):
        times = np.arange(operand.size_bytes)
    if operand is node.input(0):
        block = unpacked(node, sizes_only=True)
        times = np.maximum(times, _of_x(block, [step.writes[0] for step in steps]))
    return times


def _of_x(block: Node, starts: list[int]) -> Times:
    """The same of x, of a block in explicit form; ``starts``: first position of every step."""
    x, y, expands = block.input(0), block.output, FusedOptions.of(block).expand is not None
    columns, position_bytes = y.shape[2], y.shape[3] * y.dtype.itemsize
    last_read = np.full(x.shape[1], NEVER)
    made: set[int] = set()
    for start, stop in zip(starts, [*starts[1:], y.shape[1] * columns], strict=True):
        for row in range(start // columns, (stop - 1) // columns + 1):
            for under in _under(block, row):
                if not (expands and under in made):
                    last_read[_made_of(block, under)] = start * position_bytes
                made.add(under)
    return np.repeat(last_read, x.size_bytes // x.shape[1])


def _under(block: Node, row: int) -> list[int]:
    """Rows of the map that row ``row`` of the depthwise result needs; padding left out."""
    window = FusedOptions.of(block).depthwise.window
    reach, _ = reach_of(window, block.input(5).shape[1:3])
    first = row * window.stride[0] - window.pads[0]
    return [at for at in range(first, first + reach) if 0 <= at < _map_rows(block)]


def _map_rows(block: Node) -> int:
    expand, x = FusedOptions.of(block).expand, block.input(0)
    if expand is None:
        return x.shape[1]
    taps = block.input(1).shape
    return expand.window.output_extent(x.shape, (taps[1], taps[2]))[0]


def _made_of(block: Node, row: int) -> list[int]:
    """Rows of x that row ``row`` of the map is made of."""
    expand, x = FusedOptions.of(block).expand, block.input(0)
    if expand is None:
        return [row]
    window, taps = expand.window, block.input(1).shape
    first = row * window.stride[0] - window.pads[0]
    rows = range(first, first + taps[1] * window.dilation[0], window.dilation[0])
    return [at for at in rows if 0 <= at < x.shape[1]]
