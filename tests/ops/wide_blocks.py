# SPDX-License-Identifier: Apache-2.0
"""Blocks as wide as in networks: many columns, and enough values for every rounding of ADD."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from tests.ops.custom_cases import Array, Case, constant
from tflsplit.ir import DType, Quantization, Value
from tflsplit.ops.own.custom import INT8_RANGE
from tflsplit.ops.own.custom_options import WindowOptions
from tflsplit.ops.own.fused import ABSENT, Operands, fused_block
from tflsplit.ops.own.fused_options import FusedOptions, ResidualAdd, Stage
from tflsplit.ops.quantmath import add_multipliers
from tflsplit.wire import custom_ops as wire

SCALE = 0.25
SAME = WindowOptions((1, 1), (1, 1), (1, 1, 1, 1))
RELU = Stage(WindowOptions(), INT8_RANGE, -128, SCALE)


def tables(name: str, channels: int, *weights: int) -> Operands:
    """Weights, bias, multiplier and shift of a stage whose sums fill most of int8."""
    rng = np.random.default_rng(channels)
    products = int(np.prod(weights[1:])) if weights[0] != 1 else 9
    shift = -6 - int(np.ceil(np.log2(products) / 2))
    return (
        constant(f"{name}/weights", rng.integers(-128, 128, weights, np.int8)),
        constant(f"{name}/bias", rng.integers(-9999, 9999, channels, np.int32)),
        constant(f"{name}/multiplier", np.full(channels, 1_500_000_000, np.int32)),
        constant(f"{name}/shift", np.full(channels, shift, np.int32)),
    )


def wide_cases() -> Iterator[Case]:
    """With an expansion or a first convolution, of 11 to 31 columns; odd numbers of channels."""
    stem = WindowOptions((2, 2), (1, 1), (0, 1, 0, 1))
    for columns, depth, wide, channels in ((11, 9, 27, 10), (19, 16, 21, 7), (31, 5, 32, 9)):
        yield block_case(columns, depth, wide, channels, WindowOptions(), (1, 1))
        yield block_case(columns, 3, wide, channels, stem, (3, 3))
        yield block_case(columns, depth, 0, channels, WindowOptions(), (1, 1))


def whole_window_cases() -> Iterator[Case]:
    """Windows as wide as the rows of y, of more channels than are made together."""
    stem = WindowOptions((2, 2), (1, 1), (0, 1, 0, 1))
    for columns, depth, wide in ((3, 9, 33), (4, 40, 70), (7, 6, 64), (9, 3, 65)):
        for case in (
            block_case(columns, depth, wide, 10, WindowOptions(), (1, 1)),
            block_case(columns, 3, wide, 10, stem, (3, 3)),
            block_case(columns, wide, 0, 10, WindowOptions(), (1, 1)),
            _strided(columns, depth, wide),
        ):
            yield _in_windows(case, 9)


def _in_windows(case: Case, columns: int) -> Case:
    options = replace(FusedOptions.of(case.node), window_columns=columns)
    attrs = wire.encode(wire.FUSED_BLOCK, options.attrs())
    return Case(replace(case.node, attrs=attrs), case.arrays)


def strided_cases() -> Iterator[Case]:
    """A depthwise convolution with stride 2; rows of whole fours of columns, and not."""
    for columns, tile in ((27, 0), (32, 0), (33, 9)):
        yield _strided(columns, 5, 22, tile)


def _strided(columns: int, depth: int, wide: int, tile: int = 0) -> Case:
    two = Stage(WindowOptions((2, 2), (1, 1), (1, 1, 1, 1)), INT8_RANGE, -128, SCALE)
    x, e = _value("x", (1, 9, columns, depth)), tables("e", wide, wide, 1, 1, depth)
    made = two.window.output_extent((1, 9, columns, wide), (3, 3))
    y = _value("y", (1, *made, 6), zero_point=3)
    d, p = tables("d", wide, 1, 3, 3, wide), tables("p", 6, 6, 1, 1, wide)
    options = FusedOptions(RELU, two, tile_columns=tile)
    return Case(fused_block(x, e, d, p, y, options), (_data(x),))


def block_case(
    columns: int,
    depth: int,
    wide: int,
    channels: int,
    window: WindowOptions,
    kernel: tuple[int, int],
) -> Case:
    """A block of seven rows of x; ``wide``: channels of the expansion, 0 if there is none."""
    x = _value("x", (1, 7, columns, depth))
    at = (1, *window.output_extent(x.shape, kernel), wide or depth)
    depthwise = replace(RELU, window=SAME)
    node = fused_block(
        x,
        tables("e", wide, wide, *kernel, depth) if wide else ABSENT,
        tables("d", at[3], 1, 3, 3, at[3]),
        tables("p", channels, channels, 1, 1, at[3]),
        _value("y", (*at[:3], channels), zero_point=3),
        FusedOptions(replace(RELU, window=window) if wide else None, depthwise),
    )
    return Case(node, (_data(x),))


def adding_cases() -> Iterator[Case]:
    """ADD with scales whose sums often lie in the middle between two results, and without."""
    for ratio, of_y in ((1.0, 2.0), (0.5, 2.0), (2.0, 4.0), (4.0, 2.0), (1.0, 8.0), (0.7, 1.3)):
        x, residual = _value("x", (1, 16, 16, 8)), _value("r", (1, 16, 16, 9), SCALE * ratio, -5)
        y = _value("y", residual.shape, SCALE * of_y, 11)
        multipliers = add_multipliers(SCALE, SCALE * ratio, SCALE * of_y)
        add = ResidualAdd(INT8_RANGE, 3, SCALE, 0, multipliers, -5)
        node = fused_block(
            x,
            ABSENT,
            tables("d", 8, 1, 3, 3, 8),
            tables("p", 9, 9, 1, 1, 8),
            y,
            FusedOptions(None, replace(RELU, window=SAME), INT8_RANGE, add=add),
            residual=residual,
        )
        yield Case(node, (_data(x), _data(residual)))


def _value(
    name: str, shape: tuple[int, ...], scale: float = SCALE, zero_point: int = -128
) -> Value:
    return Value(name, shape, DType.INT8, Quantization((scale,), (zero_point,)))


def _data(value: Value) -> Array:
    return np.random.default_rng(7).integers(-128, 128, value.shape, np.int8)
