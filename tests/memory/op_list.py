# SPDX-License-Identifier: Apache-2.0
"""The cases by name: every operator of ``structs.KNOWN`` at least once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from tests.memory.op_cases import (
    BOOL,
    F32,
    I8,
    I16,
    I32,
    IMAGE,
    batch_matmul,
    binary,
    constant,
    convolution,
    depthwise,
    filters,
    fully_connected,
    graph,
    integers,
    pool,
    reduction,
    reshaping,
    svdf,
    tensor,
    transpose_convolution,
    unary,
)
from tflsplit.ir import Graph

Case = Callable[[], Graph]

_PADS = np.array([[0, 0], [1, 1], [2, 1], [0, 0]], np.int32)


def _float_convolution() -> Graph:
    weights = constant(np.zeros((7, 3, 3, 8), np.float32))
    b = constant(np.zeros(7, np.float32))
    return graph(
        "CONV_2D", [tensor(IMAGE, F32), weights, b], [tensor((1, 6, 5, 7), F32)],
        padding=0, stride_h=1, stride_w=1, dilation_h_factor=1, dilation_w_factor=1,
        fused_activation_function=0,
    )  # fmt: skip


def _packed() -> Graph:
    return graph("PACK", [tensor((4, 3)) for _ in range(3)], [tensor((3, 4, 3))],
                 values_count=3, axis=0)  # fmt: skip


def _unpacked() -> Graph:
    return graph("UNPACK", [tensor((3, 4))], [tensor((4,)) for _ in range(3)], num=3, axis=0)


def _concatenated(count: int) -> Graph:
    return graph("CONCATENATION", [tensor((1, 4, 2)) for _ in range(count)],
                 [tensor((1, 4, 2 * count))], axis=2, fused_activation_function=0)  # fmt: skip


def _split() -> Graph:
    return graph("SPLIT", [integers(3), tensor(IMAGE)], [tensor((1, 6, 5, 4)) for _ in range(2)],
                 num_splits=2)  # fmt: skip


def _split_v() -> Graph:
    return graph("SPLIT_V", [tensor(IMAGE), integers(3, 5), integers(3)],
                 [tensor((1, 6, 5, 3)), tensor((1, 6, 5, 5))], num_splits=2)  # fmt: skip


def _gathered() -> Graph:
    return reshaping("GATHER", (1, 2, 5, 8), integers(3, 1), axis=1, batch_dims=0)


def _gathered_nd() -> Graph:
    indices = constant(np.array([[0, 1], [0, 2], [0, 3]], np.int32))
    return reshaping("GATHER_ND", (3, 5, 8), indices)


def _selected() -> Graph:
    return graph("SELECT_V2", [tensor(IMAGE, BOOL), tensor(IMAGE), tensor(IMAGE)],
                 [tensor(IMAGE)])  # fmt: skip


def _updated() -> Graph:
    return graph("DYNAMIC_UPDATE_SLICE", [tensor((4, 6)), tensor((2, 3)), integers(1, 1)],
                 [tensor((4, 6))])  # fmt: skip


def _strided() -> Graph:
    return reshaping(
        "STRIDED_SLICE", (1, 4, 5, 8), integers(0, 1, 0, 0), integers(1, 5, 5, 8),
        integers(1, 1, 1, 1), begin_mask=0, end_mask=0, ellipsis_mask=0, new_axis_mask=0,
        shrink_axis_mask=0, offset=False,
    )  # fmt: skip


def _broadcast_shape() -> Graph:
    return graph("BROADCAST_ARGS", [tensor((4,), I32), tensor((4,), I32)], [tensor((4,), I32)])


def _many(op_names: str, make: Callable[[str], Graph]) -> dict[str, Case]:
    return {op: partial(make, op) for op in op_names.split()}


CASES: dict[str, Case] = {
    "CONV_2D": convolution,
    "CONV_2D pointwise": partial(convolution, (1, 1)),
    "CONV_2D pointwise stride 2": partial(convolution, (1, 1), 2),
    "CONV_2D dilated": partial(convolution, (3, 3), 1, 2),
    "CONV_2D grouped": partial(convolution, groups=2),
    "CONV_2D valid": partial(convolution, (5, 2), padding=1),
    "CONV_2D one channel": partial(convolution, channels=1),
    "CONV_2D int16": partial(convolution, dtype=I16),
    "CONV_2D float": _float_convolution,
    "DEPTHWISE_CONV_2D": depthwise,
    "DEPTHWISE_CONV_2D 5x5": partial(depthwise, (5, 5)),
    "DEPTHWISE_CONV_2D multiplier": partial(depthwise, (3, 3), 2),
    "DEPTHWISE_CONV_2D dilated": partial(depthwise, (3, 3), 1, 2),
    "DEPTHWISE_CONV_2D valid": partial(depthwise, (4, 3), padding=1),
    "FULLY_CONNECTED": fully_connected,
    "FULLY_CONNECTED per channel": partial(fully_connected, False),
    "FULLY_CONNECTED rank 3": partial(fully_connected, True, 3),
    "FULLY_CONNECTED per channel rank 3": partial(fully_connected, False, 3),
    "FULLY_CONNECTED int16": partial(fully_connected, dtype=I16),
    "TRANSPOSE_CONV": transpose_convolution,
    "TRANSPOSE_CONV many channels": partial(transpose_convolution, 20),
    "TRANSPOSE_CONV stride 3": partial(transpose_convolution, 20, 3),
    "TRANSPOSE_CONV int16": partial(transpose_convolution, dtype=I16),
    "AVERAGE_POOL_2D int16": partial(pool, "AVERAGE_POOL_2D", I16),
    "L2_POOL_2D": partial(pool, "L2_POOL_2D", F32),
    "MEAN float": partial(reduction, "MEAN", F32),
    "REDUCE_ALL": partial(reduction, "REDUCE_ALL", BOOL),
    "SOFTMAX": partial(unary, "SOFTMAX", beta=1.0),
    "SOFTMAX int16": partial(unary, "SOFTMAX", I16, beta=1.0),
    "LEAKY_RELU": partial(unary, "LEAKY_RELU", alpha=0.1),
    "CAST": partial(unary, "CAST", I8, F32, in_data_type=9, out_data_type=0),
    "QUANTIZE": partial(unary, "QUANTIZE", F32, I8),
    "DEQUANTIZE": partial(unary, "DEQUANTIZE", I8, F32),
    "PRELU": partial(reshaping, "PRELU", IMAGE, filters((1, 1, 8), 1, 0, True)),
    "SVDF": svdf,
    "ADD_N": partial(binary, "ADD_N", I8),
    "ADD_N float": partial(binary, "ADD_N", F32),
    "PACK": _packed,
    "UNPACK": _unpacked,
    "CONCATENATION": partial(_concatenated, 3),
    "CONCATENATION of ten": partial(_concatenated, 10),
    "SPLIT": _split,
    "SPLIT_V": _split_v,
    "GATHER": _gathered,
    "GATHER_ND": _gathered_nd,
    "SELECT_V2": _selected,
    "STRIDED_SLICE": _strided,
    "DYNAMIC_UPDATE_SLICE": _updated,
    "BROADCAST_ARGS": _broadcast_shape,
    "BATCH_MATMUL": partial(batch_matmul, False, False),
    "BATCH_MATMUL transposed": partial(batch_matmul, True, True),
    "RESHAPE": partial(reshaping, "RESHAPE", (1, 240), integers(1, 240), new_shape=(1, 240)),
    "SQUEEZE": partial(reshaping, "SQUEEZE", (6, 5, 8), squeeze_dims=(0,)),
    "EXPAND_DIMS": partial(reshaping, "EXPAND_DIMS", (1, 1, 6, 5, 8), integers(0)),
    "TRANSPOSE": partial(reshaping, "TRANSPOSE", (1, 5, 6, 8), integers(0, 2, 1, 3)),
    "PAD": partial(reshaping, "PAD", (1, 8, 8, 8), constant(_PADS)),
    "PADV2": partial(
        reshaping, "PADV2", (1, 8, 8, 8), constant(_PADS), constant(np.zeros(1, np.int8), [0.5])
    ),
    "MIRROR_PAD": partial(reshaping, "MIRROR_PAD", (1, 8, 8, 8), constant(_PADS), mode=0),
    "SLICE": partial(
        reshaping, "SLICE", (1, 4, 5, 8), integers(0, 1, 0, 0), integers(1, 4, 5, 8)
    ),
    "REVERSE_V2": partial(reshaping, "REVERSE_V2", IMAGE, integers(1)),
    "CUMSUM": partial(
        reshaping, "CUMSUM", IMAGE, integers(1), exclusive=False, reverse=False
    ),
    "ARG_MAX": partial(
        graph, "ARG_MAX", [tensor(IMAGE), integers(3)], [tensor((1, 6, 5), I32)], output_type=2
    ),
    "ARG_MIN": partial(
        graph, "ARG_MIN", [tensor(IMAGE), integers(3)], [tensor((1, 6, 5), I32)], output_type=2
    ),
    "SHAPE": partial(graph, "SHAPE", [tensor(IMAGE)], [tensor((4,), I32)], out_type=2),
    "FILL": partial(
        graph, "FILL", [integers(2, 3), tensor((), I32)], [tensor((2, 3), I32)]
    ),
    "BROADCAST_TO": partial(
        graph, "BROADCAST_TO", [tensor((1, 8)), integers(6, 8)], [tensor((6, 8))]
    ),
    "DEPTH_TO_SPACE": partial(reshaping, "DEPTH_TO_SPACE", (1, 12, 10, 2), block_size=2),
    "SPACE_TO_DEPTH": partial(
        graph, "SPACE_TO_DEPTH", [tensor((1, 6, 4, 2))], [tensor((1, 3, 2, 8))], block_size=2
    ),
    "BATCH_TO_SPACE_ND": partial(
        graph, "BATCH_TO_SPACE_ND",
        [tensor((4, 3, 2, 2)), integers(2, 2), constant(np.zeros((2, 2), np.int32))],
        [tensor((1, 6, 4, 2))],
    ),
    "SPACE_TO_BATCH_ND": partial(
        graph, "SPACE_TO_BATCH_ND",
        [tensor((1, 6, 4, 2)), integers(2, 2), constant(np.zeros((2, 2), np.int32))],
        [tensor((4, 3, 2, 2))],
    ),
    "RESIZE_BILINEAR": partial(
        reshaping, "RESIZE_BILINEAR", (1, 12, 10, 8), integers(12, 10),
        align_corners=False, half_pixel_centers=False,
    ),
    "RESIZE_NEAREST_NEIGHBOR": partial(
        reshaping, "RESIZE_NEAREST_NEIGHBOR", (1, 12, 10, 8), integers(12, 10),
        align_corners=False, half_pixel_centers=False,
    ),
    **_many("AVERAGE_POOL_2D MAX_POOL_2D", pool),
    **_many("MEAN SUM REDUCE_MAX REDUCE_MIN", reduction),
    **_many(
        "ABS ELU HARD_SWISH L2_NORMALIZATION LOGISTIC LOG_SOFTMAX NEG RELU RELU6 RSQRT TANH "
        "ZEROS_LIKE",
        unary,
    ),
    **_many("CEIL COS EXP FLOOR LOG ROUND SIN SQRT SQUARE", partial(unary, dtype=F32)),
    "LOGICAL_NOT": partial(unary, "LOGICAL_NOT", BOOL),
    **_many("ADD SUB MUL MAXIMUM MINIMUM SQUARED_DIFFERENCE", binary),
    **_many("DIV FLOOR_DIV FLOOR_MOD", partial(binary, dtype=F32)),
    **_many("LOGICAL_AND LOGICAL_OR", partial(binary, dtype=BOOL)),
    **_many(
        "EQUAL NOT_EQUAL GREATER GREATER_EQUAL LESS LESS_EQUAL", partial(binary, result=BOOL)
    ),
}  # fmt: skip
