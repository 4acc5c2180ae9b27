# SPDX-License-Identifier: Apache-2.0
"""A block that computes while its input arrives, in the order of ``fused_block.cc``.

For each row of its result it expands, of the rows of x that it still needs, first those that are
here, then the others as they come.  A block in windows of columns waits for all of x.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace

import simpy

from tflsplit.cluster import Device
from tflsplit.ir import Node
from tflsplit.ops.own.custom_options import WindowOptions
from tflsplit.ops.own.fused import unfused
from tflsplit.ops.own.fused_options import FusedOptions
from tflsplit.ops.own.packed import unpacked
from tflsplit.plan.cost.compute import local_node_us, total_us
from tflsplit.plan.cost.work import work_of
from tflsplit.wire import custom_ops as wire

Rows = tuple[int, int]
"""[start, stop) of the rows of x."""


@dataclass(frozen=True)
class Part:
    """Work that needs some rows of x."""

    rows: Rows
    us: float


@dataclass(frozen=True)
class BlockRow:
    """A row of the result: parts in any order, then what needs all of them."""

    parts: tuple[Part, ...]
    us: float


@dataclass(frozen=True)
class BlockRows:
    """All rows of a block's result, of ``x_rows`` of x."""

    rows: tuple[BlockRow, ...]
    x_rows: int

    def slower(self, us: float) -> BlockRows:
        """The same with so much more time, shared out over its rows."""
        more = us / len(self.rows)
        return replace(self, rows=tuple(replace(row, us=row.us + more) for row in self.rows))


def rows_of(node: Node, hardware: Device) -> BlockRows:
    """How a FUSED_BLOCK goes over its rows, and what each takes."""
    explicit = unpacked(node, sizes_only=True)
    stages = unfused(explicit)
    expands = stages[0].op != wire.DEPTHWISE_CONV_2D
    total_rows = node.output.shape[1]
    us, x_rows = local_node_us(hardware, node), node.input(0).shape[1]
    if FusedOptions.of(explicit).window_columns:
        return BlockRows((BlockRow((Part((0, x_rows), us),), 0.0),), x_rows)
    expansion, depthwise = (stages[0], stages[1]) if expands else (None, stages[0])
    # Without expansion rows of x are only copied, which is counted with the depthwise rows.
    expansion_us = total_us(hardware, work_of(expansion)) if expansion else 0.0
    made = depthwise.input(0).shape[1]
    result, after = [], 0
    for row in range(total_rows):
        start, stop = _under(depthwise, row)
        needed = range(max(start, after), stop)
        after = max(after, stop)
        parts = tuple(
            Part(_under(expansion, at) if expansion else (at, at + 1), expansion_us / made)
            for at in needed
        )
        result.append(BlockRow(parts, (us - expansion_us) / total_rows))
    return BlockRows(tuple(result), x_rows)


def _under(convolution: Node, row: int) -> Rows:
    """The rows of a convolution's input under the window of a row of its result."""
    options = WindowOptions.of(convolution)
    rows, kernel = convolution.input(0).shape[1], convolution.input(1).shape[1]
    first = row * options.stride[0] - options.pads[0]
    stop = first + (kernel - 1) * options.dilation[0] + 1
    return min(max(first, 0), rows), min(max(stop, 0), rows)


Steps = Generator[simpy.Event, object, None]


def run_block(
    block: BlockRows,
    is_here: Callable[[Rows], bool],
    wait: Callable[[Rows], Steps],
    run: Callable[[float], Steps],
) -> Steps:
    """Go over a block; is_here, wait: of rows of x; run: compute so long."""
    for row in block.rows:
        late = []
        for part in row.parts:
            if is_here(part.rows):
                if part.us:
                    yield from run(part.us)
            else:
                late.append(part)
        for part in late:
            yield from wait(part.rows)
            if part.us:
                yield from run(part.us)
        if row.us:
            yield from run(row.us)
    yield from wait((0, block.x_rows))
