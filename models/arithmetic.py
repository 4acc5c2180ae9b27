# SPDX-License-Identifier: Apache-2.0
"""The integer sums behind convolutions, on batches of samples: the calibration of `builder`.

Operands are whole numbers held in float64, so every sum below 2**53 is exact in any order: BLAS
may add as it likes and the same network still comes out on every machine.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Pair = tuple[int, int]


def same_pads(size: int, kernel: int, stride: int, dilation: int = 1) -> Pair:
    """SAME padding ``(before, after)`` of one axis, as TensorFlow defines it."""
    reach = (kernel - 1) * dilation + 1
    total = max(0, (-(-size // stride) - 1) * stride + reach - size)
    return total // 2, total - total // 2


def windows(
    x: Array, kernel: Pair, stride: Pair, dilation: Pair, same: bool, fill: float = 0.0
) -> list[Array]:
    """For every tap of the kernel, row by row: what it sees, ``[batch, out_h, out_w, channels]``.

    fill: what padding reads as.
    """
    pads = [(0, 0)] * 4
    if same:
        for axis in (0, 1):
            pads[axis + 1] = same_pads(
                x.shape[axis + 1], kernel[axis], stride[axis], dilation[axis]
            )
    padded = np.pad(x, pads, constant_values=fill)
    out = [
        (padded.shape[axis + 1] - (kernel[axis] - 1) * dilation[axis] - 1) // stride[axis] + 1
        for axis in (0, 1)
    ]
    taps = []
    for row in range(kernel[0]):
        for column in range(kernel[1]):
            top, left = row * dilation[0], column * dilation[1]
            taps.append(
                padded[
                    :,
                    top : top + (out[0] - 1) * stride[0] + 1 : stride[0],
                    left : left + (out[1] - 1) * stride[1] + 1 : stride[1],
                ]
            )
    return taps


def conv2d(
    x: Array, weights: Array, stride: Pair, dilation: Pair, same: bool, groups: int = 1
) -> Array:
    """Sums of a convolution: ``x`` BHWI without its zero point, ``weights`` OHWI."""
    outputs, height, width, inputs = weights.shape
    taps = windows(x, (height, width), stride, dilation, same)
    flat = weights.reshape(outputs, height * width, inputs)
    share = outputs // groups
    parts = []
    for group in range(groups):
        mine = flat[group * share : (group + 1) * share]
        channels = slice(group * inputs, (group + 1) * inputs)
        parts.append(sum(tap[..., channels] @ mine[:, i].T for i, tap in enumerate(taps)))
    return np.concatenate(parts, axis=-1)


def depthwise_conv2d(x: Array, weights: Array, stride: Pair, dilation: Pair, same: bool) -> Array:
    """Sums of a depthwise convolution: ``weights`` 1HWO with O a multiple of ``x``'s channels."""
    _, height, width, outputs = weights.shape
    multiplier = outputs // x.shape[-1]
    flat = weights.reshape(height * width, outputs)
    taps = windows(x, (height, width), stride, dilation, same)
    total = np.zeros((*taps[0].shape[:3], outputs))
    for i, tap in enumerate(taps):
        total += np.repeat(tap, multiplier, axis=-1) * flat[i]
    return total


def transpose_conv2d(x: Array, weights: Array, stride: Pair) -> Array:
    """Sums of a SAME transpose convolution with output ``stride`` times as large as ``x``."""
    outputs, height, width, _ = weights.shape
    batch, rows, columns, _ = x.shape
    full = np.zeros(
        (batch, (rows - 1) * stride[0] + height, (columns - 1) * stride[1] + width, outputs)
    )
    for row in range(height):
        for column in range(width):
            spread = full[:, row:, column:][:, :: stride[0], :: stride[1]][:, :rows, :columns]
            spread += x @ weights[:, row, column].T
    top, _ = same_pads(rows * stride[0], height, stride[0])
    left, _ = same_pads(columns * stride[1], width, stride[1])
    return full[:, top : top + rows * stride[0], left : left + columns * stride[1]]


def channel_moments(sums: Array) -> tuple[Array, Array]:
    """Mean and standard deviation (at least 1) per last axis of integral ``sums``.

    Added as int64, which no order of adding can change.
    """
    whole = sums.reshape(-1, sums.shape[-1]).astype(np.int64)
    count = whole.shape[0]
    mean = whole.sum(axis=0) / count
    variance = (whole * whole).sum(axis=0) / count - mean * mean
    return mean, np.sqrt(np.maximum(variance, 1.0))
