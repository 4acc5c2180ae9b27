# SPDX-License-Identifier: Apache-2.0
"""DEPTHWISE_CONV_2D: shards assembled are the whole, bit for bit, on TFLM."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.ops.test_conv import ACTIVATIONS, PADDINGS, weights_and_bias
from tests.support import check_drawn, node, tensor
from tflsplit.ir import DType, Node
from tflsplit.ops import rule_of
from tflsplit.ops.window import WindowAxis


@st.composite
def depthwise(draw: st.DrawFn, dtype: DType = DType.INT8) -> Node:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kernel = draw(st.tuples(st.integers(1, 4), st.integers(1, 3)))
    stride = draw(st.integers(1, 3))
    dilation = draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    extent = draw(st.tuples(st.integers(1, 11), st.integers(1, 6)))
    padding = draw(PADDINGS)
    axes = [WindowAxis(k, stride, d) for k, d in zip(kernel, dilation, strict=True)]
    out = [axis.out_extent(padding, n) for axis, n in zip(axes, extent, strict=True)]
    assume(min(out) > 0)
    channels, multiplier = draw(st.integers(1, 6)), draw(st.integers(1, 4))
    zero_point = 0 if dtype is DType.INT16 else draw(st.integers(-128, 127))
    x = tensor("x", (draw(st.integers(1, 2)), *extent, channels), dtype, 0.05, zero_point)
    shape = (1, *kernel, channels * multiplier)
    weights, bias, scale = weights_and_bias(
        rng, shape, 3, x, draw(st.booleans()), draw(st.booleans())
    )
    y = tensor("y", (x.shape[0], *out, shape[3]), dtype, scale, 0 if zero_point == 0 else 9)
    return node(
        "DEPTHWISE_CONV_2D",
        [x, weights, bias][: 3 if bias else 2],
        y,
        padding=padding,
        stride_h=stride,
        stride_w=stride,
        dilation_h_factor=dilation[0],
        dilation_w_factor=dilation[1],
        depth_multiplier=multiplier,
        fused_activation_function=draw(ACTIVATIONS),
    )


@settings(max_examples=60)
@given(depthwise(), st.data())
def test_every_factor_of_int8(conv: Node, data: st.DataObject):
    check_drawn(data, conv, {"batch", "rows", "columns", "channels"})


@settings(max_examples=25)
@given(depthwise(dtype=DType.INT16), st.data())
def test_every_factor_of_int16(conv: Node, data: st.DataObject):
    check_drawn(data, conv, {"batch", "rows", "columns", "channels"})


@pytest.mark.parametrize(("channels", "multiplier", "steps"), [(1, 8, 8), (3, 2, 3), (5, 1, 5)])
def test_steps_of_channels(channels: int, multiplier: int, steps: int):
    x, total = tensor("x", (1, 4, 4, channels)), channels * multiplier
    rng = np.random.default_rng(0)
    weights, _, scale = weights_and_bias(rng, (1, 3, 3, total), 3, x, True, False)
    y = tensor("y", (1, 2, 2, total), scale=scale)
    attrs = {"padding": 1, "stride_h": 1, "stride_w": 1, "depth_multiplier": multiplier}
    conv = node("DEPTHWISE_CONV_2D", [x, weights], y, **attrs)
    factor = next(f for f in rule_of(conv).factors(conv) if f.name == "channels")
    assert factor.size == steps
    piece = rule_of(conv).piece(conv, {"channels": (0, 1)})
    assert [box.shape[3] for box in piece.operands if box] == [1, total // steps]
    assert piece.macs == 2 * 2 * 9 * total // steps
