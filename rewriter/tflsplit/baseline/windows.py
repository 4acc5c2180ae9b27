# SPDX-License-Identifier: Apache-2.0
"""Sliding windows as sets of positions, padding included: what the seed system's devices hold."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tflsplit.ir import Node, Padding

Mask = NDArray[np.bool_]
Pair = tuple[int, int]


@dataclass(frozen=True)
class Window:
    """Kernel, stride and dilation of rows and columns, and ``(before, after)`` padding of each."""

    kernel: Pair = (1, 1)
    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    rows_pad: Pair = (0, 0)
    columns_pad: Pair = (0, 0)

    def then(self, following: Window) -> Window:
        """The window of ``following`` behind a PAD with this window's padding."""
        return replace(
            following,
            rows_pad=_added(self.rows_pad, following.rows_pad),
            columns_pad=_added(self.columns_pad, following.columns_pad),
        )

    def reach(self, outputs: Mask, rows: int, columns: int) -> Mask:
        """Positions of the padded ``rows x columns`` input that the set of ``outputs`` reads."""
        reached = np.zeros(self.padded(rows, columns), np.bool_)
        for row in range(self.kernel[0]):
            for column in range(self.kernel[1]):
                top, left = row * self.dilation[0], column * self.dilation[1]
                seen = reached[top:, left:][:: self.stride[0], :: self.stride[1]]
                seen[: outputs.shape[0], : outputs.shape[1]] |= outputs
        return reached

    def padded(self, rows: int, columns: int) -> Pair:
        """Rows and columns of the input with its padding."""
        return rows + sum(self.rows_pad), columns + sum(self.columns_pad)

    def inside(self, rows: int, columns: int) -> tuple[slice, slice]:
        """Where the input itself lies in the padded one."""
        top, left = self.rows_pad[0], self.columns_pad[0]
        return slice(top, top + rows), slice(left, left + columns)


def window_of(node: Node) -> Window:
    """The window of CONV_2D, DEPTHWISE_CONV_2D or PAD; of FULLY_CONNECTED a single position."""
    if node.op == "PAD":
        pads = node.input(1).data
        assert pads is not None
        return Window(rows_pad=_pair(pads[1]), columns_pad=_pair(pads[2]))
    if node.op == "FULLY_CONNECTED":
        return Window()
    integer = node.attrs.integer
    window = Window(
        (node.input(1).shape[1], node.input(1).shape[2]),
        (integer("stride_h", 1), integer("stride_w", 1)),
        (integer("dilation_h_factor", 1), integer("dilation_w_factor", 1)),
    )
    if integer("padding") != Padding.SAME:
        return window
    rows, columns = (
        _same(node.input(0).shape[1 + axis], node.output.shape[1 + axis], window, axis)
        for axis in (0, 1)
    )
    return replace(window, rows_pad=rows, columns_pad=columns)


def _same(size: int, out: int, window: Window, axis: int) -> Pair:
    """SAME padding as TensorFlow defines it: the smaller half before."""
    reach = (window.kernel[axis] - 1) * window.dilation[axis] + 1
    total = max(0, (out - 1) * window.stride[axis] + reach - size)
    return total // 2, total - total // 2


def _added(a: Pair, b: Pair) -> Pair:
    return a[0] + b[0], a[1] + b[1]


def _pair(values: NDArray[np.int32]) -> Pair:
    return int(values[0]), int(values[1])
