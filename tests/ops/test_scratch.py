# SPDX-License-Identifier: Apache-2.0
"""Scratch of our operators, worked out by hand from docs/custom_ops.md (the kernels' own count is
compared in tests/test_split_kernels.py)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.ops.custom_cases import constant
from tests.ops.test_fused import SAME_3X3, block, stage
from tflsplit.ir import DType, Node, Quantization, Value
from tflsplit.ops.own import custom
from tflsplit.ops.own.chain_layout import UnitSizes, tiled
from tflsplit.ops.own.custom_options import WindowOptions
from tflsplit.ops.own.fused_options import FusedOptions
from tflsplit.ops.own.scratch import BlockScratch, block_scratch, scratch_bytes, swept_sizes
from tflsplit.ops.own.semantics import Array
from tflsplit.wire import custom_ops as wire


def _x(*shape: int) -> Value:
    return Value("x", shape, DType.INT8, Quantization((0.5,), (-7,)))


def _tables(channels: int) -> tuple[Value, Value, Value]:
    numbers: Array = np.zeros(channels, np.int32)
    return constant("b", numbers), constant("m", numbers), constant("s", numbers)


def _convolution(
    x: Value, weights: tuple[int, ...], y: tuple[int, ...], stride: tuple[int, int] = (1, 1)
) -> Node:
    make = custom.depthwise_conv_2d if weights[0] == 1 and weights[3] > 1 else custom.conv_2d
    bias, multiplier, shift = _tables(y[3])
    filters = constant("w", np.zeros(weights, np.int8))
    return make(x, filters, bias, multiplier, shift, _x(*y), stride=stride)


@pytest.mark.parametrize(
    ("node", "size"),
    [
        pytest.param(_convolution(_x(1, 6, 6, 8), (8, 1, 1, 8), (1, 6, 6, 8)), 4 * 8 * 2, id="1x1"),
        pytest.param(
            _convolution(_x(1, 1, 3, 5), (8, 1, 1, 5), (1, 1, 3, 8)),
            3 * 8 * 2,
            id="three positions, five channels are eight",
        ),
        pytest.param(
            _convolution(_x(1, 6, 6, 8), (8, 1, 1, 8), (1, 3, 3, 8), stride=(2, 2)),
            3 * 8 * 3,
            id="1x1 with stride: windows of a row",
        ),
        pytest.param(
            _convolution(_x(1, 6, 6, 3), (8, 3, 3, 3), (1, 4, 4, 8)), 4 * 28 * 3, id="3x3"
        ),
        pytest.param(
            _convolution(_x(1, 6, 6, 8), (8, 3, 3, 4), (1, 4, 4, 8)), 4 * 36 * 3, id="grouped"
        ),
        pytest.param(
            _convolution(_x(1, 6, 6, 8), (1, 3, 3, 8), (1, 4, 4, 8)),
            4 * 3 * 6 + 4,
            id="depthwise: four planes of three rows",
        ),
        pytest.param(
            _convolution(_x(1, 6, 6, 3), (1, 3, 3, 3), (1, 4, 4, 3)), 3 * 3 * 6 + 6, id="three"
        ),
    ],
)
def test_scratch_of_convolutions(node: Node, size: int) -> None:
    assert scratch_bytes(node) == size


STRIDED = stage((2, 2), pads=(0, 1, 0, 1))


@pytest.mark.parametrize(
    ("node", "planes", "work"),
    [
        pytest.param(block(), 3 * 12 * 12 + 4, 240 + 96, id="all columns, and pads; two rows"),
        pytest.param(block(tile_columns=4), 3 * 6 * 12 + 4, 48 + 96, id="4 columns read 6"),
        pytest.param(block(tile_columns=99), 3 * 12 * 12 + 4, 240 + 96, id="wider than y"),
        pytest.param(block(tile_columns=1), 3 * 3 * 12 + 4, 12 + 24, id="one column"),
        pytest.param(block(depthwise=STRIDED, tile_columns=2), 3 * 5 * 12 + 4, 24 + 48, id="s2"),
        pytest.param(
            block(depthwise=stage(dilation=(2, 1), pads=(2, 2, 1, 1)), tile_columns=3),
            5 * 5 * 12 + 4,
            36 + 72,
            id="dilated rows",
        ),
        pytest.param(
            block(kernel=5, depthwise=stage()), 5 * 10 * 12 + 4, 144 + 96, id="5x5, no pads"
        ),
        pytest.param(block(expand=None), 4 * 3 * 12 + 4, 80 + 32, id="no expansion"),
        pytest.param(
            block(extent=(8, 40)), 3 * 42 * 12 + 4, 32 * 12 + 96, id="a chunk of 32 columns"
        ),
    ],
)
def test_scratch_of_blocks(node: Node, planes: int, work: int) -> None:
    assert block_scratch(node) == BlockScratch(planes, work)
    assert scratch_bytes(node) == planes + work


def test_scratch_of_other_tiles() -> None:
    assert block_scratch(block(tile_columns=4), 0) == block_scratch(block())
    assert block_scratch(block(), 4) == block_scratch(block(tile_columns=4))
    assert SAME_3X3.window.pads == (1, 1, 1, 1)


@pytest.mark.parametrize(
    ("columns", "carried", "fresh", "work"),
    [
        pytest.param(1, 12 * 2, 12 * 12 + 4, 2 * 12 + 32 + 12, id="one column: its d is widened"),
        pytest.param(4, 12 * 2, 12 * 3 * 6 + 4, 8 * 12 + 32 + 4 * 12, id="four: windows take more"),
        pytest.param(5, 12 * 2, 12 * 3 * 7 + 4, 5 * 12 + 8 * 12, id="five: d is widened in fours"),
        pytest.param(99, 0, 12 * 3 * 12 + 4, 120 + 8 * 12, id="whole rows share nothing"),
    ],
)
def test_scratch_of_windows(columns: int, carried: int, fresh: int, work: int) -> None:
    """Two rows of 12 columns of 12 channels are kept; four positions of x take 32 bytes."""
    node = block()
    options = replace(FusedOptions.of(node), window_columns=columns)
    node = replace(node, attrs=wire.encode(wire.FUSED_BLOCK, options.attrs()))
    assert scratch_bytes(node) == 12 * 2 * 12 + carried + fresh + work


def test_as_many_columns_as_fit() -> None:
    """All of them, else fours, else fewer; never fewer than were wanted."""
    sizes = swept_sizes(block())
    most = {columns: sizes.swept_bytes(columns) for columns in (1, 3, 4, 8, 10)}
    assert [sizes.columns_within(1, size) for size in most.values()] == [1, 3, 4, 8, 10]
    assert [sizes.columns_within(1, size - 1) for size in most.values()] == [1, 2, 3, 4, 8]
    assert sizes.columns_within(6, 0) == 6
    assert sizes.columns_within(99, 0) == 10


def test_a_tile_has_no_columns_that_no_window_reads() -> None:
    """Nor where it needs all that a unit makes: of x a stride leaves the last column over."""
    strided = WindowOptions((3, 3), (1, 2), (0, 1, 2, 1))
    dilated = WindowOptions((1, 1), (1, 2), (0, 0, 1, 2))
    first = UnitSizes((9, 9, 9), (9, 9, 19), (3, 4, 8), None, (strided, (3, 1)), False)
    last = UnitSizes((3, 4, 8), (3, 4, 8), (1, 3, 8), None, (dilated, (3, 3)), False)
    assert [tile.x for tile in tiled([first, last], 1, 1)] == [(0, 8), (0, 8), (1, 8)]
    assert [tile.x for tile in tiled([first, last], 1, 0)] == [(0, 9)]
