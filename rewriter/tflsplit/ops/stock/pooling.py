# SPDX-License-Identifier: Apache-2.0
"""AVERAGE_POOL_2D and MAX_POOL_2D."""

from __future__ import annotations

from collections.abc import Sequence

from tflsplit.errors import InternalError
from tflsplit.ir import DType, Node, Padding, Value
from tflsplit.ops.factors import SAME_INDEX, Factor, Piece
from tflsplit.ops.local import padded, padded_shape, temporary
from tflsplit.ops.own.custom_options import Pair
from tflsplit.ops.own.mean_sums import (
    dtype_of_sums,
    finished_sums,
    pool_multiplier,
    sum_factors,
    summed,
)
from tflsplit.ops.rule import OpRule, clone, rule_for
from tflsplit.ops.stock.requantization import fused_range
from tflsplit.ops.window import Windows

_SPATIAL = (1, 2)
_LOWEST = {DType.INT8: -128, DType.INT16: -32768}


class _PoolRule(OpRule):
    """Batch and channels always; rows and columns where a local kernel can be exact."""

    def find_factors(self, node: Node) -> tuple[Factor, ...]:
        x, output, windows = node.input(0), node.output, windows_of(node)
        if not windows.fits(x, output):
            return ()
        return (
            Factor("batch", x.shape[0], {0: (0, SAME_INDEX)}, {0: (0, 1)}),
            *(windows.factor(dim, x, output) for dim in self.spatial_dims(x, windows)),
            Factor("channels", x.shape[3], {0: (3, SAME_INDEX)}, {0: (3, 1)}),
            *self.reductions(node, windows),
        )

    def reductions(self, node: Node, windows: Windows) -> tuple[Factor, ...]:
        """Dimensions over which exact sums may be split."""
        return ()

    def spatial_dims(self, x: Value, windows: Windows) -> tuple[int, ...]:
        """Which of rows (1) and columns (2) may be split."""
        raise NotImplementedError

    def localize(
        self,
        node: Node,
        piece: Piece,
        inputs: Sequence[Value | None],
        outputs: Sequence[Value],
    ) -> list[Node]:
        whole, windows = node.input(0), windows_of(node)
        if not self.factors(node):
            return [clone(node, inputs, outputs)]
        x, output = inputs[0], outputs[0]
        assert x is not None
        listed = self.spatial_dims(whole, windows)
        pads = [
            piece.pads[0][dim] if dim in listed else windows.pads(whole)[dim - 1]
            for dim in _SPATIAL
        ]
        pads = [(0, 0), *pads, (0, 0)]
        padding = windows.stock_padding(x.shape, output.shape, pads)
        if padding is not None:
            return [clone(node, inputs, outputs, node.attrs.replace(padding=padding))]
        wide = temporary(output, "padded", padded_shape(x.shape, pads), x)
        attrs = node.attrs.replace(padding=Padding.VALID)
        return [
            padded(x, pads, wide, self.neutral(node)),
            clone(node, (wide,), outputs, attrs),
        ]

    def neutral(self, node: Node) -> int:
        """The stored value that padding may have without being seen in the result."""
        raise InternalError(f"{node!r} has no value to pad with")


@rule_for("AVERAGE_POOL_2D")
class AveragePoolRule(_PoolRule):
    """The divisor counts no padding, so padding cannot be made explicit.

    Rows and columns may be split where there is no padding at all; or where windows do not
    overlap and at most one step is missing at the end, which SAME of the last piece adds again.
    Of a pool over the whole map they may be split inside the only window, as int32 sums, where one
    multiplier divides all sums as TFLM does (``mean_sums``).
    """

    def reductions(self, node: Node, windows: Windows) -> tuple[Factor, ...]:
        return sum_factors(node, _SPATIAL) if _scaling(node, windows) else ()

    def partial(
        self, node: Node, piece: Piece, inputs: Sequence[Value | None], output: Value
    ) -> list[Node]:
        return summed(inputs[0], output, _SPATIAL)

    def sums_dtype(self, node: Node) -> DType:
        return dtype_of_sums(node, _SPATIAL)

    def requantize(self, node: Node, piece: Piece, sums: Value, output: Value) -> list[Node]:
        x, y, scaling = node.input(0), node.output, _scaling(node, windows_of(node))
        assert scaling is not None
        assert x.quantization is not None
        assert y.quantization is not None
        count = x.shape[1] * x.shape[2]
        offset = (x.quantization.zero_point - y.quantization.zero_point) * count
        return finished_sums(sums, output, scaling, offset, fused_range(node))

    def spatial_dims(self, x: Value, windows: Windows) -> tuple[int, ...]:
        pads = [sum(pair) for pair in windows.pads(x)]
        if not any(pads):
            return _SPATIAL
        return tuple(
            dim
            for dim, axis, total in zip(_SPATIAL, windows.axes, pads, strict=True)
            if axis.kernel == axis.stride and total <= 1
        )


@rule_for("MAX_POOL_2D")
class MaxPoolRule(_PoolRule):
    """Padding with the lowest stored value never wins, so it can be made explicit."""

    def spatial_dims(self, x: Value, windows: Windows) -> tuple[int, ...]:
        return _SPATIAL if x.dtype in _LOWEST or not any(map(any, windows.pads(x))) else ()

    def neutral(self, node: Node) -> int:
        return _LOWEST[node.input(0).dtype]


def _scaling(node: Node, windows: Windows) -> Pair | None:
    """What divides the sums of a pool over the whole map; None of any other, or if nothing does."""
    x, y = node.input(0), node.output
    kernel = tuple(axis.kernel for axis in windows.axes)
    is_whole = kernel == x.shape[1:3] and y.shape[1:3] == (1, 1)
    if not is_whole or any(map(any, windows.pads(x))) or y.quantization is None:
        return None
    if x.dtype is not DType.INT8 or not y.quantization.zero_points:
        return None
    return pool_multiplier(kernel[0] * kernel[1], y.quantization.zero_point)


def windows_of(node: Node) -> Windows:
    """The windows of a stock pool."""
    kernel = node.attrs.integer("filter_height"), node.attrs.integer("filter_width")
    return Windows.of(node, kernel)
