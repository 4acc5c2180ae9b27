# SPDX-License-Identifier: Apache-2.0
"""Tiny seeded int8 networks, one for each kind of structure that tflsplit must split.

They are built in well under a second, need no TensorFlow and no download, and are the same bytes
on every build, so the test suite and a fresh machine can use them.
"""

from __future__ import annotations

from collections.abc import Callable

from models.attention import vision_transformer
from models.builder import NONE, RELU, Tensor
from models.layers import LayerBuilder
from models.mobilenet_v2 import classifier, inverted_residual
from tflsplit.ir import Graph


def mobilenet() -> Graph:
    """MobileNetV2's blocks: stride 2, residual adds, global pool, FULLY_CONNECTED, SOFTMAX."""
    net = LayerBuilder("mobilenet", 1)
    x = net.conv(net.input((32, 32, 3)), 8, (3, 3), (2, 2))
    for expansion, channels, stride in [(1, 8, 1), (4, 12, 2), (4, 12, 1), (6, 16, 2), (6, 16, 1)]:
        x = inverted_residual(net, x, expansion, channels, stride)
    return net.finish(classifier(net, net.mean(net.conv(x, 48, (1, 1))), 10))


def ds_cnn() -> Graph:
    """A keyword spotter: an oblong kernel, depthwise-separable blocks, average pooling."""
    net = LayerBuilder("ds_cnn", 2)
    x = net.conv(net.input((49, 10, 1)), 24, (10, 4), (2, 2), RELU)
    for _ in range(3):
        x = net.conv(net.depthwise(x, activation=RELU), 24, (1, 1), activation=RELU)
    window = (x.value.shape[1], x.value.shape[2])
    return net.finish(classifier(net, net.flatten(net.average_pool(x, window, window)), 12))


def resnet() -> Graph:
    """Residual blocks of full convolutions; shortcuts of stride 2 by a 1x1 convolution."""
    net = LayerBuilder("resnet", 3)
    x = net.conv(net.input((24, 24, 3)), 8, activation=RELU)
    for channels, stride in [(8, 1), (16, 2), (24, 2)]:
        inner = net.conv(x, channels, (3, 3), (stride, stride), RELU)
        inner = net.conv(inner, channels, activation=NONE)
        if stride != 1:
            x = net.conv(x, channels, (1, 1), (stride, stride), NONE)
        x = net.add(inner, x, RELU)
    x = net.average_pool(x, (6, 6), (6, 6))
    return net.finish(classifier(net, net.flatten(x), 10))


def autoencoder() -> Graph:
    """FULLY_CONNECTED only: wide, narrow, wide."""
    net = LayerBuilder("autoencoder", 4)
    x = net.input((160,))
    for units in (64, 64, 8, 64):
        x = net.dense(x, units, RELU)
    return net.finish(net.dense(x, 160))


def grouped_dilated() -> Graph:
    """Grouped and dilated convolutions, a channel multiplier, VALID and odd strides, pooling."""
    net = LayerBuilder("grouped_dilated", 5)
    x = net.conv(net.input((33, 29, 2)), 12, (5, 3), (1, 2), RELU)
    x = net.conv(x, 24, groups=4)
    x = net.conv(x, 12, dilation=(2, 2), same=False)
    x = net.depthwise(x, dilation=(2, 1), multiplier=2)
    x = net.max_pool(x, (3, 3), (2, 2), same=True)
    x = net.conv(net.pad(x, (1, 2), (0, 1)), 16, (3, 3), (3, 2), same=False)
    return net.finish(net.average_pool(x, (2, 2), (1, 1), same=True))


def squeeze_excite() -> Graph:
    """HARD_SWISH and squeeze-and-excite blocks, whose gate is broadcast over the map."""
    net = LayerBuilder("squeeze_excite", 6)
    x = net.hard_swish(net.conv(net.input((24, 24, 3)), 12, (3, 3), (2, 2), NONE))
    for channels in (16, 24):
        x = net.hard_swish(net.depthwise(x, (5, 5), activation=NONE))
        gate = net.conv(net.mean(x, keep_dims=True), 6, (1, 1), activation=RELU)
        gate = net.logistic(net.conv(gate, x.channels, (1, 1), activation=NONE))
        x = net.conv(net.multiply(x, gate), channels, (1, 1), activation=NONE)
    return net.finish(classifier(net, net.mean(x), 8))


def unet() -> Graph:
    """Skips joined by CONCATENATION after TRANSPOSE_CONV, nearest and bilinear resizing."""
    net = LayerBuilder("unet", 7)
    x = net.input((32, 32, 1))
    skips: list[Tensor] = []
    for channels in (8, 12, 16):
        skips.append(net.conv(x, channels, activation=RELU))
        x = net.max_pool(skips[-1], (2, 2), (2, 2))
    x = net.conv(x, 24, activation=RELU)
    x = net.conv(net.concat(net.transpose_conv(x, 16), skips[2]), 16, activation=RELU)
    x = net.conv(net.concat(net.upsample(x), skips[1]), 12, activation=RELU)
    x = net.conv(net.concat(net.upsample_bilinear(x), skips[0]), 8, activation=RELU)
    return net.finish(net.logistic(net.conv(x, 1, (1, 1), activation=NONE)))


def temporal() -> Graph:
    """1-D dilated convolutions over a signal, joined by a vector; two inputs, two outputs."""
    net = LayerBuilder("temporal", 8)
    state, signal = net.input((8,)), net.input((64, 1, 4))
    x = net.conv(signal, 12, (5, 1), activation=RELU)
    for dilation in (2, 4):
        inner = net.conv(x, 12, (3, 1), activation=RELU, dilation=(dilation, 1))
        x = net.add(inner, x)
    joined = net.concat(net.mean(x), net.tanh(net.dense(state, 6)))
    labels = classifier(net, joined, 5)
    return net.finish(labels, net.conv(x, 3, (1, 1), activation=NONE))


def transformer() -> Graph:
    """A vision transformer: 4 heads of attention, layer normalization in parts, GELU."""
    return vision_transformer("transformer", 10)


NETWORKS: dict[str, Callable[[], Graph]] = {
    network.__name__: network
    for network in (
        mobilenet,
        ds_cnn,
        resnet,
        autoencoder,
        grouped_dilated,
        squeeze_excite,
        unet,
        temporal,
        transformer,
    )
}
"""By name, in the order in which to read them."""
