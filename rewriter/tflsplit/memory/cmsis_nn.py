# SPDX-License-Identifier: Apache-2.0
"""Where TFLM's CMSIS-NN kernels keep more or other memory than its reference kernels.

Read from ``micro/kernels/cmsis_nn/*.cc`` of TFLM at commit 90b983c and from the
``*get_buffer_size*`` functions of CMSIS-NN at commit 4ab83cc, for cores with the DSP extension and
without MVE (Cortex-M4, M7, M33) and GCC.  int4 weights are left out: ``supports`` says so.
"""

from __future__ import annotations

from tflsplit.ir import DType, Node, Padding
from tflsplit.memory import kernels, structs
from tflsplit.memory.abi import Abi
from tflsplit.memory.kernels import Prepare, Prepared

_LSTM_GATE = "{ii PP ii PP P e}"  # cmsis_nn_lstm_gate
_LSTM_PARAMS = "iiiii i iiii ii iii"  # the numbers of cmsis_nn_lstm_params
OP_DATA: dict[str, str] = {
    "AVERAGE_POOL_2D": f"{{{structs.POOL_DATA}}} i",
    "BATCH_MATMUL": f"{{{structs.BATCH_MATMUL_DATA}}} {{iiii}} i",
    "CONV_2D": f"{{{structs.CONV_DATA}}} i",
    "DEPTHWISE_CONV_2D": f"{{{structs.CONV_DATA}}} i",
    "FULLY_CONNECTED": f"{{{structs.FULLY_CONNECTED_DATA}}} ii P iii",
    "MAX_POOL_2D": f"{{{structs.POOL_DATA}}} i",
    "SOFTMAX": f"{{{structs.SOFTMAX_DATA}}} ii",
    "SVDF": "ii ii ii iii P",
    "TRANSPOSE_CONV": f"{structs.CONV_PARAMS} iii PP",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": f"{{{structs.LSTM_DATA}}} {{{_LSTM_PARAMS} {_LSTM_GATE * 4}}}",
}

REVERSE_TCOL_EFFICIENT_THRESHOLD = 16  # arm_nnsupportfunctions.h


def supports(node: Node) -> bool:
    """Whether the sizes below hold for the node: not for int4 weights."""
    return all(value.dtype is not DType.INT4 for value in node.operands)


def im2col_bytes(input_channels: int, kernel: tuple[int, int]) -> int:
    """Scratch of arm_convolve_s8: two columns of int16, each padded to four elements."""
    columns = kernel[0] * kernel[1] * input_channels
    return 2 * (-(-columns // 4) * 4) * 2


def _pad_before(inputs: int, outputs: int, kernel: int, stride: int, dilation: int) -> int:
    """ComputePaddingWithOffset of kernels/padding.h; VALID comes out as 0 by itself."""
    needed = (outputs - 1) * stride + (kernel - 1) * dilation + 1 - inputs
    return max(needed, 0) // 2


def pads(node: Node) -> tuple[int, int]:
    """Rows above and columns before the image."""
    if node.attrs.integer("padding") != Padding.SAME:
        return 0, 0
    x, filters, y = node.input(0).shape, node.input(1).shape, node.output.shape
    step, spread = stride(node), dilation(node)
    rows, columns = (
        _pad_before(x[d], y[d], filters[d], step[d - 1], spread[d - 1]) for d in (1, 2)
    )
    return rows, columns


def stride(node: Node) -> tuple[int, int]:
    """Down and to the right."""
    return node.attrs.integer("stride_h", 1), node.attrs.integer("stride_w", 1)


def dilation(node: Node) -> tuple[int, int]:
    """Down and to the right."""
    return (
        node.attrs.integer("dilation_h_factor", 1),
        node.attrs.integer("dilation_w_factor", 1),
    )


def _conv(node: Node, abi: Abi) -> Prepared:
    x, filters = node.input(0), node.input(1).shape
    if x.dtype is DType.FLOAT32:
        return Prepared()
    tables = kernels.channel_tables(filters[0])
    kernel = (filters[1], filters[2])
    if x.dtype is DType.INT16:
        bias = node.inputs[2] if len(node.inputs) > 2 else None
        fast = bias is None or bias.dtype is DType.INT64
        size = 4 * x.shape[3] * kernel[0] * kernel[1]
        return Prepared(tables, (size,) if fast else ())
    pointwise = kernel == (1, 1) and pads(node) == (0, 0) and dilation(node) == (1, 1)
    if pointwise and x.shape[3] == filters[3]:
        return Prepared(tables)
    return Prepared(tables, (im2col_bytes(x.shape[3], kernel),))


def _depthwise(node: Node, abi: Abi) -> Prepared:
    x, filters = node.input(0), node.input(1).shape
    if x.dtype is DType.FLOAT32:
        return Prepared()
    tables = kernels.channel_tables(filters[3])
    optimized = x.shape[3] == filters[3] and x.shape[0] == 1 and dilation(node) == (1, 1)
    if x.dtype is not DType.INT8 or not optimized:
        return Prepared(tables)
    if filters[1:3] == (3, 3) and max(pads(node)) <= 1:
        return Prepared(tables)
    return Prepared(tables, (2 * x.shape[3] * filters[1] * filters[2],))


def _fully_connected(node: Node, abi: Abi) -> Prepared:
    tables = kernels.fully_connected_tables(node)
    depth = node.input(1).shape[-1]
    as_convolution = len(node.output.shape) > 2 and depth % 4 == 0
    if node.input(0).dtype is DType.INT8 and as_convolution and not tables:
        return Prepared((), (8 * node.output.shape[-1],))
    return Prepared(tables)


def _average_pool(node: Node, abi: Abi) -> Prepared:
    x = node.input(0)
    return Prepared((), (4 * x.shape[3],) if x.dtype in (DType.INT8, DType.INT16) else ())


def _transpose_conv(node: Node, abi: Abi) -> Prepared:
    x, filters = node.input(2), node.input(1).shape
    tables = kernels.channel_tables(filters[0])
    if x.dtype is DType.INT16:
        return Prepared(tables, (8 * node.output.size, *kernels.transpose_conv_bias(node)))
    if x.dtype is not DType.INT8:
        return Prepared(tables)
    step = stride(node)
    channels = x.shape[3]
    if max(step) <= 2 and channels > REVERSE_TCOL_EFFICIENT_THRESHOLD:
        kernel = (filters[1], filters[2])
        reversed_filter = channels * kernel[0] * kernel[1] * filters[0]
        return Prepared(tables, (im2col_bytes(channels, kernel), reversed_filter))
    width = ((x.shape[2] - 1) * step[1] + max(filters[2], step[0])) * node.output.shape[3]
    return Prepared(tables, (4 * width * max(filters[1], step[0]), 0))


def _lstm(node: Node, abi: Abi) -> Prepared:
    x, state = node.input(0), node.input(kernels.HIDDEN_STATE)
    if x.dtype not in (DType.INT8, DType.INT16):
        return Prepared((), kernels.lstm_scratch(node, 4))
    bias_bytes = 4 if x.dtype is DType.INT8 else 8
    # Of each gate two biases with the sums of its weights in them.
    return Prepared((bias_bytes * state.shape[-1],) * 8, kernels.lstm_scratch(node, 3))


PREPARE: dict[str, Prepare] = {
    "AVERAGE_POOL_2D": _average_pool,
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": _depthwise,
    "FULLY_CONNECTED": _fully_connected,
    "TRANSPOSE_CONV": _transpose_conv,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _lstm,
}
