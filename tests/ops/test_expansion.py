# SPDX-License-Identifier: Apache-2.0
"""Our compute operators' NumPy semantics equal their stock expansion on TFLM, to the bit."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.ops.custom_cases import (
    Case,
    constant,
    conv_2d_cases,
    depthwise_cases,
    float32s,
    int8s,
    partial_conv_2d_cases,
    partial_fully_connected_cases,
    partial_sum_cases,
    requantize_cases,
    windows,
)
from tests.ops.unweighted_cases import add_cases, mean_cases, pool_cases
from tests.support import run_tflm
from tflsplit.errors import InternalError
from tflsplit.ir import Activation, Attrs, DType, Graph, Node, Padding, Quantization, Value
from tflsplit.ops.own import custom
from tflsplit.ops.own.expansion import has_stock_expansion, stock_expansion
from tflsplit.ops.own.semantics import run_node
from tflsplit.ops.quantmath import (
    activation_range,
    convolution_multipliers,
    fully_connected_multipliers,
)
from tflsplit.wire import custom_ops as wire

Array = NDArray[Any]
X_SCALE = 0.5


def on_tflm(nodes: list[Node], inputs: Sequence[Value], output: Value, *arrays: Array) -> Array:
    return run_tflm(Graph("case", tuple(inputs), (output,), nodes), arrays)[0]


def assert_expansion_equals_semantics(case: Case) -> None:
    nodes = stock_expansion(case.node)
    assert not any(node.is_custom for node in nodes)
    result = on_tflm(nodes, [case.node.input(0)], case.node.output, *case.arrays)
    np.testing.assert_array_equal(result, run_node(case.node, case.arrays), strict=True)


@settings(max_examples=60)
@given(case=conv_2d_cases())
def test_conv_2d(case: Case) -> None:
    assert_expansion_equals_semantics(case)


@settings(max_examples=60)
@given(case=depthwise_cases())
def test_depthwise_conv_2d(case: Case) -> None:
    assert_expansion_equals_semantics(case)


@settings(max_examples=60)
@given(case=partial_conv_2d_cases())
def test_partial_conv_2d(case: Case) -> None:
    assert_expansion_equals_semantics(case)


@settings(max_examples=40)
@given(case=partial_fully_connected_cases())
def test_partial_fully_connected(case: Case) -> None:
    assert_expansion_equals_semantics(case)


@settings(max_examples=30)
@given(case=partial_sum_cases())
def test_partial_sum(case: Case) -> None:
    assert_expansion_equals_semantics(case)


@settings(max_examples=100)
@given(case=st.one_of(add_cases(), mean_cases(), pool_cases(stock=True)))
def test_operators_without_weights(case: Case) -> None:
    nodes = stock_expansion(case.node)
    assert not any(node.is_custom for node in nodes)
    result = on_tflm(nodes, case.node.operands, case.node.output, *case.arrays)
    np.testing.assert_array_equal(result, run_node(case.node, case.arrays), strict=True)


@pytest.mark.parametrize("fill", [-128, 127])
@pytest.mark.parametrize("kernel", [(1, 1), (3, 3), (2, 300)])
def test_the_largest_sums_are_exact_in_float(kernel: tuple[int, int], fill: int) -> None:
    """Every product as large as it gets, all of one sign; the last kernel has over 512 taps."""
    x = Value("x", (1, kernel[0], kernel[1], 65), DType.INT8, Quantization((0.5,), (-128,)))
    weights = constant("weights", np.full((2, *kernel, 65), fill, np.int8))
    node = custom.partial_conv_2d(x, weights, Value("y", (1, 1, 1, 2), DType.INT32))
    data = np.full(x.shape, 127, np.int8)
    assert_expansion_equals_semantics(Case(node, (data,)))
    assert run_node(node, [data]).max() == 255 * fill * kernel[0] * kernel[1] * 65


@settings(max_examples=60)
@given(case=requantize_cases())
def test_requantize_equals_what_a_stock_convolution_does_with_its_sums(case: Case) -> None:
    """A CONV_2D whose weights are 0 has its bias as sums: any int32, one channel for each."""
    node, sums = case.node, case.arrays[0].astype(np.int32)
    total = (sums if node.inputs[1] is None else sums + _data(node.input(1))).reshape(-1)
    channels, y = total.size, node.output
    assert y.quantization is not None
    scales = np.ldexp(_data(node.input(2)).astype(np.float64), _data(node.input(3)) - 31)
    tiled = np.tile(scales, sums.shape[0])
    assert (np.float32(tiled) == tiled).all()  # the multipliers came from float32 scales
    quantization = Quantization(float32s(tiled), (0,) * channels)
    weights = constant("weights", np.zeros((channels, 1, 1, 1), np.int8), quantization)
    x = Value("x", (1, 1, 1, 1), DType.INT8, Quantization((1.0,), (0,)))
    out = Value("out", (1, 1, 1, channels), DType.INT8, y.quantization)
    stock = Node("CONV_2D", (x, weights, constant("bias", total)), (out,), _stock_attrs())
    result = on_tflm([stock], [x], out, np.zeros((1, 1, 1, 1), np.int8)).reshape(sums.shape)
    clamped = np.clip(result, *custom.activation_of(node))
    np.testing.assert_array_equal(clamped, run_node(node, case.arrays), strict=True)


def _data(value: Value) -> Array:
    assert value.data is not None
    return value.data


def _stock_attrs(activation: int = Activation.NONE) -> Attrs:
    return Attrs(
        padding=Padding.VALID,
        stride_h=1,
        stride_w=1,
        dilation_h_factor=1,
        dilation_w_factor=1,
        fused_activation_function=activation,
    )


@settings(max_examples=40)
@given(
    window=windows(),
    depth=st.integers(2, 40),
    cuts=st.sets(st.integers(1, 39), max_size=4),
    per_channel=st.booleans(),
    activation=st.sampled_from([Activation.NONE, Activation.RELU, Activation.RELU6]),
    seed=st.integers(0, 2**32 - 1),
)
def test_partial_sums_of_all_slices_requantized_are_the_stock_convolution(
    window: Any, depth: int, cuts: set[int], per_channel: bool, activation: int, seed: int
) -> None:
    (batches, rows, columns), kernel, options = window
    rng = np.random.default_rng(seed)
    channels = 5
    scales = float32s(rng.uniform(0.001, 0.01, channels if per_channel else 1))
    zero_point, y_quantization = int(rng.integers(-128, 128)), Quantization((2.5,), (-9,))
    x = Value("x", (batches, rows, columns, depth), DType.INT8)
    x.quantization = Quantization((X_SCALE,), (zero_point,))
    kernel_data = int8s(rng, (channels, *kernel, depth), "random", 0)
    weights_quantization = Quantization(scales, (0,) * len(scales))
    bias_quantization = Quantization(float32s(np.array(scales) * X_SCALE), (0,) * len(scales))
    bias = constant("b", rng.integers(-9000, 9000, channels, np.int32), bias_quantization)
    extent = options.output_extent(x.shape, kernel)
    y = Value("y", (batches, *extent, channels), DType.INT8, y_quantization)
    data = int8s(rng, x.shape, "random", 0)

    padded_shape = (batches, rows + sum(options.pads[:2]), columns + sum(options.pads[2:]), depth)
    padded = Value("padded", padded_shape, DType.INT8, x.quantization)
    top, bottom, left, right = options.pads
    pads = np.array([[0, 0], [top, bottom], [left, right], [0, 0]], np.int32)
    attrs = _stock_attrs(activation).replace(
        stride_h=options.stride[0],
        stride_w=options.stride[1],
        dilation_h_factor=options.dilation[0],
        dilation_w_factor=options.dilation[1],
    )
    weights = constant("w", kernel_data, weights_quantization)
    stock = [
        Node("PAD", (x, constant("pads", pads)), (padded,)),
        Node("CONV_2D", (padded, weights, bias), (y,), attrs),
    ]
    whole = on_tflm(stock, [x], y, data)

    bounds = [0, *sorted(cut for cut in cuts if cut < depth), depth]
    sums = np.zeros(y.shape, np.int32)
    for start, stop in pairwise(bounds):
        part = Value("part", (*x.shape[:3], stop - start), DType.INT8, x.quantization)
        node = custom.partial_conv_2d(
            part,
            constant("slice", kernel_data[..., start:stop]),
            Value("sums", y.shape, DType.INT32),
            stride=options.stride,
            dilation=options.dilation,
            pads=options.pads,
        )
        sums += run_node(node, [data[..., start:stop]])
    multipliers = convolution_multipliers(X_SCALE, scales, y_quantization.scale, channels)
    bounds_of_y = activation_range(activation, y_quantization, DType.INT8)
    finish = _requantize(sums, bias, multipliers, y, bounds_of_y)
    np.testing.assert_array_equal(run_node(finish, [sums]), whole, strict=True)


@settings(max_examples=40)
@given(
    depth=st.integers(2, 700),
    cuts=st.sets(st.integers(1, 699), max_size=4),
    per_channel=st.booleans(),
    activation=st.sampled_from([Activation.NONE, Activation.RELU, Activation.RELU6]),
    seed=st.integers(0, 2**32 - 1),
)
def test_partial_sums_of_all_slices_requantized_are_the_stock_fully_connected(
    depth: int, cuts: set[int], per_channel: bool, activation: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    channels, batches = 7, 3
    x_scale, y_scale = float32s(rng.uniform(0.001, 1.0, 2))
    scales = float32s(rng.uniform(0.001, 0.01, channels if per_channel else 1))
    quantization = Quantization((x_scale,), (int(rng.integers(-128, 128)),))
    x = Value("x", (batches, depth), DType.INT8, quantization)
    y = Value("y", (batches, channels), DType.INT8, Quantization((y_scale,), (5,)))
    kernel = int8s(rng, (channels, depth), "random", 0)
    weights = constant("w", kernel, Quantization(scales, (0,) * len(scales)))
    bias_scales = float32s(np.array(scales, np.float32) * np.float32(x_scale))
    bias_quantization = Quantization(bias_scales, (0,) * len(scales))
    bias = constant("b", rng.integers(-9000, 9000, channels, np.int32), bias_quantization)
    data = int8s(rng, x.shape, "random", 0)
    attrs = Attrs(fused_activation_function=activation)
    whole = on_tflm([Node("FULLY_CONNECTED", (x, weights, bias), (y,), attrs)], [x], y, data)

    bounds = [0, *sorted(cut for cut in cuts if cut < depth), depth]
    sums = np.zeros(y.shape, np.int32)
    for start, stop in pairwise(bounds):
        part = Value("part", (batches, stop - start), DType.INT8, quantization)
        node = custom.partial_fully_connected(
            part, constant("slice", kernel[:, start:stop]), Value("sums", y.shape, DType.INT32)
        )
        sums += run_node(node, [data[:, start:stop]])
    multipliers = fully_connected_multipliers(x_scale, scales, y_scale, channels)
    finish = _requantize(
        sums, bias, multipliers, y, activation_range(activation, y.quantization, DType.INT8)
    )
    np.testing.assert_array_equal(run_node(finish, [sums]), whole, strict=True)


def _requantize(
    sums: Array, bias: Value, multipliers: Sequence[Array], y: Value, activation: tuple[int, int]
) -> Node:
    return custom.requantize(
        Value("sums", sums.shape, DType.INT32),
        bias,
        constant("multiplier", multipliers[0]),
        constant("shift", multipliers[1]),
        y,
        activation=activation,
    )


@given(case=conv_2d_cases())
@settings(max_examples=5)
def test_multipliers_that_the_scales_do_not_give_are_refused(case: Case) -> None:
    case.node.inputs = (
        *case.node.inputs[:3],
        constant("multiplier", _data(case.node.input(3)) ^ 1),
        case.node.inputs[4],
    )
    with pytest.raises(InternalError, match="does not follow from the tensors' scales"):
        stock_expansion(case.node)


def test_only_requantize_has_no_stock_expansion() -> None:
    compute = set(wire.SCHEMAS) - {wire.SEND, wire.RECV, wire.ASK}
    assert {op for op in compute if not has_stock_expansion(op)} == {wire.REQUANTIZE}
    node = Node(wire.REQUANTIZE, (), (), is_custom=True, name="q")
    with pytest.raises(InternalError, match="no stock expansion"):
        stock_expansion(node)
