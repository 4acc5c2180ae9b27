# SPDX-License-Identifier: Apache-2.0
"""Our compute operators written with stock operators: what defines their meaning.

    CONV_2D with pads            PAD -> CONV_2D (VALID) -> MAXIMUM -> MINIMUM
    DEPTHWISE_CONV_2D with pads  PAD -> DEPTHWISE_CONV_2D (VALID) -> MAXIMUM -> MINIMUM
    PARTIAL_CONV_2D              PAD -> SLICE (channels) -> CAST -> SUB -> CONV_2D float -> CAST
                                 for every slice, the int32 results chained by ADD
    PARTIAL_FULLY_CONNECTED      the same with FULLY_CONNECTED
    PARTIAL_SUM                  CAST -> SUB of the zero point -> SUM in float32 -> CAST
    FUSED_BLOCK                  those of its convolutions, one after the other, and ADD
    CHAIN                        those of its blocks
    ADD, MEAN, POOL_2D           the operators that they stand for (``unweighted_stock``)

The float convolutions are exact: ``|x - zero_point| <= 255`` and ``|w| <= 128``, so 512 products
stay below 2**24, and every slice has at most 512; so do the 65536 values of a PARTIAL_SUM.
REQUANTIZE has no stock expansion, since no stock operator reads int32 sums per channel; it is
defined by an identity (docs/custom_ops.md): the partial results of all slices, added and
requantized, are the stock operator's on the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tflsplit.errors import InternalError
from tflsplit.ir import Activation, Attrs, DType, Node, Padding, Quantization, Value
from tflsplit.ops.own.chain import blocks_of
from tflsplit.ops.own.custom_options import INT8_RANGE, WindowOptions, activation_of, axes_of
from tflsplit.ops.own.fused import unfused
from tflsplit.ops.own.packed import unpacked
from tflsplit.ops.own.unweighted_stock import STOCK
from tflsplit.ops.quantmath import convolution_multipliers
from tflsplit.wire import custom_ops as wire

EXACT_PRODUCTS = 512
"""How many products of an int9 and an int8 a float32 sums exactly: 2**24 / (2**8 * 2**7)."""


def has_stock_expansion(op: str) -> bool:
    """Whether ``stock_expansion`` takes nodes of this operator."""
    return op in _EXPANSIONS


def stock_expansion(node: Node) -> list[Node]:
    """Stock operators, in execution order, that compute the result of ``node`` from its operands.

    Temporaries are fresh values whose names begin with the name of the result.  InternalError for
    an operator without expansion, or whose multipliers are not those that TFLM would derive from
    the scales of its tensors (then no stock operator could compute it).
    """
    expand = _EXPANSIONS.get(node.op)
    if expand is None:
        raise InternalError(f"{node!r} has no stock expansion")
    return expand(node)


def _constant(name: str, data: NDArray[Any], like: Quantization | None = None) -> Value:
    return Value(name, data.shape, DType.of(data.dtype), like, data)


def _pad(node: Node, options: WindowOptions) -> tuple[list[Node], Value]:
    """The operand with its pads made real; no node if there are none."""
    x, (top, bottom, left, right) = node.input(0), options.pads
    if not any(options.pads):
        return [], x
    name = f"{node.output.name}/pad"
    paddings = np.array([[0, 0], [top, bottom], [left, right], [0, 0]], np.int32)
    shape = tuple(int(n) for n in np.array(x.shape) + paddings.sum(axis=1))
    padded = Value(name, shape, x.dtype, x.quantization)
    return [Node("PAD", (x, _constant(f"{name}/pads", paddings)), (padded,))], padded


def _window_attrs(options: WindowOptions) -> Attrs:
    return Attrs(
        padding=Padding.VALID,
        stride_h=options.stride[0],
        stride_w=options.stride[1],
        dilation_h_factor=options.dilation[0],
        dilation_w_factor=options.dilation[1],
        fused_activation_function=Activation.NONE,
    )


def _clamp(node: Node) -> tuple[Value, list[Node]]:
    """Where the unclamped result goes, and the operators that clamp it."""
    y, bounds = node.output, activation_of(node)
    if bounds == INT8_RANGE:
        return y, []
    raw = Value(f"{y.name}/raw", y.shape, y.dtype, y.quantization)
    floor = Value(f"{y.name}/floor", y.shape, y.dtype, y.quantization)
    low, high = (
        _constant(f"{y.name}/{name}", np.array([bound], np.int8), y.quantization)
        for name, bound in zip(("low", "high"), bounds, strict=True)
    )
    return raw, [Node("MAXIMUM", (raw, low), (floor,)), Node("MINIMUM", (floor, high), (y,))]


def _check_multipliers(node: Node, channels: int) -> None:
    x, weights, y = node.input(0), node.input(1), node.output
    if not (x.quantization and weights.quantization and y.quantization):
        raise InternalError(f"{node!r}: a stock operator needs the scales of all its tensors")
    want = convolution_multipliers(
        x.quantization.scale, weights.quantization.scales, y.quantization.scale, channels
    )
    for value, expected in zip((node.input(3), node.input(4)), want, strict=True):
        if value.data is None or not np.array_equal(value.data, expected):
            raise InternalError(f"{node!r}: {value!r} does not follow from the tensors' scales")


def _conv_2d(node: Node) -> list[Node]:
    channels = node.input(1).shape[0]
    return _stock_convolution(node, "CONV_2D", channels, Attrs())


def _depthwise_conv_2d(node: Node) -> list[Node]:
    channels = node.input(1).shape[3]
    attrs = Attrs(depth_multiplier=channels // node.input(0).shape[3])
    return _stock_convolution(node, "DEPTHWISE_CONV_2D", channels, attrs)


def _stock_convolution(node: Node, op: str, channels: int, more: Attrs) -> list[Node]:
    _check_multipliers(node, channels)
    options = WindowOptions.of(node)
    before, padded = _pad(node, options)
    raw, after = _clamp(node)
    bias = node.inputs[2] or _constant(f"{raw.name}/bias", np.zeros(channels, np.int32))
    attrs = _window_attrs(options).replace(**more)
    return [*before, Node(op, (padded, node.input(1), bias), (raw,), attrs), *after]


def _partial_conv_2d(node: Node) -> list[Node]:
    options = WindowOptions.of(node)
    before, padded = _pad(node, options)
    return before + _float_parts(node, "CONV_2D", padded, _window_attrs(options))


def _partial_fully_connected(node: Node) -> list[Node]:
    attrs = Attrs(fused_activation_function=Activation.NONE, keep_num_dims=True)
    return _float_parts(node, "FULLY_CONNECTED", node.input(0), attrs)


def _float_parts(node: Node, op: str, x: Value, attrs: Attrs) -> list[Node]:
    """Every slice of the input channels by itself, as ``op`` in float, then their sum."""
    output = node.output
    slices = list(_slices(output.name, _weights(node)))
    nodes: list[Node] = []
    sums: list[Value] = []
    for name, (start, stop), kernel in slices:
        whole = Value(f"{name}/int32", output.shape, DType.INT32) if len(slices) > 1 else output
        made, real = _float_slice(name, x, start, stop)
        nodes += [*made, *_float_sums(name, op, real, kernel, attrs, whole)]
        sums.append(whole)
    return nodes + _add_up(sums, output)


def _partial_sum(node: Node) -> list[Node]:
    x, y, (first, stop) = node.input(0), node.output, axes_of(node)
    nodes, real = _float_slice(y.name, x, 0, x.shape[-1])
    sums = Value(f"{y.name}/float_sums", y.shape, DType.FLOAT32)
    axes = _constant(f"{y.name}/axes", np.arange(first, stop, dtype=np.int32))
    attrs = Attrs(keep_dims=len(y.shape) == len(x.shape))
    add = Node("SUM", (real, axes), (sums,), attrs)
    return [*nodes, add, Node("CAST", (sums,), (y,))]


def _weights(node: Node) -> NDArray[Any]:
    data = node.input(1).data
    if data is None:
        raise InternalError(f"{node!r}: the stock expansion needs constant weights")
    return data


def _slices(
    name: str, weights: NDArray[Any]
) -> Iterator[tuple[str, tuple[int, int], NDArray[Any]]]:
    """Name, input channels and float weights of every part with at most EXACT_PRODUCTS products.

    A kernel that has more on one channel alone is used several times, each time with other taps
    and 0 for the rest.
    """
    taps = int(np.prod(weights.shape[1:-1], dtype=np.int64))
    depth = weights.shape[-1]
    step = max(1, EXACT_PRODUCTS // taps)
    for start in range(0, depth, step):
        stop = min(depth, start + step)
        part = weights[..., start:stop].astype(np.float32)
        for tap in range(0, taps, EXACT_PRODUCTS):
            mask = (np.arange(taps) >= tap) & (np.arange(taps) < tap + EXACT_PRODUCTS)
            kernel = part * mask.reshape(*weights.shape[1:-1], 1)
            yield f"{name}/{start}_{tap}", (start, stop), kernel.astype(np.float32)


def _float_slice(name: str, x: Value, start: int, stop: int) -> tuple[list[Node], Value]:
    """Channels ``[start, stop)`` of int8 ``x`` as float32, minus its zero point."""
    nodes: list[Node] = []
    zero_point = x.quantization.zero_point if x.quantization else 0
    shape = (*x.shape[:-1], stop - start)
    if shape != x.shape:
        begin = np.array([*[0] * (len(shape) - 1), start], np.int32)
        cut = Value(f"{name}/slice", shape, x.dtype, x.quantization)
        bounds = (
            _constant(f"{name}/begin", begin),
            _constant(f"{name}/size", np.array(shape, np.int32)),
        )
        nodes.append(Node("SLICE", (x, *bounds), (cut,)))
        x = cut
    real = Value(f"{name}/float", shape, DType.FLOAT32)
    nodes.append(Node("CAST", (x,), (real,)))
    if zero_point:
        offset = Value(f"{name}/offset", shape, DType.FLOAT32)
        constant = _constant(f"{name}/zero_point", np.array([zero_point], np.float32))
        attrs = Attrs(fused_activation_function=Activation.NONE)
        nodes.append(Node("SUB", (real, constant), (offset,), attrs))
        real = offset
    return nodes, real


def _float_sums(
    name: str, op: str, x: Value, kernel: NDArray[Any], attrs: Attrs, whole: Value
) -> list[Node]:
    """The float operator and the CAST of its result to int32 ``whole``."""
    real = Value(f"{name}/sums", whole.shape, DType.FLOAT32)
    bias = _constant(f"{name}/bias", np.zeros(kernel.shape[0], np.float32))
    weights = _constant(f"{name}/weights", kernel)
    return [Node(op, (x, weights, bias), (real,), attrs), Node("CAST", (real,), (whole,))]


def _add_up(sums: Sequence[Value], output: Value) -> list[Node]:
    """ADD several into ``output``; one is ``output`` itself."""
    attrs = Attrs(fused_activation_function=Activation.NONE)
    nodes: list[Node] = []
    total = sums[0]
    for index, value in enumerate(sums[1:], 2):
        last = index == len(sums)
        into = output if last else Value(f"{output.name}/add{index}", output.shape, output.dtype)
        nodes.append(Node("ADD", (total, value), (into,), attrs))
        total = into
    return nodes


def _chain(node: Node) -> list[Node]:
    return [stock for block in blocks_of(node) for stock in _fused_block(unpacked(block))]


def _fused_block(node: Node) -> list[Node]:
    parts = ([part] if not part.is_custom else stock_expansion(part) for part in unfused(node))
    return [stock for part in parts for stock in part]


_EXPANSIONS: dict[str, Callable[[Node], list[Node]]] = {
    wire.FUSED_BLOCK: _fused_block,
    wire.CHAIN: _chain,
    wire.CONV_2D: _conv_2d,
    wire.DEPTHWISE_CONV_2D: _depthwise_conv_2d,
    wire.PARTIAL_CONV_2D: _partial_conv_2d,
    wire.PARTIAL_FULLY_CONNECTED: _partial_fully_connected,
    wire.PARTIAL_SUM: _partial_sum,
    **dict.fromkeys(STOCK, lambda node: STOCK[node.op](node, _clamp)),
}
