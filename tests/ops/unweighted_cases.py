# SPDX-License-Identifier: Apache-2.0
"""Random ADD, MEAN and pools of our own, with data for them."""

from __future__ import annotations

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from tests.ops.custom_cases import DATA, Case, activations, constant, float32s, int8s
from tflsplit.ir import DType, Node, Quantization, Value
from tflsplit.ops.own import unweighted
from tflsplit.ops.own.mean_sums import mean_multiplier
from tflsplit.ops.own.unweighted import PoolOptions
from tflsplit.ops.quantmath import add_multipliers
from tflsplit.ops.window import WindowAxis

_ZERO_POINTS = st.sampled_from([-128, -128, 0, 127, -5, 77])


def _tensor(name: str, shape: tuple[int, ...], scale: float, zero_point: int) -> Value:
    return Value(name, shape, DType.INT8, Quantization(float32s(scale), (zero_point,)))


@st.composite
def add_cases(draw: st.DrawFn, other_is_constant: bool = False) -> Case:
    """TFLSPLIT_ADD of few values, and of so many that tables are made."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = draw(st.sampled_from([(1,), (7,), (1, 3, 5, 3), (4095,), (4096,), (2, 17, 61, 2)]))
    scale = float(2.0 ** rng.uniform(-8, 3))
    other_scale = scale * draw(st.sampled_from([1.0, 1.0, 0.5, 3.7, 1 / 300]))
    y_scale = max(scale, other_scale) * draw(st.sampled_from([0.1, 0.5, 1.0, 1.3, 2.0, 40.0]))
    x, other, y = (
        _tensor(name, shape, each, draw(_ZERO_POINTS))
        for name, each in (("x", scale), ("other", other_scale), ("y", y_scale))
    )
    scales = [v.quantization.scale for v in (x, other, y) if v.quantization]
    multipliers = add_multipliers(scales[0], scales[1], scales[2])
    arrays = int8s(rng, shape, draw(DATA), 0), int8s(rng, shape, draw(DATA), 0)
    if other_is_constant:
        other = constant("other", arrays[1], other.quantization)
    node = unweighted.add(x, other, y, multipliers=multipliers, activation=draw(activations()))
    return Case(node, arrays[: 1 if other_is_constant else 2])


@st.composite
def mean_cases(draw: st.DrawFn) -> Case:
    """TFLSPLIT_MEAN over a run of dimensions, which may stay as 1."""
    channels = draw(st.sampled_from([1, 3, 4, 9, 33, 70]))
    shape = (*draw(st.lists(st.integers(1, 9), max_size=3)), channels)
    first = draw(st.integers(0, len(shape) - 1))
    stop = draw(st.integers(first + 1, len(shape)))
    keep = draw(st.booleans()) or stop - first == len(shape)
    made = (*shape[:first], *(1,) * ((stop - first) * keep), *shape[stop:])
    scale = 0.5 * draw(st.sampled_from([1.0, 0.03, 0.9, 7.0]))
    x, y = (
        _tensor("x", shape, 0.5, draw(_ZERO_POINTS)),
        _tensor("y", made, scale, draw(_ZERO_POINTS)),
    )
    count = int(np.prod(shape[first:stop]))
    scaling = mean_multiplier(Node("MEAN", (x,), (y,)), count)
    node = unweighted.mean(x, y, axes=(first, stop), scaling=scaling)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return Case(node, (int8s(rng, shape, draw(DATA), 0),))


@st.composite
def pool_cases(draw: st.DrawFn, stock: bool = False) -> Case:
    """TFLSPLIT_POOL_2D; ``stock``: with pads that a stock operator has."""
    spans = []
    for _ in range(2):
        kernel, stride = draw(st.integers(1, 5)), draw(st.integers(1, 3))
        extent = draw(st.integers(1, 9))
        pads = draw(st.integers(0, kernel - 1)), draw(st.integers(0, kernel - 1))
        if stock:
            pads = WindowAxis(kernel, stride).pads(0, extent) if draw(st.booleans()) else (0, 0)
        assume(extent + sum(pads) >= kernel)
        spans.append((extent, kernel, stride, pads))
    if stock:  # one option says it of both
        same = [WindowAxis(k, s).pads(0, extent) for extent, k, s, _ in spans]
        kinds = {tuple(span[3] for span in spans)}
        assume(kinds <= {tuple(same), ((0, 0), (0, 0))})
    rows, columns = spans
    channels = draw(st.sampled_from([1, 2, 4, 7, 16, 33, 68]))
    batches = draw(st.sampled_from([1, 1, 2]))
    options = PoolOptions(
        (rows[1], columns[1]),
        (rows[2], columns[2]),
        (*rows[3], *columns[3]),
        draw(activations()),
        draw(st.booleans()),
    )
    shape = (batches, rows[0], columns[0], channels)
    zero_point = draw(_ZERO_POINTS)
    x = _tensor("x", shape, 0.5, zero_point)
    y = _tensor("y", (batches, *options.out_extent(shape), channels), 0.5, zero_point)
    node = unweighted.pool_2d(x, y, options)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return Case(node, (int8s(rng, shape, draw(DATA), 0),))
