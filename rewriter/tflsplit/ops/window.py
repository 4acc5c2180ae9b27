# SPDX-License-Identifier: Apache-2.0
"""Sliding windows: extents and padding as TFLM computes them (``kernels/padding.h``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tflsplit.ir import Attrs, Node, Padding, Value
from tflsplit.ops.factors import Factor, Window

PadPair = tuple[int, int]

EXPLICIT_PADS = "explicit_pads"
"""An attribute of convolutions that ``passes.fold_pads`` gives: (top, bottom, left, right), padding
that comes on top of what ``padding`` says.  No file has it."""


def explicit_pads(node: Node) -> tuple[int, int, int, int]:
    """(top, bottom, left, right) of a node's own padding."""
    top, bottom, left, right = node.attrs.integers(EXPLICIT_PADS) or (0, 0, 0, 0)
    return top, bottom, left, right


def as_in_files(attrs: Attrs) -> Attrs:
    """The attributes without what no file has."""
    return Attrs({key: value for key, value in attrs.items() if key != EXPLICIT_PADS})


@dataclass(frozen=True)
class WindowAxis:
    """The window along rows or columns.

    explicit: padding (before, after) on top of what the option asks for.
    """

    kernel: int
    stride: int
    dilation: int = 1
    explicit: PadPair = (0, 0)

    @property
    def reach(self) -> int:
        """Steps from the first element under the window to behind its last one."""
        return (self.kernel - 1) * self.dilation + 1

    def out_extent(self, padding: int, extent: int) -> int:
        """Extent of the result (ComputeOutSize)."""
        extent += sum(self.explicit)
        if padding == Padding.SAME:
            return -(-extent // self.stride)
        return max(0, (extent + self.stride - self.reach) // self.stride)

    def pads(self, padding: int, extent: int) -> PadPair:
        """(before, after) of the whole result (ComputePaddingWithOffset)."""
        out, padded = self.out_extent(padding, extent), extent + sum(self.explicit)
        total = max(0, (out - 1) * self.stride + self.reach - padded)
        return self.explicit[0] + total // 2, self.explicit[1] + total - total // 2


@dataclass(frozen=True)
class Windows:
    """The windows of a node along rows (dimension 1) and columns (dimension 2) of NHWC."""

    rows: WindowAxis
    columns: WindowAxis
    padding: int

    @classmethod
    def of(cls, node: Node, kernel: tuple[int, int]) -> Windows:
        """Read from a node's options; ``kernel`` is (rows, columns)."""
        attrs = node.attrs
        top, bottom, left, right = explicit_pads(node)
        stride, dilation = attrs.integer("stride_h"), attrs.integer("dilation_h_factor", 1)
        rows = WindowAxis(kernel[0], stride, dilation, (top, bottom))
        stride, dilation = attrs.integer("stride_w"), attrs.integer("dilation_w_factor", 1)
        columns = WindowAxis(kernel[1], stride, dilation, (left, right))
        return cls(rows, columns, attrs.integer("padding"))

    @property
    def axes(self) -> tuple[WindowAxis, WindowAxis]:
        """Rows, columns."""
        return self.rows, self.columns

    def fits(self, x: Value, output: Value) -> bool:
        """Whether the result has the extents that the options ask for (else: leave it whole)."""
        return (
            len(x.shape) == 4
            and len(output.shape) == 4
            and x.shape[0] == output.shape[0]
            and all(axis.stride > 0 and axis.dilation > 0 for axis in self.axes)
            and all(
                axis.out_extent(self.padding, x.shape[dim]) == output.shape[dim] > 0
                for dim, axis in zip((1, 2), self.axes, strict=True)
            )
        )

    def pads(self, x: Value) -> tuple[PadPair, PadPair]:
        """(before, after) of rows and of columns."""
        return (
            self.rows.pads(self.padding, x.shape[1]),
            self.columns.pads(self.padding, x.shape[2]),
        )

    def factor(self, dim: int, x: Value, output: Value, operand: int = 0) -> Factor:
        """The factor ``rows`` (dim 1) or ``columns`` (dim 2)."""
        axis = self.axes[dim - 1]
        before, _ = self.pads(x)[dim - 1]
        steps, extent = output.shape[dim], x.shape[dim]
        window = Window(axis.kernel, axis.stride, axis.dilation, before, steps, extent)
        name = "rows" if dim == 1 else "columns"
        return Factor(name, steps, {operand: (dim, window)}, {0: (dim, 1)})

    def stock_padding(
        self, in_shape: Sequence[int], out_shape: Sequence[int], pads: Sequence[PadPair]
    ) -> int | None:
        """The padding option with which a stock kernel does just this piece; None if neither.

        in_shape, out_shape: local NHWC shapes; pads: what must be padded in every dimension.
        """
        # Options know no explicit pads.
        axes = [WindowAxis(axis.kernel, axis.stride, axis.dilation) for axis in self.axes]
        for padding in (self.padding, Padding.VALID, Padding.SAME):
            if all(
                axis.out_extent(padding, in_shape[dim]) == out_shape[dim]
                and axis.pads(padding, in_shape[dim]) == tuple(pads[dim])
                for dim, axis in zip((1, 2), axes, strict=True)
            ):
                return padding
        return None
