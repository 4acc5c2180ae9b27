# SPDX-License-Identifier: Apache-2.0
"""Random layers with weights: convolutions of every kind, dense layers, SVDF."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tests.random_models.net import MOST_ELEMENTS, SPREAD, Attributes, Net
from tflsplit.ir import Activation, DType, Padding, Quantization, Value

_ACTIVATIONS = (Activation.NONE, Activation.NONE, Activation.RELU, Activation.RELU6)
Pair = tuple[int, int]
_WEIGHT_SPREAD = 127 / math.sqrt(3)


def _weights(
    net: Net,
    x: Value,
    y: Quantization,
    shape: Sequence[int],
    axis: int,
    terms: int,
) -> tuple[Value, Value | None]:
    """Weights and (mostly) a bias for sums of ``terms`` products, channels along ``axis``."""
    rng, channels = net.rng, shape[axis]
    assert x.quantization is not None
    gain = SPREAD / (SPREAD * _WEIGHT_SPREAD * math.sqrt(terms))
    count = channels if rng.random() < 0.7 else 1
    scales = tuple(
        float(np.float32(gain * rng.uniform(0.5, 2.0) * y.scale / x.quantization.scale))
        for _ in range(count)
    )
    quantization = Quantization(scales, (0,) * count, axis)
    numbers = net.array(shape)
    dead = _dead_channels(numbers, axis)
    weights = Value(net.name("weights"), tuple(shape), DType.INT8, quantization, numbers)
    if axis == 0 and rng.random() < 0.15:  # TFLM's depthwise kernel wants a bias
        return weights, None
    steps = tuple(float(np.float32(x.quantization.scale * scale)) for scale in scales)
    spread = int(SPREAD * _WEIGHT_SPREAD * math.sqrt(terms))
    data = np.array([rng.randint(-spread, spread) for _ in range(channels)], np.int32)
    data[dead[::2]] = 0  # they hold the zero point, the others something else
    bias = Value(
        net.name("bias"), (channels,), DType.INT32, Quantization(steps, (0,) * count), data
    )
    return weights, bias


def _dead_channels(weights: NDArray[np.int8], axis: int) -> NDArray[np.intp]:
    """Takes the weights of some channels away, in one layer of four; what training does, too.

    Which ones follows from the weights: a seed's other draws stay what they were.
    """
    rng = np.random.default_rng(zlib.crc32(weights.tobytes()))
    if rng.random() > 0.25:
        return np.zeros(0, np.intp)
    dead = np.flatnonzero(rng.random(weights.shape[axis]) < 0.4)
    weights[(slice(None),) * axis + (dead,)] = 0
    return dead


def _extent(padding: int, extent: int, reach: int, stride: int) -> int:
    if padding == Padding.SAME:
        return -(-extent // stride)
    return (extent - reach) // stride + 1 if extent >= reach else 0


Window = tuple[Attributes, tuple[int, int], tuple[int, int]]
"""Options, kernel, and extents of the result."""


def _window(net: Net, x: Value) -> Window | None:
    """Any window; None if nothing is left of the result."""
    rng = net.rng
    kernel = rng.choice([(1, 1), (3, 3), (3, 3), (2, 2), (1, 3), (5, 2), (4, 1), (5, 5)])
    stride = rng.choice([(1, 1), (1, 1), (2, 2), (2, 1), (1, 2), (3, 3)])
    dilation = rng.choice([(1, 1), (1, 1), (1, 1), (2, 2), (1, 2), (3, 1)])
    dilation = dilation if stride == (1, 1) else (1, 1)
    return _window_of(x, kernel, stride, dilation, rng.random() < 0.5, rng.choice(_ACTIVATIONS))


def _window_of(
    x: Value, kernel: Pair, stride: Pair, dilation: Pair, same: bool, activation: int
) -> Window | None:
    padding = Padding.SAME if same else Padding.VALID
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    rows, columns = (_extent(padding, x.shape[1 + i], reach[i], stride[i]) for i in range(2))
    if rows < 1 or columns < 1:
        return None
    options: Attributes = {
        "padding": int(padding),
        "stride_h": stride[0],
        "stride_w": stride[1],
        "dilation_h_factor": dilation[0],
        "dilation_w_factor": dilation[1],
        "fused_activation_function": int(activation),
    }
    return options, kernel, (rows, columns)


def window_layer(
    net: Net, x: Value, kernel: Pair, stride: Pair, dilation: Pair, same: bool, depthwise: bool
) -> Value | None:
    """A convolution of this window; None if nothing is left of the result."""
    found = _window_of(x, kernel, stride, dilation, same, Activation.NONE)
    make = _depthwise if depthwise else _conv
    return None if found is None else make(net, x, found)


def conv(net: Net, x: Value | None = None) -> Value | None:
    """CONV_2D of any window; sometimes grouped, sometimes with the weights of another one."""
    x = x or net.pick(4)
    found = None if x is None else _window(net, x)
    return None if x is None or found is None else _conv(net, x, found)


def _conv(net: Net, x: Value, window: Window) -> Value:
    options, kernel, extents = window
    y, channels = net.scale(), net.rng.choice([1, 3, 4, 8, 13])
    groups = net.rng.choice([g for g in (1, 1, 1, 2, 4) if x.shape[3] % g == 0])
    channels = -(-channels // groups) * groups
    per_group = x.shape[3] // groups
    shape = (channels, *kernel, per_group)
    same = [pair for pair in net.shared if pair[0].shape == shape]
    if same and net.rng.random() < 0.8:
        weights, bias = net.rng.choice(same)
    else:
        weights, bias = _weights(net, x, y, shape, 0, math.prod(kernel) * per_group)
        net.shared.append((weights, bias))
    return net.result(
        "CONV_2D", (x, weights, bias), (x.shape[0], *extents, channels), y, 3, **options
    )


def conv_again(net: Net) -> Value | None:
    """A convolution with the weights of an earlier one."""
    if not net.shared:
        return None
    weights, bias = net.rng.choice(net.shared)
    x = next((v for v in reversed(net.live) if _takes(v, weights)), None)
    if x is None:
        return None
    options: Attributes = {
        "padding": int(Padding.SAME), "stride_h": 1, "stride_w": 1, "dilation_h_factor": 1,
        "dilation_w_factor": 1, "fused_activation_function": 0,
    }  # fmt: skip
    shape = (*x.shape[:3], weights.shape[0])
    return net.result("CONV_2D", (x, weights, bias), shape, net.scale(), 3, **options)


def _takes(value: Value, weights: Value) -> bool:
    return len(value.shape) == 4 and value.shape[3] == weights.shape[3]


def padded_conv(net: Net) -> Value | None:
    """PAD in front of a convolution, as PyTorch exports it; sometimes read by others too."""
    x = net.pick(4)
    if x is None:
        return None
    rng = net.rng
    pads = [(0, 0), (rng.randint(0, 2), rng.randint(0, 2)), (rng.randint(0, 2), rng.randint(0, 2))]
    pads.append(rng.choice([(0, 0), (0, 0), (0, 0), (1, 1)]))
    shape = [n + a + b for n, (a, b) in zip(x.shape, pads, strict=True)]
    padded = net.result("PAD", (x, net.integers(pads)), shape, x.quantization)
    if rng.random() < 0.8:
        net.live.remove(padded)
    return rng.choice([conv, depthwise])(net, padded)


def depthwise(net: Net, x: Value | None = None) -> Value | None:
    """DEPTHWISE_CONV_2D, sometimes with a channel multiplier."""
    x = x or net.pick(4)
    found = None if x is None else _window(net, x)
    return None if x is None or found is None else _depthwise(net, x, found)


def _depthwise(net: Net, x: Value, window: Window) -> Value:
    options, kernel, extents = window
    multiplier = net.rng.choice([1, 1, 1, 2, 3])
    y, channels = net.scale(), x.shape[3] * multiplier
    weights, bias = _weights(net, x, y, (1, *kernel, channels), 3, math.prod(kernel))
    options["depth_multiplier"] = multiplier
    return net.result(
        "DEPTHWISE_CONV_2D", (x, weights, bias), (x.shape[0], *extents, channels), y, 3, **options
    )


def block(net: Net) -> Value | None:
    """Expansion, depthwise convolution, projection; with a residual where shapes allow."""
    x = net.pick(4)
    if x is None:
        return None
    e = pointwise(net, x, net.rng.choice([4, 6, 12]))
    d = depthwise(net, e)
    if d is None:
        return e
    net.live.remove(e)
    net.live.remove(d)
    y = pointwise(net, d, x.shape[3], Activation.NONE)
    if y.shape != x.shape:
        return y
    return net.result("ADD", (y, x), x.shape, version=2, fused_activation_function=0)


def pointwise(net: Net, x: Value, channels: int, activation: int = Activation.RELU6) -> Value:
    """A 1x1 convolution."""
    y = net.scale()
    weights, bias = _weights(net, x, y, (channels, 1, 1, x.shape[3]), 0, x.shape[3])
    options: Attributes = {
        "padding": int(Padding.SAME), "stride_h": 1, "stride_w": 1, "dilation_h_factor": 1,
        "dilation_w_factor": 1, "fused_activation_function": activation,
    }  # fmt: skip
    return net.result("CONV_2D", (x, weights, bias), (*x.shape[:3], channels), y, 3, **options)


def dense(net: Net) -> Value | None:
    """FULLY_CONNECTED, of a matrix or along the last dimension of anything."""
    x = net.pick(net.rng.choice([2, None]))
    if x is None or len(x.shape) < 2:
        return None
    y, units, depth = net.scale(), net.rng.choice([1, 5, 8, 17]), x.shape[-1]
    weights, bias = _weights(net, x, y, (units, depth), 0, depth)
    keep = len(x.shape) != 2
    return net.result(
        "FULLY_CONNECTED",
        (x, weights, bias),
        (*x.shape[:-1], units),
        y,
        5,
        keep_num_dims=keep,
        fused_activation_function=int(net.rng.choice(_ACTIVATIONS)),
    )


def transpose_conv(net: Net) -> Value | None:
    """TRANSPOSE_CONV, SAME or VALID."""
    x = net.pick(4)
    if x is None:
        return None
    rng = net.rng
    kernel, stride = rng.choice([((2, 2), (2, 2)), ((3, 3), (2, 2)), ((3, 2), (1, 1))])
    padding = rng.choice([Padding.SAME, Padding.VALID])
    extents = [
        n * s if padding == Padding.SAME else (n - 1) * s + k
        for n, s, k in zip(x.shape[1:3], stride, kernel, strict=True)
    ]
    y, channels = net.scale(), rng.choice([1, 3, 6])
    shape = (x.shape[0], *extents, channels)
    if math.prod(shape) > MOST_ELEMENTS:
        return None
    terms = math.prod(kernel) * x.shape[3]
    weights, bias = _weights(net, x, y, (channels, *kernel, x.shape[3]), 0, terms)
    return net.result(
        "TRANSPOSE_CONV",
        (net.integers(shape), weights, x, bias),
        shape,
        y,
        3,
        padding=int(padding),
        stride_h=stride[0],
        stride_w=stride[1],
        fused_activation_function=0,
    )


WEIGHTED = (conv, conv, padded_conv, depthwise, block, dense, transpose_conv, conv_again)
