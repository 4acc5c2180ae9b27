# SPDX-License-Identifier: Apache-2.0
"""Random nodes of our compute operators with data for them, shared by several tests."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from numpy.typing import NDArray

from tflsplit.ir import Activation, DType, Node, Quantization, Value
from tflsplit.ops.own import custom
from tflsplit.ops.own.custom_options import MOST_SHORT_SUMMED, WindowOptions
from tflsplit.ops.own.fused import (
    ABSENT,
    FusedOptions,
    Operands,
    ResidualAdd,
    Stage,
    chained,
    fused_block,
    unfused,
)
from tflsplit.ops.own.semantics import residual_add, run_node
from tflsplit.ops.quantmath import activation_range, add_multipliers, convolution_multipliers
from tflsplit.wire import custom_ops as wire

Array = NDArray[Any]


@dataclass(frozen=True)
class Case:
    """A node and one array for each of its computed operands."""

    node: Node
    arrays: tuple[Array, ...]


def run_case(case: Case) -> Array:
    """The NumPy semantics of a case; those of a fused block are those of its parts."""
    if case.node.op == wire.ADD:
        return run_node(case.node, case.arrays)
    nodes = unfused(case.node) if case.node.op == wire.FUSED_BLOCK else [case.node]
    array, *residual = case.arrays
    for node in nodes:
        if node.is_custom:
            array = run_node(node, [array])
        elif node.op == "SLICE":  # what is added is a part of x
            begin, shape = node.input(1).data, node.output.shape
            assert begin is not None
            box = tuple(slice(a, a + n) for a, n in zip(begin, shape, strict=True))
            residual = [case.arrays[0][box]]
        else:
            array = residual_add(array, (residual or case.arrays)[0], case.node)
    return array


def constant(name: str, data: Array, quantization: Quantization | None = None) -> Value:
    """A constant value that holds ``data``."""
    return Value(name, data.shape, DType.of(data.dtype), quantization, data)


def float32s(values: Any) -> tuple[float, ...]:
    """Floats that are exactly float32 values."""
    return tuple(float(value) for value in np.asarray(values, np.float32).reshape(-1))


def int8s(rng: np.random.Generator, shape: tuple[int, ...], kind: str, zero_point: int) -> Array:
    """int8 data of one of ``DATA``."""
    fills = {"min": -128, "max": 127, "zero_point": zero_point}
    if kind in fills:
        return np.full(shape, fills[kind], np.int8)
    if kind == "extremes":
        return rng.choice(np.array([-128, 127], np.int8), shape)
    return rng.integers(-128, 128, shape, np.int8)


DATA = st.sampled_from(["random", "random", "random", "extremes", "min", "max", "zero_point"])
_PADS = st.sampled_from([0, 0, 1, 1, 2, 3])


@st.composite
def windows(draw: st.DrawFn) -> tuple[tuple[int, int, int], tuple[int, int], WindowOptions]:
    """(batches, rows, columns) of x, (rows, columns) of the kernel, options that fit them."""
    batches = draw(st.sampled_from([1, 1, 1, 2]))
    spans = []
    for _ in range(2):
        kernel, dilation = draw(st.integers(1, 4)), draw(st.sampled_from([1, 1, 1, 2, 3]))
        before, after = draw(_PADS), draw(_PADS)
        least = max(1, (kernel - 1) * dilation + 1 - before - after)
        extent = draw(st.integers(least, least + 5))
        spans.append((extent, kernel, dilation, draw(st.integers(1, 3)), (before, after)))
    rows, columns = spans
    options = WindowOptions(
        stride=(rows[3], columns[3]),
        dilation=(rows[2], columns[2]),
        pads=(*rows[4], *columns[4]),
    )
    return (batches, rows[0], columns[0]), (rows[1], columns[1]), options


@st.composite
def conv_2d_cases(draw: st.DrawFn) -> Case:
    """TFLSPLIT_CONV_2D, grouped or not."""
    (batches, rows, columns), kernel, options = draw(windows())
    groups = draw(st.sampled_from([1, 1, 1, 2, 3]))
    depth, per_group = draw(st.integers(1, 20)), draw(st.integers(1, 10))
    x_shape = (batches, rows, columns, depth * groups)
    weights_shape = (per_group * groups, *kernel, depth)
    return draw(_finished(x_shape, weights_shape, 0, options))


@st.composite
def depthwise_cases(draw: st.DrawFn) -> Case:
    """TFLSPLIT_DEPTHWISE_CONV_2D."""
    (batches, rows, columns), kernel, options = draw(windows())
    channels, multiplier = draw(st.integers(1, 20)), draw(st.sampled_from([1, 1, 1, 2, 3, 9]))
    x_shape = (batches, rows, columns, channels)
    return draw(_finished(x_shape, (1, *kernel, channels * multiplier), 3, options))


@st.composite
def _finished(
    draw: st.DrawFn,
    x_shape: tuple[int, ...],
    weights_shape: tuple[int, ...],
    axis: int,
    options: WindowOptions,
) -> Case:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    channels = weights_shape[axis]
    x = Value("x", x_shape, DType.INT8, Quantization((0.5,), (draw(st.integers(-128, 127)),)))
    scales = float32s(rng.uniform(0.5, 2, channels if draw(st.booleans()) else 1))
    # One product is up to 32640: from results of a few bits to saturation everywhere.
    y_scale = float32s(2.0 ** draw(st.integers(-4, 14)))
    weights = constant(
        "weights",
        int8s(rng, weights_shape, draw(DATA), 0),
        Quantization(scales, (0,) * len(scales), axis),
    )
    # TFLM wants to see that the bias has the scale of the sums.
    bias_quantization = Quantization(float32s(np.array(scales) * 0.5), (0,) * len(scales), 0)
    bias = constant("bias", rng.integers(-50000, 50000, channels, np.int32), bias_quantization)
    multiplier, shift = convolution_multipliers(0.5, scales, y_scale[0], channels)
    extent = options.output_extent(x_shape, (weights_shape[1], weights_shape[2]))
    y = Value(
        "y",
        (x_shape[0], *extent, channels),
        DType.INT8,
        Quantization(y_scale, (draw(st.integers(-128, 127)),)),
    )
    make = custom.conv_2d if axis == 0 else custom.depthwise_conv_2d
    node = make(
        x,
        weights,
        bias if draw(st.booleans()) else None,
        constant("multiplier", multiplier),
        constant("shift", shift),
        y,
        stride=options.stride,
        dilation=options.dilation,
        pads=options.pads,
        activation=draw(activations()),
    )
    assert x.quantization is not None
    return Case(node, (int8s(rng, x_shape, draw(DATA), x.quantization.zero_point),))


def every_pad_cases(op: str, kernel: tuple[int, int], stride: int) -> Iterator[Case]:
    """CONV_2D or DEPTHWISE_CONV_2D of 4x5 pixels, every side padded by 0, 1 and 2."""
    rng = np.random.default_rng(0)
    depthwise = op == wire.DEPTHWISE_CONV_2D
    for pads in itertools.product((0, 1, 2), repeat=4):
        options = WindowOptions((stride, stride), (1, 1), (pads[0], pads[1], pads[2], pads[3]))
        x = Value("x", (1, 4, 5, 6), DType.INT8, Quantization((0.5,), (-7,)))
        extent = options.output_extent(x.shape, kernel)
        shape = (1, *kernel, 6) if depthwise else (6, *kernel, 6)
        y = Value("y", (1, *extent, 6), DType.INT8, Quantization((64.0,), (9,)))
        node = (custom.depthwise_conv_2d if depthwise else custom.conv_2d)(
            x,
            constant("weights", rng.integers(-128, 128, shape, np.int8)),
            constant("bias", rng.integers(-5000, 5000, 6, np.int32)),
            constant("multiplier", rng.integers(2**30, 2**31, 6, np.int64).astype(np.int32)),
            constant("shift", rng.integers(-9, -5, 6, np.int32)),
            y,
            stride=options.stride,
            pads=options.pads,
        )
        yield Case(node, (rng.integers(-128, 128, x.shape, np.int8),))


@st.composite
def activations(draw: st.DrawFn) -> tuple[int, int]:
    """Bounds of a clamp: none, or any."""
    low, high = sorted((draw(st.integers(-128, 127)), draw(st.integers(-128, 127))))
    return draw(st.sampled_from([custom.INT8_RANGE, (low, high)]))


@st.composite
def partial_conv_2d_cases(draw: st.DrawFn) -> Case:
    """TFLSPLIT_PARTIAL_CONV_2D."""
    (batches, rows, columns), kernel, options = draw(windows())
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    depth, channels = draw(st.sampled_from([1, 3, 4, 8, 17, 70])), draw(st.integers(1, 9))
    zero_point = draw(st.integers(-128, 127))
    shape = (batches, rows, columns, depth)
    x = Value("x", shape, DType.INT8, Quantization((0.5,), (zero_point,)))
    weights = constant("weights", int8s(rng, (channels, *kernel, depth), draw(DATA), 0))
    y = Value("y", (batches, *options.output_extent(shape, kernel), channels), DType.INT32)
    node = custom.partial_conv_2d(
        x, weights, y, stride=options.stride, dilation=options.dilation, pads=options.pads
    )
    return Case(node, (int8s(rng, shape, draw(DATA), zero_point),))


@st.composite
def partial_fully_connected_cases(draw: st.DrawFn) -> Case:
    """TFLSPLIT_PARTIAL_FULLY_CONNECTED."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    lead = draw(st.sampled_from([(), (1,), (3,), (2, 3)]))
    depth, channels = draw(st.sampled_from([1, 5, 16, 511, 600])), draw(st.integers(1, 9))
    zero_point = draw(st.integers(-128, 127))
    x = Value("x", (*lead, depth), DType.INT8, Quantization((0.5,), (zero_point,)))
    weights = constant("weights", int8s(rng, (channels, depth), draw(DATA), 0))
    y = Value("y", (*lead, channels), DType.INT32)
    node = custom.partial_fully_connected(x, weights, y)
    return Case(node, (int8s(rng, x.shape, draw(DATA), zero_point),))


