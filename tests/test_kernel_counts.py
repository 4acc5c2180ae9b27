# SPDX-License-Identifier: Apache-2.0
"""Instructions that kernels take are ceilings: QEMU counts them alike every time.

A change that makes a kernel slower is seen here; one that makes it faster lowers the figure in the
same commit.  ``python -m benchmarks.kernels`` counts whole networks.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.contenders import EmulatedKernels
from benchmarks.kernel_shapes import STAGE, activation, tables
from benchmarks.operands import computed_operands, reference
from tests.kernels.cortex_m import EMULATOR, needs
from tflsplit.ir import DType, Node, Value
from tflsplit.ops.own import custom, unweighted
from tflsplit.ops.own.custom_options import WindowOptions
from tflsplit.ops.own.fused import ABSENT, fused_block
from tflsplit.ops.own.fused_options import FusedOptions

SAME = WindowOptions((1, 1), (1, 1), (1, 1, 1, 1))


def convolution(
    extent: int, depth: int, channels: int, kernel: int = 1, stride: int = 1, zero_point: int = -128
) -> Node:
    pad = kernel // 2
    out = (extent + 2 * pad - kernel) // stride + 1
    weights, bias, multiplier, shift = tables("w", channels, channels, kernel, kernel, depth)
    y = activation("y", 1, out, out, channels, zero_point=zero_point)
    x = activation("x", 1, extent, extent, depth)
    window = {"stride": (stride, stride), "pads": (pad, pad, pad, pad)}
    return custom.conv_2d(x, weights, bias, multiplier, shift, y, **window)  # type: ignore[arg-type]


def depthwise(extent: int, channels: int, stride: int, each: int = 1) -> Node:
    """each: channels of the result for one of x."""
    out, made = (extent - 1) // stride + 1, channels * each
    weights, bias, multiplier, shift = tables("w", made, 1, 3, 3, made)
    x, y = activation("x", 1, extent, extent, channels), activation("y", 1, out, out, made)
    pads, strides = (1, 1, 1, 1), (stride, stride)
    make = custom.depthwise_conv_2d
    return make(x, weights, bias, multiplier, shift, y, stride=strides, pads=pads)


def first_block(extent: int, wide: int, channels: int) -> Node:
    """A convolution with stride of three channels instead of an expansion."""
    window = WindowOptions((2, 2), (1, 1), (0, 1, 0, 1))
    made = extent // 2
    return fused_block(
        activation("x", 1, extent, extent, 3),
        tables("e", wide, wide, 3, 3, 3),
        tables("d", wide, 1, 3, 3, wide),
        tables("p", channels, channels, 1, 1, wide),
        activation("y", 1, made, made, channels, zero_point=3),
        FusedOptions(replace(STAGE, window=window), replace(STAGE, window=SAME)),
        "block",
    )


def block(extent: int, depth: int, wide: int, channels: int) -> Node:
    d = replace(STAGE, window=SAME)
    return fused_block(
        activation("x", 1, extent, extent, depth),
        tables("e", wide, wide, 1, 1, depth) if wide != depth else ABSENT,
        tables("d", wide, 1, 3, 3, wide),
        tables("p", channels, channels, 1, 1, wide),
        activation("y", 1, extent, extent, channels, zero_point=3),
        FusedOptions(STAGE if wide != depth else None, d),
        "block",
    )


def pool(kernel: int, stride: int, *, maximum: bool) -> Node:
    out = (8 - kernel) // stride + 1
    options = unweighted.PoolOptions(
        (kernel, kernel), (stride, stride), (0, 0, 0, 0), (-128, 127), maximum
    )
    x, y = activation("x", 1, 8, 8, 64), activation("y", 1, out, out, 64)
    return unweighted.pool_2d(x, y, options)


CASES = {
    "conv 1x1, 96 to 24, 14x14, linear": convolution(14, 96, 24, zero_point=3),
    "conv 1x1, 24 to 144, 14x14": convolution(14, 24, 144),
    "conv 1x1, one position, 640 to 96": convolution(1, 640, 96),
    "conv 3x3 stride 2, 3 to 16, 48x48": convolution(48, 3, 16, kernel=3, stride=2),
    "conv 3x3, 16 to 16, 16x16": convolution(16, 16, 16, kernel=3),
    "depthwise 3x3, 96, 14x14": depthwise(14, 96, 1),
    "depthwise 3x3 stride 2, 48, 28x28": depthwise(28, 48, 2),
    "depthwise 3x3 stride 2, 1 to 8, 48x48": depthwise(48, 1, 2, 8),
    "block 24 to 144 to 24, 14x14": block(14, 24, 144, 24),
    "block without expansion, 32 to 32, 12x12": block(12, 32, 32, 32),
    "block 9 to 27 to 10, 19x19": block(19, 9, 27, 10),
    "first block, 3 to 17 to 8, 50x50": first_block(50, 17, 8),
    "first block, 3 to 8 to 16, 48x48": first_block(48, 8, 16),
    "sums of 7x7x320": custom.partial_sum(
        activation("x", 1, 7, 7, 320), Value("y", (1, 320), DType.INT32), axes=(1, 3)
    ),
    "add, 32x32x16": unweighted.add(
        activation("x", 1, 32, 32, 16), activation("other", 1, 32, 32, 16),
        activation("y", 1, 32, 32, 16, zero_point=3),
        multipliers=((1 << 30, 0), (1 << 30, -1), (1 << 30, -18)), activation=(-128, 127),
    ),
    "mean of 7x7x320": unweighted.mean(
        activation("x", 1, 7, 7, 320), activation("y", 1, 320), axes=(1, 3), scaling=(1 << 30, -4)
    ),
    "average pool 8x8x64": pool(8, 1, maximum=False),
    "maximum pool 2x2 of 8x8x64": pool(2, 2, maximum=True),
}  # fmt: skip

# Thousands of instructions, rounded up.
PORTABLE = "portable C++ on cortex-m7"
CEILINGS: dict[str, dict[str, int]] = {
    PORTABLE: {
        "conv 1x1, 96 to 24, 14x14, linear": 1017,
        "block without expansion, 32 to 32, 12x12": 572,
        "block 9 to 27 to 10, 19x19": 1151,
        "depthwise 3x3, 96, 14x14": 877,
    },
    "cortex-m0plus": {
        "conv 1x1, 96 to 24, 14x14, linear": 1432,
        "conv 3x3, 16 to 16, 16x16": 1837,
        "block without expansion, 32 to 32, 12x12": 989,
        "block 9 to 27 to 10, 19x19": 1901,
        "first block, 3 to 8 to 16, 48x48": 1749,
        "depthwise 3x3, 96, 14x14": 1431,
        "add, 32x32x16": 1108,
    },
    "cortex-m7": {
        "conv 1x1, 96 to 24, 14x14, linear": 441,
        "conv 1x1, 24 to 144, 14x14": 764,
        "conv 1x1, one position, 640 to 96": 108,
        "conv 3x3 stride 2, 3 to 16, 48x48": 347,
        "conv 3x3, 16 to 16, 16x16": 595,
        "depthwise 3x3, 96, 14x14": 512,
        "depthwise 3x3 stride 2, 48, 28x28": 345,
        "depthwise 3x3 stride 2, 1 to 8, 48x48": 146,
        "block 24 to 144 to 24, 14x14": 1947,
        "block without expansion, 32 to 32, 12x12": 287,
        "block 9 to 27 to 10, 19x19": 575,
        "first block, 3 to 17 to 8, 50x50": 859,
        "first block, 3 to 8 to 16, 48x48": 481,
        "sums of 7x7x320": 21,
        "add, 32x32x16": 196,
        "mean of 7x7x320": 29,
        "average pool 8x8x64": 7,
        "maximum pool 2x2 of 8x8x64": 29,
    },
    "cortex-m55": {
        "conv 1x1, 96 to 24, 14x14, linear": 95,
        "conv 1x1, 24 to 144, 14x14": 239,
        "conv 1x1, one position, 640 to 96": 14,
        "conv 3x3 stride 2, 3 to 16, 48x48": 199,
        "conv 3x3, 16 to 16, 16x16": 148,
        "depthwise 3x3, 96, 14x14": 277,
        "depthwise 3x3 stride 2, 48, 28x28": 203,
        "block 24 to 144 to 24, 14x14": 583,
        "block without expansion, 32 to 32, 12x12": 96,
        "block 9 to 27 to 10, 19x19": 247,
        "first block, 3 to 17 to 8, 50x50": 432,
        "sums of 7x7x320": 11,
        "add, 32x32x16": 201,
        "mean of 7x7x320": 20,
        "average pool 8x8x64": 5,
        "maximum pool 2x2 of 8x8x64": 27,
    },
}


@pytest.fixture(scope="module")
def boards(tmp_path_factory: pytest.TempPathFactory) -> dict[str, EmulatedKernels]:
    needs(EMULATOR)
    folder: Path = tmp_path_factory.mktemp("counts")
    kernels = {core: EmulatedKernels(core, "ours", folder) for core in CEILINGS if core != PORTABLE}
    return {**kernels, PORTABLE: EmulatedKernels("cortex-m7", "portable", folder)}


@pytest.mark.parametrize(("core", "name"), [(c, name) for c in CEILINGS for name in CEILINGS[c]])
def test_no_kernel_takes_more(boards: dict[str, EmulatedKernels], core: str, name: str) -> None:
    node = CASES[name]
    rng = np.random.default_rng(3)
    arrays = [rng.integers(-128, 128, v.shape, np.int8) for v in computed_operands(node)]
    y, instructions, _ = boards[core].run(node, arrays)
    np.testing.assert_array_equal(y, reference(node, arrays))
    assert 0 < instructions <= 1000 * CEILINGS[core][name]
