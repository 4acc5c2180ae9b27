# SPDX-License-Identifier: Apache-2.0
"""Single layers and blocks as devices run them, for counting what kernels cost.

Shapes of the public networks of docs/verified.md, whole and as pieces of 2 to 8 devices: few rows,
few channels, sums over a part of the input channels.  Values are seeded; instructions do not depend
on them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from tflsplit.ir import DType, Node, Quantization, Value
from tflsplit.ops.own import custom
from tflsplit.ops.own.chain import chain
from tflsplit.ops.own.custom_options import WindowOptions
from tflsplit.ops.own.fused import ABSENT, fused_block
from tflsplit.ops.own.fused_options import FusedOptions, Stage
from tflsplit.ops.own.packed import packed

Tables = tuple[Value, Value, Value, Value]

STAGE = Stage(WindowOptions((1, 1), (1, 1), (0, 0, 0, 0)), (-128, 127), -128, 0.25)
"""Of a block: 1x1, scale 0.25, clamped by nothing."""

POINTWISE = (
    (25, 5, 64, 64), (13, 5, 64, 64), (7, 5, 64, 64), (80, 80, 8, 16), (20, 80, 16, 8),
    (48, 48, 8, 16), (12, 24, 32, 32), (3, 12, 64, 64), (6, 6, 64, 128), (3, 3, 128, 256),
    (40, 40, 48, 8), (20, 20, 8, 48), (10, 10, 96, 16), (5, 10, 16, 96), (5, 5, 336, 112),
    (28, 28, 144, 24), (7, 14, 96, 384), (4, 14, 384, 64), (7, 7, 160, 480), (7, 7, 960, 40),
)  # fmt: skip
"""Rows, columns, input channels, output channels."""

CONV = (
    (3, 3, 1, 32, 32, 16, 16), (3, 3, 1, 8, 32, 16, 16), (3, 3, 2, 16, 16, 16, 32),
    (3, 3, 1, 16, 16, 32, 32), (3, 3, 1, 4, 16, 32, 32), (3, 3, 1, 8, 8, 64, 64),
    (3, 3, 1, 2, 8, 64, 64), (3, 3, 1, 32, 32, 3, 16), (3, 3, 2, 48, 48, 3, 8),
    (3, 3, 2, 40, 80, 3, 16), (3, 3, 2, 12, 48, 3, 8), (10, 4, 2, 25, 5, 1, 64),
    (10, 4, 2, 7, 5, 1, 64), (5, 5, 1, 16, 16, 8, 16),
)  # fmt: skip
"""Kernel rows and columns, stride, output rows and columns, input channels, output channels."""

DEPTHWISE = (
    (1, 25, 5, 64), (1, 7, 5, 64), (1, 48, 48, 8), (2, 24, 24, 16), (1, 12, 24, 32),
    (2, 12, 12, 32), (1, 6, 6, 128), (1, 3, 3, 256), (1, 80, 80, 16), (2, 40, 40, 48),
    (1, 20, 20, 48), (1, 5, 10, 96), (2, 5, 5, 96), (1, 5, 5, 336), (1, 14, 28, 144),
    (2, 7, 7, 192), (1, 7, 7, 480),
)  # fmt: skip
"""Stride, output rows and columns, channels; 3x3."""

DENSE = ((64, 12), (640, 128), (128, 128), (256, 100), (448, 1280), (1280, 250))
"""Inputs, outputs."""

BLOCKS = (
    (1, 40, 40, 16, 0, 8), (2, 20, 20, 8, 48, 8), (1, 10, 20, 16, 96, 16), (1, 20, 40, 8, 48, 8),
    (1, 10, 10, 16, 96, 16), (1, 5, 10, 24, 144, 24), (1, 5, 5, 56, 336, 56),
    (1, 14, 14, 24, 144, 24), (2, 14, 14, 32, 192, 64), (1, 7, 14, 64, 384, 64),
    (1, 28, 28, 24, 144, 24), (1, 12, 24, 32, 0, 32), (1, 6, 6, 128, 0, 128), (2, 6, 6, 64, 0, 128),
    (1, 25, 5, 64, 0, 64), (1, 7, 5, 64, 0, 64), (2, 24, 24, 16, 0, 32), (1, 3, 3, 256, 0, 256),
)  # fmt: skip
"""Stride, rows and columns of the depthwise stage's output, input channels, channels of the
expansion (0: none), output channels."""

SWEPT = (
    (1, 28, 28, 32, 192, 32, 8), (1, 28, 28, 32, 192, 32, 28), (2, 14, 14, 32, 192, 64, 8),
    (1, 14, 14, 64, 384, 64, 14), (1, 14, 14, 64, 384, 96, 4), (1, 14, 14, 96, 576, 96, 2),
    (1, 14, 14, 96, 576, 96, 1), (2, 7, 7, 96, 576, 160, 7), (1, 7, 7, 160, 960, 160, 3),
    (1, 7, 7, 160, 960, 320, 1), (1, 28, 4, 32, 192, 32, 4), (1, 14, 2, 64, 384, 64, 2),
    (1, 14, 2, 96, 576, 96, 1), (2, 7, 1, 96, 576, 160, 1), (1, 20, 40, 8, 48, 8, 8),
    (1, 10, 10, 16, 96, 16, 1), (1, 12, 24, 32, 0, 32, 4), (2, 28, 16, 24, 144, 32, 4),
)  # fmt: skip
"""As BLOCKS, and columns of a row that are made at a time, of which few rows are kept."""

SUMS = ((14, 14, 48, 24), (7, 7, 120, 160), (20, 20, 12, 8), (5, 5, 84, 112), (3, 3, 64, 256))
"""As POINTWISE: sums over a part of the input channels, and REQUANTIZE of as many."""

MEANS = ((7, 7, 1280), (1, 7, 1280), (4, 7, 640), (8, 8, 64), (25, 5, 64), (3, 3, 256), (5, 5, 112))
"""Rows, columns, channels of maps of which PARTIAL_SUM adds up the positions."""


def all_cases() -> Iterator[tuple[str, Node]]:
    """Name and node of every case."""
    for rows, columns, depth, channels in POINTWISE:
        yield (
            f"1x1 {rows}x{columns}x{depth} to {channels}",
            _conv((1, 1), 1, (rows, columns), depth, channels),
        )
    for *kernel, stride, rows, columns, depth, channels in CONV:
        name = f"{kernel[0]}x{kernel[1]}/{stride} {rows}x{columns}, {depth} to {channels}"
        yield name, _conv((kernel[0], kernel[1]), stride, (rows, columns), depth, channels)
    for stride, rows, columns, channels in DEPTHWISE:
        yield (
            f"depthwise/{stride} {rows}x{columns}x{channels}",
            _depthwise(stride, (rows, columns), channels),
        )
    for inputs, outputs in DENSE:
        yield f"dense {inputs} to {outputs}", _conv((1, 1), 1, (1, 1), inputs, outputs)
    for block in BLOCKS:
        yield f"block {block}", _block(*block)
    for swept in SWEPT:
        yield f"swept {swept}", _block(*swept)
    yield from chains()
    for rows, columns, depth, channels in SUMS:
        size = f"{rows}x{columns}x{depth} to {channels}"
        yield f"sums {size}", _partial((rows, columns), depth, channels)
        yield f"requantize {rows}x{columns}x{channels}", _requantize((rows, columns), channels)
    for rows, columns, channels in MEANS:
        yield f"mean {rows}x{columns}x{channels}", _mean((rows, columns), channels)


def _constant(name: str, data: np.ndarray) -> Value:
    return Value(name, data.shape, DType.of(data.dtype), None, data)


def activation(name: str, *shape: int, zero_point: int = -128) -> Value:
    """An int8 tensor that is computed, of scale 0.5."""
    return Value(name, shape, DType.INT8, Quantization((0.5,), (zero_point,)))


def tables(name: str, channels: int, *weights: int) -> Tables:
    """Seeded weights of this shape, and bias, multiplier and shift of as many channels."""
    rng = np.random.default_rng(len(name))
    return (
        _constant(f"{name}/weights", rng.integers(-127, 128, weights, np.int8)),
        _constant(f"{name}/bias", rng.integers(-999, 999, channels, np.int32)),
        _constant(f"{name}/multiplier", np.full(channels, 1_500_000_000, np.int32)),
        _constant(f"{name}/shift", np.full(channels, -9, np.int32)),
    )


def _window(
    kernel: tuple[int, int], stride: int, out: tuple[int, int]
) -> tuple[tuple[int, int], WindowOptions]:
    """Extents of the input, and options, with a padding of half the kernel all around."""
    pads = kernel[0] // 2, kernel[0] // 2, kernel[1] // 2, kernel[1] // 2
    extents = tuple(
        max(1, (o - 1) * stride + k - 2 * (k // 2)) for o, k in zip(out, kernel, strict=True)
    )
    return (extents[0], extents[1]), WindowOptions((stride, stride), (1, 1), _pads(pads, kernel))


def _pads(pads: tuple[int, int, int, int], kernel: tuple[int, int]) -> tuple[int, int, int, int]:
    return (0, 0, 0, 0) if kernel == (1, 1) else pads


def _conv(
    kernel: tuple[int, int], stride: int, out: tuple[int, int], depth: int, channels: int
) -> Node:
    extents, window = _window(kernel, stride, out)
    return custom.conv_2d(
        activation("x", 1, *extents, depth),
        *tables("w", channels, channels, *kernel, depth),
        activation("y", 1, *out, channels),
        stride=window.stride,
        pads=window.pads,
    )


def _depthwise(stride: int, out: tuple[int, int], channels: int) -> Node:
    extents, window = _window((3, 3), stride, out)
    return custom.depthwise_conv_2d(
        activation("x", 1, *extents, channels),
        *tables("w", channels, 1, 3, 3, channels),
        activation("y", 1, *out, channels),
        stride=window.stride,
        pads=window.pads,
    )


def _block(
    stride: int,
    rows: int,
    columns: int,
    depth: int,
    wide: int,
    channels: int,
    window_columns: int = 0,
) -> Node:
    middle = wide or depth
    extents, window = _window((3, 3), stride, (rows, columns))
    return fused_block(
        activation("x", 1, *extents, depth),
        tables("e", wide, wide, 1, 1, depth) if wide else ABSENT,
        tables("d", middle, 1, 3, 3, middle),
        tables("p", channels, channels, 1, 1, middle),
        activation("y", 1, rows, columns, channels, zero_point=3),
        FusedOptions(
            STAGE if wide else None,
            replace(STAGE, window=window),
            window_columns=window_columns,
        ),
        "block",
    )


CHAINS = ((1, 56, 16), (4, 56, 16), (1, 112, 8), (4, 56, 28), (8, 56, 4))
"""Columns at a time, rows and columns of a map that two blocks read."""


def chains() -> Iterator[tuple[str, Node]]:
    """Chains of two blocks, as MobileNetV2 begins with."""
    for windows, rows, columns in CHAINS:
        first = _block(1, rows, columns, 24, 144, 24)
        last = _block(2, rows // 2, columns // 2, 24, 144, 32)
        x = replace(last, inputs=(first.output, *last.inputs[1:]))
        yield (
            f"chain {rows}x{columns}, {windows} at a time",
            chain([packed(first), packed(x)], windows, name="chain"),
        )


def _partial(out: tuple[int, int], depth: int, channels: int) -> Node:
    return custom.partial_conv_2d(
        activation("x", 1, *out, depth),
        tables("w", channels, channels, 1, 1, depth)[0],
        Value("s", (1, *out, channels), DType.INT32),
    )


def _requantize(out: tuple[int, int], channels: int) -> Node:
    _, bias, multiplier, shift = tables("w", channels, 1)
    sums = Value("s", (1, *out, channels), DType.INT32)
    return custom.requantize(sums, bias, multiplier, shift, activation("y", 1, *out, channels))


def _mean(extents: tuple[int, int], channels: int) -> Node:
    sums = Value("s", (1, channels), DType.INT32)
    return custom.partial_sum(activation("x", 1, *extents, channels), sums, axes=(1, 3))