@st.composite
def partial_sum_cases(draw: st.DrawFn) -> Case:
    """TFLSPLIT_PARTIAL_SUM over a run of dimensions, which may stay as 1."""
    shape = tuple(draw(st.lists(st.integers(1, 19), min_size=1, max_size=4)))
    first = draw(st.integers(0, len(shape) - 1))
    stop = draw(st.integers(first + 1, len(shape)))
    keep = draw(st.booleans()) or stop - first == len(shape)
    made = (*shape[:first], *(1,) * ((stop - first) * keep), *shape[stop:])
    zero_point = draw(st.integers(-128, 127))
    x = Value("x", shape, DType.INT8, Quantization((0.5,), (zero_point,)))
    dtype = DType.INT32
    if prod(shape[first:stop]) <= MOST_SHORT_SUMMED and draw(st.booleans()):
        dtype = DType.INT16
    node = custom.partial_sum(x, Value("y", made, dtype), axes=(first, stop))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return Case(node, (int8s(rng, shape, draw(DATA), zero_point),))


def long_sums() -> Iterator[Case]:
    """TFLSPLIT_PARTIAL_SUM of so many positions that sums of 16 bits would (just) not hold them."""
    for zero_point, byte in ((127, -128), (-128, 127)):
        x = Value("x", (128, 67), DType.INT8, Quantization((0.5,), (zero_point,)))
        node = custom.partial_sum(x, Value("y", (67,), DType.INT16), axes=(0, 1))
        yield Case(node, (np.full(x.shape, byte, np.int8),))
    x = Value("x", (1, 700, 37), DType.INT8, Quantization((0.5,), (5,)))
    node = custom.partial_sum(x, Value("y", (1, 37), DType.INT32), axes=(1, 2))
    for byte in (-128, 127):
        yield Case(node, (np.full(x.shape, byte, np.int8),))
    yield Case(node, (np.random.default_rng(2).integers(-128, 128, x.shape, np.int8),))


