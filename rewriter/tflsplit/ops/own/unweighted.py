# SPDX-License-Identifier: Apache-2.0
"""ADD, MEAN and pools of int8 as operators of our own: no weights, no constants.

    TFLSPLIT_ADD      x, other -> y     TFLM's ADD of tensors of one shape
    TFLSPLIT_MEAN     x -> y            TFLM's MEAN over a run of dimensions
    TFLSPLIT_POOL_2D  x -> y            TFLM's AVERAGE_POOL_2D or MAX_POOL_2D

They mean what the stock operators do (``unweighted_stock``): their kernels are quicker, and what
TFLM keeps of them in the arena stays in flash, as options.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

from tflsplit.errors import ModelError
from tflsplit.ir import DType, Node, Value
from tflsplit.ops.own.custom import make_node
from tflsplit.ops.own.custom_check import add_check
from tflsplit.ops.own.custom_options import (
    MOST_SUMMED,
    Pads,
    Pair,
    WindowOptions,
    activation_of,
    axes_of,
)
from tflsplit.ops.window import WindowAxis
from tflsplit.wire import custom_ops as wire

OPS = (wire.ADD, wire.MEAN, wire.POOL_2D)

Scales = tuple[Pair, Pair, Pair]
"""(multiplier, shift) of x, of the other operand and of their sum."""


def add(
    x: Value,
    other: Value,
    output: Value,
    *,
    multipliers: Scales,
    activation: Pair,
    name: str = "",
) -> Node:
    """ADD of two int8 tensors of the shape of ``output``; ``other`` may be a constant."""
    assert other.quantization is not None
    numbers = (number for pair in multipliers for number in pair)
    scaling = (*numbers, other.quantization.zero_point)
    attrs = wire.encode(wire.ADD, {"activation": activation, "scaling": scaling})
    return make_node(wire.ADD, (x, other), (output,), attrs, name)


def mean(x: Value, output: Value, *, axes: Pair, scaling: Pair, name: str = "") -> Node:
    """MEAN of int8 ``x`` over its dimensions ``[axes[0], axes[1])``.

    output: int8 of the other dimensions; those summed up may stay as 1.  scaling: (multiplier,
    shift) of the sums.
    """
    attrs = wire.encode(wire.MEAN, {"axes": axes, "scaling": scaling})
    return make_node(wire.MEAN, (x,), (output,), attrs, name)


@dataclass(frozen=True)
class PoolOptions:
    """Options of a pool.

    kernel, stride: (rows, columns); pads: (top, bottom, left, right), which count for nothing.
    maximum: of the values under a window, not their average.
    """

    kernel: Pair
    stride: Pair
    pads: Pads
    activation: Pair
    maximum: bool

    @classmethod
    def of(cls, node: Node) -> PoolOptions:
        """The options of a node; ModelError if they are malformed."""
        options = wire.decode(node)
        return cls(
            cast(Pair, options["kernel"]),
            cast(Pair, options["stride"]),
            cast(Pads, options["pads"]),
            activation_of(node),
            options["maximum"] == 1,
        )

    def out_extent(self, shape: tuple[int, ...]) -> Pair:
        """Rows and columns of the result of an NHWC input; not positive if the window is larger."""
        return WindowOptions(self.stride, pads=self.pads).output_extent(shape, self.kernel)

    @property
    def has_empty_windows(self) -> bool:
        """Whether a window may lie in the padding alone."""
        return any(pad >= self.kernel[i // 2] for i, pad in enumerate(self.pads))

    @property
    def axes(self) -> tuple[WindowAxis, WindowAxis]:
        """The windows, without padding."""
        rows, columns = (WindowAxis(self.kernel[i], self.stride[i]) for i in range(2))
        return rows, columns


def pool_2d(x: Value, output: Value, options: PoolOptions, name: str = "") -> Node:
    """AVERAGE_POOL_2D or MAX_POOL_2D of int8 NHWC."""
    attrs = wire.encode(wire.POOL_2D, {**vars(options), "maximum": int(options.maximum)})
    return make_node(wire.POOL_2D, (x,), (output,), attrs, name)


def scales_of(node: Node) -> tuple[Scales, int]:
    """Of an ADD, and the zero point of its other operand; ModelError if they are malformed."""
    n = cast("tuple[int, ...]", wire.decode(node)["scaling"])
    scales = (n[0], n[1]), (n[2], n[3]), (n[4], n[5])
    if not all(is_scale(pair, ADD_SHIFT) for pair in scales):
        raise ModelError(f"{node.op} {node.name!r}: a multiplier or a shift is out of range")
    return scales, n[6]


def scaling_of(node: Node) -> Pair:
    """(multiplier, shift) of a MEAN; ModelError if they are malformed."""
    scaling = cast(Pair, wire.decode(node)["scaling"])
    if not is_scale(scaling, MEAN_SHIFT):
        raise ModelError(f"{node.op} {node.name!r}: the multiplier or the shift is out of range")
    return scaling


ADD_SHIFT, MEAN_SHIFT = 0, 30
"""To the left, at most."""


def is_scale(scale: Pair, most_shift: int) -> bool:
    """Whether the kernels take a (multiplier, shift)."""
    return scale[0] >= 0 and -31 <= scale[1] <= most_shift


# ---- For costs


def may_be_ours(node: Node) -> bool:
    """Whether a stock operator is likely to become one of these (``own_unweighted`` knows)."""
    if node.op not in _STOCK or node.is_custom or not node.outputs:
        return False
    tensors = [*node.operands, node.output] if node.op == "ADD" else [node.input(0), node.output]
    is_alike = node.op != "ADD" or len({value.shape for value in tensors}) == 1
    return is_alike and all(value.dtype is DType.INT8 for value in tensors)


_STOCK = ("ADD", "MEAN", "AVERAGE_POOL_2D", "MAX_POOL_2D")


def values_under(node: Node) -> int:
    """Values of x that a result of a mean or pool is made of, ours or stock; 0 of an ADD."""
    if node.op in ("ADD", wire.ADD):
        return 0
    if node.op == wire.POOL_2D:
        return math.prod(PoolOptions.of(node).kernel)
    if node.op in ("MEAN", wire.MEAN):
        return node.input(0).size // max(node.output.size, 1)
    return node.attrs.integer("filter_height") * node.attrs.integer("filter_width")


# ---- Checks


def _check_add(node: Node) -> Iterator[str]:
    yield from _tensors(node, 2)
    values = *node.operands, *node.outputs
    if len(node.operands) == 2 and len({value.size for value in values}) > 1:
        yield f"adds {node.input(1)!r} to {node.input(0)!r}: not of one shape"
    _, zero_point = scales_of(node)
    activation_of(node)
    quantization = node.input(1).quantization if len(node.operands) == 2 else None
    if quantization is None or quantization.zero_point != zero_point:
        yield f"says another zero point of operand 1 than that has: {zero_point}"


def _check_mean(node: Node) -> Iterator[str]:
    yield from _tensors(node, 1)
    scaling_of(node)
    (first, stop), x, y = axes_of(node), node.input(0), node.output
    if not first < stop <= len(x.shape):
        yield f"axes {first}..{stop} are no dimensions of {x!r}"
        return
    kept = (1,) * (stop - first)
    shapes = [(*x.shape[:first], *between, *x.shape[stop:]) for between in ((), kept)]
    if y.shape not in shapes:
        yield f"cannot make {y!r} of {x!r}"
    if not 0 < math.prod(x.shape[first:stop]) <= MOST_SUMMED:
        yield f"has not 1..{MOST_SUMMED} values to a mean"


def _check_pool(node: Node) -> Iterator[str]:
    yield from _tensors(node, 1)
    x, options = node.input(0), PoolOptions.of(node)
    if len(x.shape) != 4:
        yield f"{x!r} must have 4 dimensions"
        return
    rows, columns = options.out_extent(x.shape)
    if min(rows, columns) < 1 or node.output.shape != (x.shape[0], rows, columns, x.shape[3]):
        yield f"must make {[x.shape[0], rows, columns, x.shape[3]]}, not {node.output!r}"
    if math.prod(options.kernel) > MOST_SUMMED:
        yield f"has more than {MOST_SUMMED} values under a window"
    if options.has_empty_windows:
        yield "has a window without values: pads as large as the kernel"


def _tensors(node: Node, operands: int) -> Iterator[str]:
    if len(node.operands) != operands or len(node.inputs) != operands or len(node.outputs) != 1:
        yield f"takes {operands} operands and makes 1 result"
        return
    for value in (*node.operands, *node.outputs):
        q = value.quantization
        if value.dtype is not DType.INT8 or q is None or len(q.scales) != 1:
            yield f"{value!r} must be int8 with one scale and zero point"


add_check(wire.ADD, _check_add)
add_check(wire.MEAN, _check_mean)
add_check(wire.POOL_2D, _check_pool)
