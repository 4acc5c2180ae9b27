# SPDX-License-Identifier: Apache-2.0
"""What the Prepare of TFLM's reference kernels asks for: tables, copies and scratch buffers.

Read from ``micro/kernels/<operator>.cc`` of TFLM at commit 90b983c.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tflsplit.ir import DType, Node, Value
from tflsplit.memory import structs
from tflsplit.memory.abi import Abi, struct_layout


@dataclass(frozen=True)
class Prepared:
    """What a kernel's Prepare asks for, in bytes and in order.

    persistent: pieces of the tail, each aligned to 16 bytes.
    scratch: pieces of the head, live while the node runs.
    """

    persistent: tuple[int, ...] = ()
    scratch: tuple[int, ...] = ()


Prepare = Callable[[Node, Abi], Prepared]

_INTEGER = (DType.INT8, DType.INT16)
_INT16_LUT_ELEMENTS = 513  # LUTSize<int16_t>(), kernels/internal/common.h


def tensor_bytes(value: Value) -> int:
    """The bytes TFLM plans for a tensor (memory_helpers.cc): unpacked for int4."""
    return value.size * (value.dtype.itemsize or (1 if value.dtype is DType.INT4 else 0))


def channel_tables(channels: int) -> tuple[int, int]:
    """Per-channel multipliers and shifts, an int32 each: the 8 bytes a channel of stock TFLM."""
    return 4 * channels, 4 * channels


def _unpacked_filter(node: Node) -> tuple[int, ...]:
    filters = node.input(1)
    return (filters.size,) if filters.dtype is DType.INT4 else ()


def _conv(node: Node, abi: Abi) -> Prepared:
    return Prepared(channel_tables(node.input(1).shape[0]), _unpacked_filter(node))


def _depthwise(node: Node, abi: Abi) -> Prepared:
    return Prepared(channel_tables(node.input(1).shape[3]), _unpacked_filter(node))


def fully_connected_tables(node: Node) -> tuple[int, ...]:
    """FULLY_CONNECTED keeps tables only where its weights are quantized per channel."""
    quantization = node.input(1).quantization
    if node.input(0).dtype is DType.FLOAT32 or quantization is None or not quantization.per_channel:
        return ()
    return channel_tables(len(quantization.scales))


def _fully_connected(node: Node, abi: Abi) -> Prepared:
    return Prepared(fully_connected_tables(node), _unpacked_filter(node))


def transpose_conv_bias(node: Node) -> tuple[int, ...]:
    """The 16x8 kernel widens a 16 bit bias to 64 bit."""
    bias = node.inputs[3] if len(node.inputs) > 3 else None
    return (8 * bias.size,) if bias is not None and bias.dtype is DType.INT16 else ()


def _transpose_conv(node: Node, abi: Abi) -> Prepared:
    dtype = node.input(2).dtype
    scratch: tuple[int, ...] = ()
    if dtype is DType.INT8:
        scratch = (4 * node.output.size,)
    elif dtype is DType.INT16:
        scratch = (8 * node.output.size, *transpose_conv_bias(node))
    return Prepared(channel_tables(node.input(1).shape[0]), scratch)


def _mean_or_sum(node: Node, abi: Abi) -> Prepared:
    x = node.input(0)
    sums = (4 * node.output.size,) if x.dtype in _INTEGER else ()
    return Prepared((), (*sums, 4 * len(x.shape), 4 * node.input(1).size))


def _reduce(node: Node, abi: Abi) -> Prepared:
    return Prepared((), (4 * len(node.input(0).shape), 4 * node.input(1).size))


def _softmax(node: Node, abi: Abi) -> Prepared:
    lut = 2 * _INT16_LUT_ELEMENTS
    return Prepared((lut, lut) if node.input(0).dtype is DType.INT16 else ())


def _mirror_pad(node: Node, abi: Abi) -> Prepared:
    dims = 4 * len(node.input(0).shape)
    return Prepared((), (dims, dims))


def writable_dims(value: Value) -> int:
    """A copy of a tensor's dims that the kernel may write: count, then the extents."""
    return 4 * (1 + len(value.shape))


