# SPDX-License-Identifier: Apache-2.0
"""A small graph for every kernel whose memory is modelled, some in several variants."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from tflsplit.ir import Attrs, AttrValue, DType, Graph, Node, Quantization, Value

F32, I8, I16, I32, I64, BOOL = (
    DType.FLOAT32, DType.INT8, DType.INT16, DType.INT32, DType.INT64, DType.BOOL,
)  # fmt: skip
_QUANTIZED = (I8, I16)
IMAGE = (1, 6, 5, 8)
# Kernels that insist on the quantization of their result.
_FIXED_RESULTS = {
    ("LOGISTIC", I8): (1 / 256, -128),
    ("LOG_SOFTMAX", I8): (16 / 256, 127),
    ("SOFTMAX", I8): (1 / 256, -128),
    ("SOFTMAX", I16): (1 / 32768, 0),
    ("TANH", I8): (1 / 128, 0),
}


def tensor(
    shape: Sequence[int], dtype: DType = I8, scale: float = 0.5, zero_point: int = 0
) -> Value:
    """A computed tensor, quantized if its type is; called ``t`` until a graph names it."""
    quantization = Quantization((scale,), (zero_point,)) if dtype in _QUANTIZED else None
    return Value("t", tuple(shape), dtype, quantization)


def constant(
    array: np.ndarray, scales: Sequence[float] = (), axis: int = 0, dtype: DType | None = None
) -> Value:
    """A constant, per channel where there are several scales."""
    quantization = Quantization(tuple(scales), (0,) * len(scales), axis) if scales else None
    return Value(
        "t", array.shape, dtype or DType.of(array.dtype), quantization, data=np.asarray(array)
    )


def integers(*numbers: int) -> Value:
    """A vector of int32."""
    return constant(np.array(numbers, np.int32))


def graph(
    op: str, inputs: Sequence[Value | None], outputs: Sequence[Value], **attrs: AttrValue
) -> Graph:
    """One node; what is computed among its operands enters the graph, its results leave it."""
    node = Node(op, tuple(inputs), tuple(outputs), Attrs(attrs), name=op.lower())
    sources = dict.fromkeys(v for v in node.operands if not v.is_constant and not v.is_variable)
    result = Graph(op, tuple(sources), tuple(outputs), [node])
    for index, value in enumerate(result.values()):
        value.name = f"t{index}"
    return result


def filters(shape: Sequence[int], channels: int, axis: int, per_tensor: bool = False) -> Value:
    """int8 weights, per channel along ``axis`` or per tensor."""
    scales = [0.25] if per_tensor else [0.25 + 0.01 * c for c in range(channels)]
    return constant(np.zeros(shape, np.int8), scales, axis)


def bias(channels: int, dtype: type = np.int32) -> Value:
    """A bias with the scale that stock kernels expect of one."""
    return constant(np.zeros(channels, dtype), [0.125])


def convolution(
    kernel: tuple[int, int] = (3, 3),
    stride: int = 1,
    dilation: int = 1,
    dtype: DType = I8,
    groups: int = 1,
    padding: int = 0,
    channels: int = 7,
) -> Graph:
    """CONV_2D from IMAGE to ``channels`` channels."""
    out_channels = groups * channels
    weights = filters((out_channels, *kernel, 8 // groups), out_channels, 0)
    shape = _windowed(kernel, stride, dilation, padding, out_channels)
    b = bias(out_channels, np.int64 if dtype is I16 else np.int32)
    return graph(
        "CONV_2D", [tensor(IMAGE, dtype), weights, b], [tensor(shape, dtype)],
        padding=padding, stride_h=stride, stride_w=stride,
        dilation_h_factor=dilation, dilation_w_factor=dilation, fused_activation_function=0,
    )  # fmt: skip


def depthwise(
    kernel: tuple[int, int] = (3, 3), multiplier: int = 1, dilation: int = 1, padding: int = 0
) -> Graph:
    """DEPTHWISE_CONV_2D on IMAGE."""
    channels = 8 * multiplier
    weights = filters((1, *kernel, channels), channels, 3)
    shape = _windowed(kernel, 1, dilation, padding, channels)
    return graph(
        "DEPTHWISE_CONV_2D", [tensor(IMAGE), weights, bias(channels)], [tensor(shape)],
        padding=padding, stride_h=1, stride_w=1, depth_multiplier=multiplier,
        dilation_h_factor=dilation, dilation_w_factor=dilation, fused_activation_function=0,
    )  # fmt: skip


def row_convolution(width: int, taps: int, channels: int, stride: int, padding: int) -> Graph:
    """CONV_2D over an image of one row; padding: 0 SAME, 1 VALID."""
    span = width if padding == 0 else width - taps + 1
    return graph(
        "CONV_2D",
        [tensor((1, 1, width, channels)), filters((4, 1, taps, channels), 4, 0), bias(4)],
        [tensor((1, 1, -(-span // stride), 4))],
        padding=padding, stride_h=1, stride_w=stride, dilation_h_factor=1, dilation_w_factor=1,
        fused_activation_function=0,
    )  # fmt: skip


def widened(channels: int) -> Graph:
    """DEPTHWISE_CONV_2D, 3x3, of one channel to ``channels``."""
    return graph(
        "DEPTHWISE_CONV_2D",
        [tensor((1, 6, 5, 1)), filters((1, 3, 3, channels), channels, 3), bias(channels)],
        [tensor((1, 6, 5, channels))],
        padding=0, stride_h=1, stride_w=1, depth_multiplier=channels,
        dilation_h_factor=1, dilation_w_factor=1, fused_activation_function=0,
    )  # fmt: skip


def _windowed(
    kernel: tuple[int, int], stride: int, dilation: int, padding: int, channels: int
) -> tuple[int, ...]:
    extents = []
    for size, k in zip(IMAGE[1:3], kernel, strict=True):
        span = 0 if padding == 0 else (k - 1) * dilation
        extents.append(-(-(size - span) // stride))
    return (1, *extents, channels)


def fully_connected(per_tensor: bool = True, rank: int = 2, dtype: DType = I8) -> Graph:
    """FULLY_CONNECTED from 12 to 10."""
    shape = (2,) * (rank - 1)
    weights = filters((10, 12), 10, 0, per_tensor)
    b = bias(10, np.int64 if dtype is I16 else np.int32)
    return graph(
        "FULLY_CONNECTED", [tensor((*shape, 12), dtype), weights, b],
        [tensor((*shape, 10), dtype)],
        fused_activation_function=0, weights_format=0, keep_num_dims=rank > 2,
        asymmetric_quantize_inputs=False,
    )  # fmt: skip


def transpose_convolution(channels: int = 4, stride: int = 2, dtype: DType = I8) -> Graph:
    """TRANSPOSE_CONV of ``channels`` channels to 6, 2x2 windows."""
    shape = (1, 4 * stride, 5 * stride, 6)
    return graph(
        "TRANSPOSE_CONV",
        [integers(*shape), filters((6, 2, 2, channels), 6, 0), tensor((1, 4, 5, channels), dtype)],
        [tensor(shape, dtype)],
        padding=0, stride_h=stride, stride_w=stride, fused_activation_function=0,
    )  # fmt: skip


def pool(op: str, dtype: DType = I8) -> Graph:
    """2x2 pooling of IMAGE."""
    return graph(
        op, [tensor(IMAGE, dtype)], [tensor((1, 3, 2, 8), dtype)],
        padding=1, stride_h=2, stride_w=2, filter_height=2, filter_width=2,
        fused_activation_function=0,
    )  # fmt: skip


def unary(op: str, dtype: DType = I8, result: DType | None = None, **attrs: AttrValue) -> Graph:
    """One operand, a result of the same shape."""
    scale, zero_point = _FIXED_RESULTS.get((op, dtype), (0.5, 0))
    out = tensor(IMAGE, result or dtype, scale, zero_point)
    return graph(op, [tensor(IMAGE, dtype)], [out], **attrs)


def binary(op: str, dtype: DType = I8, result: DType | None = None, **attrs: AttrValue) -> Graph:
    """Two operands of the same shape."""
    out = tensor(IMAGE, result or dtype)
    return graph(op, [tensor(IMAGE, dtype), tensor(IMAGE, dtype)], [out], **attrs)


def reduction(op: str, dtype: DType = I8) -> Graph:
    """A reduction of IMAGE's rows and columns."""
    return graph(
        op, [tensor(IMAGE, dtype), integers(1, 2)], [tensor((1, 8), dtype)], keep_dims=False
    )


