# SPDX-License-Identifier: Apache-2.0
"""Where the TFLM of PlatformIO's registry keeps other memory than today's.

Chirale_TensorFLowLite 2.0.0 is TFLM of the end of 2022 with CMSIS-NN's kernels of that time, in
plain C where the core has no DSP extension.  Read from its sources at commit 46da2f9
(``tensorflow/lite/micro/kernels``, ``.../kernels/cmsis_nn``, ``third_party/cmsis_nn``); built with
TF_LITE_STATIC_MEMORY, as ``platformio.ini`` does.
"""

from __future__ import annotations

from functools import partial

from tflsplit.ir import DType, Node
from tflsplit.memory import cmsis_nn, kernels, structs
from tflsplit.memory.abi import Abi
from tflsplit.memory.cmsis_nn import dilation, pads, stride
from tflsplit.memory.kernels import Prepare, Prepared

OPTIONS: dict[str, str] = {
    "CONV_2D": "e ii e ii",
    "FULLY_CONNECTED": "ee??",
    "STRIDED_SLICE": "iiiii",
    "TRANSPOSE_CONV": "e ii e",
}
"""Those without a field that came later."""

OP_DATA: dict[str, str] = {
    "ABS": "iiii ?ee",
    "AVERAGE_POOL_2D": cmsis_nn.OP_DATA["AVERAGE_POOL_2D"],
    "CONCATENATION": "{iPPiif}",
    "CONV_2D": cmsis_nn.OP_DATA["CONV_2D"],
    "DEPTHWISE_CONV_2D": cmsis_nn.OP_DATA["DEPTHWISE_CONV_2D"],
    "FULLY_CONNECTED": "{ii ii i iii i} PP i iii",
    "MAX_POOL_2D": cmsis_nn.OP_DATA["MAX_POOL_2D"],
    "RELU6": "bb",
    "RSQRT": "iiii ?ee",
    "SELECT_V2": "??",
    "SOFTMAX": cmsis_nn.OP_DATA["SOFTMAX"],
    "STRIDED_SLICE": "b iiiii b iiiii b iiiii hhhhh",
    "SVDF": "iiiiiiiii",
    "TRANSPOSE_CONV": f"{structs.CONV_PARAMS} ii PP",
}

MADE_AGAIN = frozenset({"CONCATENATION"})
"""See ``Demand.made_again``."""

OTHER_BITS = frozenset({"MEAN", "SUM"})
"""Kernels whose int8 results were measured to be others than today's."""

_FAST_INT16_COLUMNS = 512  # arm_convolve_wrapper_s16.c


def _conv(dsp: bool, node: Node, abi: Abi) -> Prepared:
    x, filters = node.input(0), node.input(1).shape
    if x.dtype is DType.FLOAT32:
        return Prepared()
    tables = kernels.channel_tables(filters[0])
    columns = x.shape[3] * filters[1] * filters[2]
    if x.dtype is DType.INT16:
        fast = dsp and columns < _FAST_INT16_COLUMNS and dilation(node) == (1, 1)
        return Prepared(tables, (4 * columns,) if fast else ())
    ones = (filters[1:3], stride(node), dilation(node))
    pointwise = all(each == (1, 1) for each in ones) and pads(node) == (0, 0)
    return Prepared(tables, () if pointwise else (4 * columns,))


def _depthwise(dsp: bool, node: Node, abi: Abi) -> Prepared:
    x, filters = node.input(0), node.input(1).shape
    if x.dtype is DType.FLOAT32:
        return Prepared()
    tables = kernels.channel_tables(filters[3])
    optimized = x.shape[3] == filters[3] and x.shape[0] == 1 and dilation(node) == (1, 1)
    if not dsp or x.dtype is not DType.INT8 or not optimized:
        return Prepared(tables)
    # Also where the kernel for 3x3 runs, which does without.
    return Prepared(tables, (2 * x.shape[3] * filters[1] * filters[2],))


def _fully_connected(node: Node, abi: Abi) -> Prepared:
    outputs, depth = node.output.shape, node.input(1).shape[-1]
    as_convolution = len(outputs) > 2 and depth % 4 == 0
    if node.input(0).dtype is not DType.INT8 or not as_convolution:
        return Prepared()
    return Prepared(kernels.channel_tables(outputs[-1]))


def _average_pool(dsp: bool, node: Node, abi: Abi) -> Prepared:
    x = node.input(0)
    return Prepared((), (4 * x.shape[3],) if dsp and x.dtype is DType.INT8 else ())


def _concatenation(node: Node, abi: Abi) -> Prepared:
    pieces = 4 * len(node.inputs)  # scales and zero points
    return Prepared((pieces, pieces) if node.output.dtype is DType.INT8 else ())


def _mean_or_sum(node: Node, abi: Abi) -> Prepared:
    is_integer = node.input(0).dtype in (DType.INT8, DType.INT16)
    return Prepared((), (4 * node.output.size,) if is_integer else ())


def _prepare(dsp: bool) -> dict[str, Prepare]:
    return {
        "AVERAGE_POOL_2D": partial(_average_pool, dsp),
        "CONCATENATION": _concatenation,
        "CONV_2D": partial(_conv, dsp),
        "DEPTHWISE_CONV_2D": partial(_depthwise, dsp),
        "FULLY_CONNECTED": _fully_connected,
        "MEAN": _mean_or_sum,
        "SUM": _mean_or_sum,
    }


PREPARE_DSP = _prepare(dsp=True)
"""Cortex-M4, M7 and M33."""
PREPARE_PLAIN = _prepare(dsp=False)
"""Cortex-M0+, Xtensa."""
