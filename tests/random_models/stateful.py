# SPDX-License-Identifier: Apache-2.0
"""Random layers that remember something of the last inference."""

from __future__ import annotations

import math

import numpy as np

from tests.random_models.net import SPREAD, Net
from tests.resource_variables import stream
from tflsplit.ir import Activation, DType, Quantization, Value


def _symmetric(net: Net, shape: tuple[int, ...], scale: float) -> Value:
    quantization = Quantization((float(np.float32(scale)),), (0,))
    return Value(net.name("weights"), shape, DType.INT8, quantization, net.array(shape))


def _bias(net: Net, count: int, scale: float, spread: int) -> Value:
    numbers = [net.rng.randint(-spread, spread) for _ in range(count)]
    quantization = Quantization((float(np.float32(scale)),), (0,))
    data = np.array(numbers, np.int32)
    return Value(net.name("bias"), (count,), DType.INT32, quantization, data)


def _state(net: Net, shape: tuple[int, ...], dtype: DType, scale: float) -> Value:
    quantization = Quantization((float(np.float32(scale)),), (0,))
    return Value(net.name("state"), shape, dtype, quantization, is_variable=True)


def svdf(net: Net, x: Value | None = None) -> Value | None:
    """SVDF with a state of 8 or 16 bits."""
    x = x or net.pick(2)
    if x is None:
        return None
    rng = net.rng
    units, rank, memory = rng.choice([1, 4, 7]), rng.choice([1, 1, 2]), rng.choice([1, 3, 8])
    filters, depth, batch = units * rank, x.shape[1], x.shape[0]
    dtype = rng.choice([DType.INT8, DType.INT16])
    spread = SPREAD if dtype is DType.INT8 else 1000.0
    y = net.scale()
    assert x.quantization is not None
    state_scale, weights = 0.1, 127 / math.sqrt(3)
    feature_scale = spread / (SPREAD * weights * math.sqrt(depth)) * state_scale
    feature = _symmetric(net, (filters, depth), feature_scale / x.quantization.scale)
    terms = math.sqrt(memory * rank)
    time_scale = SPREAD / (spread * weights * terms) * y.scale / state_scale
    time = _symmetric(net, (filters, memory), time_scale)
    if dtype is DType.INT16:  # both are, or neither
        assert time.data is not None
        time = Value(time.name, time.shape, dtype, time.quantization, time.data.astype(np.int16))
    bias = _bias(net, units, state_scale * time_scale, int(SPREAD * y.scale / (0.1 * time_scale)))
    state = _state(net, (batch, filters * memory), dtype, state_scale)
    return net.result(
        "SVDF",
        (x, feature, time, bias, state),
        (batch, units),
        y,
        3,
        rank=rank,
        fused_activation_function=int(Activation.RELU),
        asymmetric_quantize_inputs=False,
    )


def lstm(net: Net, x: Value | None = None) -> Value | None:
    """UNIDIRECTIONAL_SEQUENCE_LSTM over a few steps."""
    x = x or net.pick(3)
    if x is None or x.shape[1] > 12:
        return None
    rng = net.rng
    time_major = rng.random() < 0.3
    batch, units = x.shape[1 if time_major else 0], rng.choice([1, 3, 6])
    assert x.quantization is not None
    hidden = Quantization((1.0 / 128,), (0,))
    own = 4.0 / (SPREAD * 73 * math.sqrt(x.shape[2]) * x.quantization.scale)
    recurrent = 4.0 / (SPREAD * 73 * math.sqrt(units) * hidden.scale)
    inputs: list[Value | None] = [x]
    inputs += [_symmetric(net, (units, x.shape[2]), own) for _ in range(4)]
    inputs += [_symmetric(net, (units, units), recurrent) for _ in range(4)]
    inputs += [None, None, None]
    scale = x.quantization.scale * own
    inputs += [_bias(net, units, scale, int(2 / scale)) for _ in range(4)]
    inputs += [None, None]
    inputs += [_state(net, (batch, units), DType.INT8, hidden.scale)]
    inputs += [_state(net, (batch, units), DType.INT16, 1.0 / 2048)]
    inputs += [None] * 4
    return net.result(
        "UNIDIRECTIONAL_SEQUENCE_LSTM",
        inputs,
        (*x.shape[:2], units),
        hidden,
        1,
        fused_activation_function=int(Activation.TANH),
        cell_clip=10.0,
        proj_clip=0.0,
        time_major=time_major,
        asymmetric_quantize_inputs=False,
    )


def remembered(net: Net, x: Value | None = None) -> Value | None:
    """The last steps of what came before, from a resource variable, in front of x."""
    x = x or net.pick(net.rng.choice([3, 4]))
    if x is None or x.quantization is None or len(x.quantization.scales) > 1:
        return None
    nodes, window = stream(x, net.rng.randint(1, 5), net.name("stream"), net.rng.random() < 0.3)
    net.nodes += nodes
    net.live.append(window)
    net.hidden.update(v for node in nodes for v in node.outputs if v is not window)
    return window


STATEFUL = (svdf, lstm, remembered)