def reshaping(op: str, shape: Sequence[int], *operands: Value, **attrs: AttrValue) -> Graph:
    """IMAGE and constants in, ``shape`` out."""
    return graph(op, [tensor(IMAGE), *operands], [tensor(shape)], **attrs)


def batch_matmul(adj_x: bool, adj_y: bool) -> Graph:
    """BATCH_MATMUL of 3x4 with 4x5, either transposed."""
    left = (2, 4, 3) if adj_x else (2, 3, 4)
    right = (2, 5, 4) if adj_y else (2, 4, 5)
    return graph(
        "BATCH_MATMUL", [tensor(left), tensor(right)], [tensor((2, 3, 5))],
        adj_x=adj_x, adj_y=adj_y, asymmetric_quantize_inputs=False,
    )  # fmt: skip


def svdf() -> Graph:
    """SVDF of 6 filters of rank 2 over 5 inputs, 4 steps of memory."""
    state = tensor((2, 24), I16, 0.25)
    state.is_variable = True
    feature = constant(np.zeros((6, 5), np.int8), [0.5])
    time = constant(np.zeros((6, 4), np.int16), [0.5])
    b = constant(np.zeros(3, np.int32), [0.125])
    return graph(
        "SVDF", [tensor((2, 5)), feature, time, b, state], [tensor((2, 3))],
        rank=2, fused_activation_function=1, asymmetric_quantize_inputs=False,
    )  # fmt: skip


def fingerprint(graph: Graph) -> str:
    """Says whether a graph is the one that was measured: its operators, options and tensors."""
    text = [f"{node.op} {sorted(node.attrs.items())}" for node in graph.nodes]
    text += [
        f"{value.shape} {value.dtype.value} {value.is_constant} {value.quantization}"
        for value in graph.values()
    ]
    return hashlib.sha256("\n".join(text).encode()).hexdigest()[:16]
