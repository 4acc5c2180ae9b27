# SPDX-License-Identifier: Apache-2.0
"""TinyEngine's integer kernels beside ours.

The functions that its code generator calls: 1x1, 3x3 with padding 1, depthwise 3x3 as it generates
them, and ADD.  Its kernels take windows whose first row and column are padding, and know no others:
such a window of as many results stands for any of the same kernel and stride.  What it has no
kernel for (other kernels, fully connected layers of odd depth) is not counted.

``TFLSPLIT_TINYENGINE_DIR`` names its sources, which bring the CMSIS 5 that they are built with:

    git clone --recurse-submodules https://github.com/mit-han-lab/tinyengine

They are no part of this repository; 47bb283 is what was measured.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.operands import seeded
from benchmarks.other_kernels import (
    CONV,
    DEPTHWISE,
    Call,
    Counted,
    OtherKernels,
    calls,
    constants_of,
    integers_of,
)
from tests.kernels.kernel_driver import ROOT
from tflsplit.errors import UserError
from tflsplit.ir import Node, Value
from tflsplit.ops.own.custom import conv_2d, depthwise_conv_2d
from tflsplit.ops.own.custom_options import WindowOptions
from tflsplit.ops.own.semantics import Array, run_node
from tflsplit.wire import custom_ops as wire

CLONE = "git clone --recurse-submodules https://github.com/mit-han-lab/tinyengine"
CORES = ("cortex-m4", "cortex-m7")
_KERNELS = (
    *("convolve_1x1_s8", "convolve_1x1_s8_ch8", "convolve_1x1_s8_ch16", "convolve_1x1_s8_ch24"),
    *("convolve_1x1_s8_ch48", "convolve_1x1_s8_oddch", "mat_mult_kernels", "add"),
    *("convolve_s8_kernel3_inputch3_stride2_pad1", "arm_nn_mat_mult_kernel3_input3_s8_s16"),
    "convolve_s8_kernel3_stride1_pad1",
)
_GENERATED = "examples/openmv_face_mask_detection/codegen/Source"
_CMSIS = "TinyEngine/third_party/CMSIS/CMSIS"
_SHARED = "NN/Source/ConvolutionFunctions/arm_nn_mat_mult_kernel_s8_s16_reordered.c"


def sources() -> Path | None:
    """The repository; None where none is named.  Raises UserError if it is not whole."""
    named = os.environ.get("TFLSPLIT_TINYENGINE_DIR")
    if not named:
        return None
    missing = [
        path
        for path in ("TinyEngine/include/tinyengine_function.h", f"{_CMSIS}/{_SHARED}")
        if not (Path(named) / path).is_file()
    ]
    if missing:
        raise UserError(f"TFLSPLIT_TINYENGINE_DIR: no {missing[0]} in {named}; {CLONE}")
    return Path(named)


class TinyEngine(OtherKernels):
    """Its kernels on one emulated core; every layer is a run of its own."""

    def __init__(self, name: str, tree: Path, folder: Path) -> None:
        """Raises UserError if they cannot be built."""
        kernels = tree / "TinyEngine" / "src" / "kernels" / "int_forward_op"
        files = [kernels / f"{each}.c" for each in _KERNELS]
        files += [
            tree / _GENERATED / f"depthwise_kernel3x3_stride{each}_inplace_CHW.c" for each in (1, 2)
        ]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "genInclude.h").write_text("")  # of a generated network
        includes = [tree / "TinyEngine" / "include", folder]
        includes += [tree / _CMSIS / part / "Include" for part in ("Core", "DSP", "NN")]
        driver = ROOT / "benchmarks" / "tinyengine.cc"
        super().__init__(name, [*files, tree / _CMSIS / _SHARED], includes, driver, folder)

    def measure(self, node: Node, arrays: Sequence[Array]) -> Counted | None:
        """Of an explicit node; None of a node with a part that TinyEngine has no kernel for."""
        found = list(calls(node, arrays, call_of))
        return None if None in found else self.run(call for call in found if call is not None)


def call_of(_op: str, part: Node, _x: Array) -> Call | None:
    """Of a convolution, as TinyEngine runs one of its shape."""
    options, (_, *kernel, depth) = WindowOptions.of(part), part.input(1).shape
    is_depthwise = part.op == wire.DEPTHWISE_CONV_2D
    stride, batches = options.stride[0], part.output.shape[0]
    if options.dilation != (1, 1) or options.stride != (stride, stride) or stride > 2:
        return None
    if batches > 1 or kernel not in ([1, 1], [3, 3]) or (is_depthwise and kernel == [1, 1]):
        return None
    if is_depthwise and part.input(0).shape[-1] != depth:
        return None
    if not is_depthwise and (
        depth != part.input(0).shape[-1] or not _takes(kernel[0], stride, depth)
    ):
        return None
    whole = part if kernel == [1, 1] else _padded(part, stride)
    x = seeded(whole)
    weights, bias, multiplier, shift = constants_of(whole)
    if is_depthwise:
        zero_point = integers_of(whole)[18]
        weights = np.moveaxis(weights[0], -1, 0)
        bias = bias - zero_point * weights.astype(np.int32).sum(axis=(1, 2), dtype=np.int32)
    data = *x, np.ascontiguousarray(weights), bias, multiplier, shift
    op = DEPTHWISE if is_depthwise else CONV
    return op, integers_of(whole), data, run_node(whole, x)


def _takes(kernel: int, stride: int, depth: int) -> bool:
    if kernel == 1:
        return stride == 1 and depth % 4 == 0
    return depth == 3 if stride == 2 else depth % 4 == 0


def _padded(part: Node, stride: int) -> Node:
    """As many results of a 3x3 window whose padding is 1."""
    old, (_, rows, columns, _) = part.input(0), part.output.shape
    shape = (1, rows * stride, columns * stride, old.shape[-1])
    after = 2 - stride
    make = depthwise_conv_2d if part.op == wire.DEPTHWISE_CONV_2D else conv_2d
    weights, bias, multiplier, shift = part.inputs[1:5]
    assert weights is not None
    assert multiplier is not None
    assert shift is not None
    x, window = Value("x", shape, old.dtype, old.quantization), (1, after, 1, after)
    both = stride, stride
    return make(x, weights, bias, multiplier, shift, part.output, stride=both, pads=window)
