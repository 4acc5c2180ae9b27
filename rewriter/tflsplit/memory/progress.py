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

from tflsplit.ir import Graph, Node, Value
from tflsplit.ops.own.custom_options import RecvOptions
from tflsplit.ops.own.fused import UnitWindows, residual_of, unit_windows
from tflsplit.ops.own.fused_options import FusedOptions
from tflsplit.ops.own.middle import middle_of
from tflsplit.ops.own.packed import unpacked
from tflsplit.ops.own.scratch import keeps_rows, reach_of
from tflsplit.ops.own.sweep import sweep_of
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


def may_still_arrive(graph: Graph) -> set[Value]:
    """What early RECVs make: the block that reads it ends when all is here, and no sooner.

    Rows that no window needs may come last of all, over whatever lies there.
    """
    return {
        value
        for node in graph.nodes
        if node.op == wire.RECV and node.attrs.get("early")
        for value in node.outputs
    }


def _goes_value_by_value(node: Node, operand: Value, result: Value) -> bool:
    if node.op == "QUANTIZE" and not node.is_custom:
        return operand.dtype.itemsize == result.dtype.itemsize == 1
    is_block = node.op == wire.FUSED_BLOCK and node.is_custom
    return is_block and operand is residual_of(node) and operand is not node.input(0)


def reading_times(node: Node, operand: Value) -> Times | None:
    """By byte of ``operand``, when it is read last; NEVER if it is not.

    Bytes of the result are written in ascending order; of a RECV the local shard is moved before
    any of them is.  None if nothing is known of the order.
    Raises ModelError if options cannot be read.
    """
    if operand is node.input(0) and node.op in (wire.RECV, "SLICE"):
        return _of_mover(node, operand)
    if node.op == wire.ADD and node.is_custom:  # value by value
        return np.arange(operand.size_bytes)
    steps = sweep_of(node)
    if steps is None:
        return None
    times = np.full(operand.size_bytes, NEVER)
    block = unpacked(node, sizes_only=True)
    if operand is residual_of(node):
        times = _added(block, operand)
    if operand is node.input(0):
        times = np.maximum(times, _of_x(block, [step.writes[0] for step in steps]))
    return times


def _of_mover(node: Node, operand: Value) -> Times | None:
    """The same of a RECV, unless a SEND may still read the shard, or it adds; and of a SLICE."""
    if node.is_custom:
        recv = RecvOptions.of(node)
        is_free = recv.local is not None and not recv.add and operand not in node.inputs[1:]
        return np.zeros(operand.size_bytes, np.int64) if is_free else None
    begin, item_bytes = node.input(1).data, operand.dtype.itemsize
    if begin is None or not item_bytes:
        return None
    times = np.full(operand.shape, NEVER)
    y = node.output
    cut = tuple(slice(at, at + n) for at, n in zip(begin.reshape(-1), y.shape, strict=True))
    times[cut] = np.arange(y.size).reshape(y.shape) * item_bytes
    return np.repeat(times.reshape(-1), item_bytes)


def _added(block: Node, operand: Value) -> Times:
    """The same of what is added; of x the part that the middles of the windows go over."""
    y, place = block.output, middle_of(block, operand)
    if place is None:
        return np.arange(operand.size_bytes)
    times = np.full(operand.shape[1:], NEVER)
    (row, column), (_, rows, columns, _) = place, y.shape
    times[row : row + rows, column : column + columns] = np.arange(y.size).reshape(y.shape[1:])
    return times.reshape(-1)


def _of_x(block: Node, starts: list[int]) -> Times:
    """The same of x, of a block in explicit form; ``starts``: first position of every step."""
    x, y, options = block.input(0), block.output, FusedOptions.of(block)
    columns, position_bytes = y.shape[2], y.shape[3] * y.dtype.itemsize
    units = unit_windows(block)
    is_kept = keeps_rows(block)
    reads_in_every_step = not is_kept or (options.window_columns > 0 and options.first is None)
    last_read = np.full(x.shape[1], NEVER)
    made: list[set[int]] = [set() for _ in units]
    for start, stop in zip(starts, [*starts[1:], y.shape[1] * columns], strict=True):
        if start and start < columns and reads_in_every_step and is_kept:
            made[-1] |= _kept_at_first(units[-1])
        for row in range(start // columns, (stop - 1) // columns + 1):
            is_over = stop % columns == 0 or not reads_in_every_step
            needed = _needed(units, made, row, is_kept, is_over)
            last_read[list(needed)] = start * position_bytes
    return np.repeat(last_read, x.size_bytes // x.shape[1])


def _needed(
    units: list[UnitWindows], made: list[set[int]], row: int, is_kept: bool, is_over: bool
) -> set[int]:
    """Rows of x that row ``row`` of y is made of, but for what was made before.

    is_kept: rows of the maps that were made stay; is_over: those of this row are then made.
    """
    rows = {row}
    for unit, before in zip(reversed(units), reversed(made), strict=True):
        under = {at for each in rows for at in _under(unit, each)}
        under -= before if is_kept else set()
        if is_over:
            before |= under
        rows = {at for each in under for at in _made_of(unit, each)}
    return rows


def _kept_at_first(unit: UnitWindows) -> set[int]:
    """Rows of the map under the first row that a row before it would have left to it."""
    return set(_under(unit, 0)) & set(_under(unit, -1))


def _under(unit: UnitWindows, row: int) -> list[int]:
    """Rows of the map that row ``row`` of the depthwise result needs; padding left out."""
    window = unit.depthwise
    reach, _ = reach_of(window, unit.kernel)
    first = row * window.stride[0] - window.pads[0]
    return [at for at in range(first, first + reach) if 0 <= at < unit.map_rows]


def _made_of(unit: UnitWindows, row: int) -> list[int]:
    """Rows of x that row ``row`` of the map is made of."""
    window = unit.expand
    if window is None:
        return [row]
    first = row * window.stride[0] - window.pads[0]
    step = window.dilation[0]
    rows = range(first, first + unit.expand_kernel[0] * step, step)
    return [at for at in rows if 0 <= at < unit.x_rows]
