# SPDX-License-Identifier: Apache-2.0
"""MobileNetV2 of any width and size with seeded, calibrated weights; no TensorFlow.

Architecture: Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018,
table 2; widths are rounded as the paper's published code does.
"""

from __future__ import annotations

from models.builder import NONE, Tensor
from models.layers import LayerBuilder
from tflsplit.ir import Graph

STAGES = (
    # expansion, channels, blocks, stride of the first
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def mobilenet_v2(
    alpha: float = 1.0, size: int = 224, classes: int = 1000, seed: int = 2018, images: int = 4
) -> Graph:
    """The whole network, ``int8[1, size, size, 3]`` to ``int8[1, classes]`` after a softmax.

    alpha: multiplies the number of channels; images: how many calibrate the scales.
    """
    net = LayerBuilder(f"mobilenet_v2_{alpha}_{size}", seed, images)
    x = net.input((size, size, 3))
    x = net.conv(x, _rounded(32 * alpha), (3, 3), (2, 2))
    for expansion, channels, blocks, stride in STAGES:
        for block in range(blocks):
            step = stride if block == 0 else 1
            x = inverted_residual(net, x, expansion, _rounded(channels * alpha), step)
    x = net.conv(x, _rounded(1280 * max(1.0, alpha)), (1, 1))
    return net.finish(classifier(net, net.mean(x), classes))


def inverted_residual(
    net: LayerBuilder, x: Tensor, expansion: int, channels: int, stride: int
) -> Tensor:
    """Expand by a 1x1 convolution, filter each channel, project back; add ``x`` where it fits.

    x ─┬─ CONV 1x1 ── DEPTHWISE 3x3 ── CONV 1x1 ─ ADD ─
       └──────────────────────────────────────────┘
    """
    inner = x
    if expansion != 1:
        inner = net.conv(inner, x.channels * expansion, (1, 1))
    inner = net.depthwise(inner, (3, 3), (stride, stride))
    inner = net.conv(inner, channels, (1, 1), activation=NONE)
    return net.add(inner, x) if stride == 1 and channels == x.channels else inner


def classifier(net: LayerBuilder, features: Tensor, classes: int) -> Tensor:
    """Logits and softmax; the logits spread widely enough that a few classes stand out."""
    return net.softmax(net.dense(features, classes, NONE, spread=2.5))


def _rounded(channels: float) -> int:
    """To a multiple of 8, at least 8, and never more than a tenth below ``channels``."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * channels else nearest