@st.composite
def requantize_cases(draw: st.DrawFn, max_channels: int = 300) -> Case:
    """TFLSPLIT_REQUANTIZE with sums from all of int32, many of them next to a rounding point."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    channels = draw(st.integers(1, max_channels))
    positions = draw(st.integers(1, 4))
    scales = float32s(2.0 ** rng.uniform(*draw(st.sampled_from([(-33, 8), (-12, -4), (0, 28)]))))
    scales = float32s(np.array(scales[0]) * rng.uniform(0.5, 2, channels))
    if draw(st.booleans()):  # powers of two: the first rounding meets exact halves
        scales = float32s(2.0 ** rng.integers(-12, 3, channels))
    multiplier, shift = convolution_multipliers(1.0, scales, 1.0, channels)
    dtype = draw(st.sampled_from([DType.INT32, DType.INT16]))
    sums = Value("sums", (positions, channels), dtype)
    bias = constant("bias", rng.integers(-(2**31), 2**31, channels, np.int64).astype(np.int32))
    y = Value("y", sums.shape, DType.INT8, Quantization((1.0,), (draw(st.integers(-128, 127)),)))
    node = custom.requantize(
        sums,
        bias if draw(st.booleans()) else None,
        constant("multiplier", multiplier),
        constant("shift", shift),
        y,
        activation=draw(activations()),
    )
    array = _sums(rng, sums.shape, np.array(scales))
    if dtype is DType.INT16:
        array = np.clip(array, -(2**15), 2**15 - 1).astype(np.int16)
    return Case(node, (array,))


@st.composite
def _window_on(draw: st.DrawFn, extent: tuple[int, ...]) -> tuple[tuple[int, int], WindowOptions]:
    """A kernel and options that fit a map of ``extent`` (rows, columns)."""
    spans = []
    for size in extent:
        kernel, dilation = (
            draw(st.sampled_from([1, 2, 3, 3, 3, 5])),
            draw(st.sampled_from([1, 1, 2])),
        )
        before, after = draw(_PADS), draw(_PADS)
        after += max(0, (kernel - 1) * dilation + 1 - size - before - after)
        spans.append((kernel, dilation, draw(st.integers(1, 3)), (before, after)))
    rows, columns = spans
    options = WindowOptions((rows[2], columns[2]), (rows[1], columns[1]), (*rows[3], *columns[3]))
    return (rows[0], columns[0]), options


@st.composite
def fused_block_cases(draw: st.DrawFn, x: Value | None = None, plain: bool = False) -> Case:
    """TFLSPLIT_FUSED_BLOCK: with and without expansion, sums and column tiles.

    x: what it reads; plain: an expansion is 1x1.
    """
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    if x is None:
        extent = draw(st.integers(1, 9)), draw(st.integers(1, 9))
        batches, channels = draw(st.sampled_from([1, 1, 1, 2])), draw(st.integers(1, 9))
        x = Value(
            "x",
            (batches, *extent, channels),
            DType.INT8,
            Quantization((0.5,), (draw(st.integers(-128, 127)),)),
        )
    assert x.quantization is not None
    x_shape, scale = x.shape, x.quantization.scale
    extent = x_shape[1], x_shape[2]
    at, expand, expand_operands = x_shape, None, ABSENT
    if draw(st.sampled_from([True, True, False])):
        kernel, window = (1, 1), WindowOptions()
        if not plain and draw(st.booleans()):
            kernel, window = draw(_window_on(extent))
        wide = draw(st.integers(1, 20))
        weights = int8s(rng, (wide, *kernel, x_shape[3]), draw(DATA), 0)
        expand, expand_operands = draw(_stages(rng, "expand", weights, 0, scale, window))
        at, scale = (at[0], *window.output_extent(at, kernel), wide), expand.scale
    kernel, window = draw(_window_on(at[1:3]))
    weights = int8s(rng, (1, *kernel, at[3]), draw(DATA), 0)
    depthwise, depthwise_operands = draw(_stages(rng, "depthwise", weights, 3, scale, window))
    at = (at[0], *window.output_extent(at, kernel), at[3])
    weights = int8s(rng, (draw(st.integers(1, 9)), 1, 1, at[3]), draw(DATA), 0)
    project, operands = draw(_stages(rng, "project", weights, 0, depthwise.scale, WindowOptions()))
    sums = draw(st.booleans())
    y_shape = (*at[:3], weights.shape[0])
    y = Value("y", y_shape, DType.INT8, project.quantization)
    options = FusedOptions(
        expand,
        depthwise,
        custom.INT8_RANGE if sums else project.activation,
        sums,
        draw(st.sampled_from([0, 0, 1, 2, 3, 9])),
    )
    residual = None
    if not sums and draw(st.booleans()):
        residual, y, options = draw(_adding(y, project, options))
    node = fused_block(
        x,
        expand_operands,
        depthwise_operands,
        (operands[0], None, None, None) if sums else operands,
        Value("y", y_shape, DType.INT32) if sums else y,
        options,
        residual=residual,
    )
    data = [int8s(rng, x_shape, draw(DATA), x.quantization.zero_point)]
    if residual is not None:
        data.append(int8s(rng, y_shape, draw(DATA), 0))
    return Case(node, tuple(data))


@st.composite
def window_cases(draw: st.DrawFn) -> Case:
    """TFLSPLIT_FUSED_BLOCK with window_columns, and often with a unit before."""
    case = draw(fused_block_cases(plain=draw(st.booleans())))
    assume(case.node.output.shape[0] == 1)
    columns = draw(st.sampled_from([1, 2, 3, 4, 9]))
    options = FusedOptions.of(case.node)
    if options.add is None and not options.sums and draw(st.booleans()):
        last = draw(fused_block_cases(case.node.output, plain=True))
        if FusedOptions.of(last.node).add is None:
            return Case(chained(case.node, last.node, columns), case.arrays)
    options = replace(options, tile_columns=0, window_columns=columns)
    attrs = wire.encode(wire.FUSED_BLOCK, options.attrs())
    return Case(replace(case.node, attrs=attrs), case.arrays)


@st.composite
def middle_cases(draw: st.DrawFn, x: Value | None = None) -> Case:
    """TFLSPLIT_FUSED_BLOCK that adds the part of x under the middles of its windows.

    x: what it reads.
    """
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kernel = draw(st.sampled_from([(1, 1), (3, 3), (3, 1), (1, 5), (5, 3)]))
    dilation = draw(st.sampled_from([(1, 1), (1, 1), (2, 1), (1, 2)]))
    reach = [(k - 1) // 2 * d for k, d in zip(kernel, dilation, strict=True)]
    pads = [draw(st.integers(0, most)) for most in reach for _ in range(2)]
    halo = 2 * reach[0] - sum(pads[:2]), 2 * reach[1] - sum(pads[2:])
    if x is None:
        extent = draw(st.integers(1, 9)) + halo[0], draw(st.integers(1, 40)) + halo[1]
        x = Value("x", (1, *extent, draw(st.integers(1, 9))), DType.INT8, None)
        x.quantization = Quantization((0.5,), (draw(st.integers(-128, 127)),))
    assert x.quantization is not None
    rows, columns = (x.shape[1 + axis] - halo[axis] for axis in range(2))
    assume(min(rows, columns) > 0)
    x_scale = x.quantization.scale
    wide, scale, expand, expand_operands = x.shape[3], x_scale, None, ABSENT
    if draw(st.sampled_from([True, True, False])):
        wide = draw(st.integers(1, 20))
        weights = int8s(rng, (wide, 1, 1, x.shape[3]), draw(DATA), 0)
        window = WindowOptions()
        expand, expand_operands = draw(_stages(rng, "expand", weights, 0, scale, window))
        scale = expand.scale
    window = WindowOptions(dilation=dilation, pads=(pads[0], pads[1], pads[2], pads[3]))
    weights = int8s(rng, (1, *kernel, wide), draw(DATA), 0)
    depthwise, operands = draw(_stages(rng, "depthwise", weights, 3, scale, window))
    weights = int8s(rng, (x.shape[3], 1, 1, wide), draw(DATA), 0)
    plain = WindowOptions()
    project, last = draw(_stages(rng, "project", weights, 0, depthwise.scale, plain))
    p = Value("p", (1, rows, columns, x.shape[3]), DType.INT8, project.quantization)
    tile, narrow = draw(st.sampled_from([(0, 0), (0, 0), (3, 0), (0, 1), (0, 8)]))
    options = FusedOptions(
        expand, depthwise, project.activation, False, tile, window_columns=narrow
    )
    _, y, options = draw(_adding(p, project, options))
    assert options.add is not None
    assert y.quantization is not None
    multipliers = add_multipliers(project.scale, x_scale, y.quantization.scale)
    zero_point = x.quantization.zero_point
    of_x = replace(options.add, multipliers=multipliers, residual_zero_point=zero_point)
    node = fused_block(
        x, expand_operands, operands, last, y, replace(options, add=of_x), residual=x
    )
    return Case(node, (int8s(rng, x.shape, draw(DATA), zero_point),))


@st.composite
def _adding(
    draw: st.DrawFn, p: Value, project: Stage, options: FusedOptions
) -> tuple[Value, Value, FusedOptions]:
    """The operand of an ADD, its result, and the options with it; ``p``: what it adds to."""
    scales = [float32s(project.scale * 2.0 ** draw(st.integers(-3, 3)))[0] for _ in range(2)]
    zero_points = [draw(st.integers(-128, 127)) for _ in range(2)]
    residual, y = (
        Value(name, p.shape, DType.INT8, Quantization((scale,), (zero_point,)))
        for name, scale, zero_point in zip(("residual", "y"), scales, zero_points, strict=True)
    )
    function = draw(st.sampled_from([Activation.NONE, Activation.RELU, Activation.RELU6]))
    add = ResidualAdd(
        options.activation,
        project.zero_point,
        project.scale,
        function,
        add_multipliers(project.scale, scales[0], scales[1]),
        zero_points[0],
    )
    activation = activation_range(function, y.quantization, y.dtype)
    assume(activation[0] <= activation[1])
    return residual, y, replace(options, activation=activation, add=add)


@st.composite
def _stages(
    draw: st.DrawFn,
    rng: np.random.Generator,
    name: str,
    weights: Array,
    axis: int,
    x_scale: float,
    window: WindowOptions,
) -> tuple[Stage, Operands]:
    """A stage and its operands; ``x_scale`` is that of what it reads."""
    channels = weights.shape[axis]
    scales = float32s(rng.uniform(0.5, 2, channels if draw(st.booleans()) else 1))
    # From results of a few bits to saturation everywhere.
    scale = float32s(x_scale * 2.0 ** draw(st.integers(2, 13)))[0]
    multiplier, shift = convolution_multipliers(x_scale, scales, scale, channels)
    zeros = (0,) * len(scales)
    bias = constant(
        f"{name}/bias",
        rng.integers(-50000, 50000, channels, np.int32),
        Quantization(float32s(np.array(scales) * x_scale), zeros, 0),
    )
    operands = (
        constant(f"{name}/weights", weights, Quantization(scales, zeros, axis)),
        bias if draw(st.booleans()) else None,
        constant(f"{name}/multiplier", multiplier),
        constant(f"{name}/shift", shift),
    )
    return Stage(window, draw(activations()), draw(st.integers(-128, 127)), scale), operands


def _sums(rng: np.random.Generator, shape: tuple[int, ...], scales: Array) -> Array:
    """int32: anything, the ends of the range, and what scales to half an integer or nearly so."""
    anything = rng.integers(-(2**31), 2**31, shape, np.int64)
    ends = rng.choice(np.array([-(2**31), 1 - 2**31, -1, 0, 1, 2**31 - 1]), shape)
    halves = np.rint((rng.integers(-140, 140, shape) + 0.5) / scales) + rng.integers(-1, 2, shape)
    kind = rng.integers(0, 4, shape)
    sums = np.where(kind == 0, anything, np.where(kind == 1, ends, halves))
    return np.clip(sums, -(2**31), 2**31 - 1).astype(np.int32)
