# SPDX-License-Identifier: Apache-2.0
"""A residual that is read out of x: what lies under the middle of the window is added.

    x   [halo |  what y adds  | halo]      one tensor, received columns or rows included
         '--- window of y[0] ---'
    y         [               ]

A block of stride 1 whose window has a middle finds there the value of x at the place of y, whatever
halos x has: then the part of x without halos need not stay in memory beside x to be added.
"""

from __future__ import annotations

from tflsplit.ir import Node, Value
from tflsplit.ops.own.custom_options import WindowOptions
from tflsplit.ops.own.fused_options import FusedOptions

Place = tuple[int, int]


def middle_of(block: Node, residual: Value | None) -> Place | None:
    """Row and column of x that are added to ``y[0, 0]``; None where the residual is like y.

    block: in explicit form.  That it fits is for ``middle_problem`` to say.
    """
    if residual is None or residual is not block.input(0):
        return None
    if residual.shape == block.output.shape:
        return None
    window, kernel = FusedOptions.of(block).depthwise.window, block.input(5).shape
    rows, columns = (
        (kernel[1 + axis] - 1) // 2 * window.dilation[axis] - window.pads[2 * axis]
        for axis in range(2)
    )
    return rows, columns


def middle_problem(block: Node) -> str | None:
    """Why what a block adds cannot be read out of x; None if it can."""
    options, x, y = FusedOptions.of(block), block.input(0), block.output
    kernel = block.input(5).shape
    plain = options.expand is None or (
        options.expand.window == WindowOptions() and block.input(1).shape[1:3] == (1, 1)
    )
    if not plain or options.first is not None or options.depthwise.window.stride != (1, 1):
        return "the window must go over x itself, step by step"
    if len(kernel) != 4 or kernel[1] % 2 == 0 or kernel[2] % 2 == 0:
        return "the window has no middle"
    place = middle_of(block, x)
    if place is None or x.shape[0] != 1 or y.shape[0] != 1 or x.shape[3] != y.shape[3]:
        return "x and y must be of one batch, with the same channels"
    inside = all(
        place[axis] >= 0 and place[axis] + y.shape[1 + axis] <= x.shape[1 + axis]
        for axis in range(2)
    )
    return None if inside else "the middle of a window lies outside x"


def first_value(x: Value, place: Place) -> int:
    """The index in x, flat, of what is added to y[0, 0, 0]."""
    return (place[0] * x.shape[2] + place[1]) * x.shape[3]