def _writable_output(node: Node, abi: Abi) -> Prepared:
    return Prepared((writable_dims(node.output),))


def _reshape(node: Node, abi: Abi) -> Prepared:
    return Prepared((writable_dims(node.output),) if -1 in node.output.shape else ())


def _add_n(node: Node, abi: Abi) -> Prepared:
    data = struct_layout("iiiiiiiii i", abi).size_bytes
    pointers = (abi.pointer_bytes * len(node.inputs),)
    return Prepared((data,) if node.output.dtype is DType.INT8 else (), pointers)


def _int8_data(fields: str) -> Prepare:
    def prepare(node: Node, abi: Abi) -> Prepared:
        is_int8 = node.input(0).dtype is DType.INT8
        return Prepared((struct_layout(fields, abi).size_bytes,) if is_int8 else ())

    return prepare


def _svdf(node: Node, abi: Abi) -> Prepared:
    batches, filters = node.input(0).shape[0], node.input(1).shape[0]
    units = filters // max(node.attrs.integer("rank", 1), 1)
    sums = (4 * batches * filters,)
    return Prepared((), sums + ((4 * batches * units,) if node.input(0).dtype in _INTEGER else ()))


HIDDEN_STATE, _CELL_STATE = 18, 19  # operands, lstm_shared.h


def lstm_scratch(node: Node, buffers: int) -> tuple[int, ...]:
    """UNIDIRECTIONAL_SEQUENCE_LSTM computes gates in buffers of the size of its cell state."""
    return (tensor_bytes(node.input(_CELL_STATE)),) * buffers


def _lstm(node: Node, abi: Abi) -> Prepared:
    return Prepared((), lstm_scratch(node, 4))


def transposed_operand(value: Value, abi: Abi) -> tuple[int, ...]:
    """BATCH_MATMUL keeps transposed operands in the tail: eval tensor, dims and the elements."""
    return (
        struct_layout(structs.EVAL_TENSOR, abi).size_bytes,
        writable_dims(value),
        tensor_bytes(value),
    )


def _batch_matmul(node: Node, abi: Abi) -> Prepared:
    lhs, rhs = node.input(0), node.input(1)
    quantized = lhs.dtype in _INTEGER
    table = (struct_layout(structs.BATCH_MATMUL_QUANTIZATION, abi).size_bytes,) if quantized else ()
    left = transposed_operand(lhs, abi) if node.attrs.integer("adj_x") else ()
    right = () if node.attrs.integer("adj_y") else transposed_operand(rhs, abi)
    return Prepared((*table, *left, *right, writable_dims(node.output)))


PREPARE: dict[str, Prepare] = {
    "ADD_N": _add_n,
    "BATCH_MATMUL": _batch_matmul,
    "CONV_2D": _conv,
    "CUMSUM": _int8_data("iiii ii iii"),
    "DEPTHWISE_CONV_2D": _depthwise,
    "DEPTH_TO_SPACE": _writable_output,
    "FULLY_CONNECTED": _fully_connected,
    "GATHER": _writable_output,
    "GATHER_ND": _writable_output,
    "L2_POOL_2D": _writable_output,
    "LOG_SOFTMAX": _int8_data("iiiii PP"),
    "MEAN": _mean_or_sum,
    "MIRROR_PAD": _mirror_pad,
    "REDUCE_ALL": _reduce,
    "REDUCE_MAX": _reduce,
    "REDUCE_MIN": _reduce,
    "RESHAPE": _reshape,
    "SOFTMAX": _softmax,
    "SPACE_TO_DEPTH": _writable_output,
    "SUM": _mean_or_sum,
    "SVDF": _svdf,
    "TRANSPOSE_CONV": _transpose_conv,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _lstm,
}
