# SPDX-License-Identifier: Apache-2.0
"""The layers of a transformer, in the operators that TensorFlow's converter makes of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.arithmetic import Array
from models.builder import NONE, Tensor, fitted, stored
from models.layers import LayerBuilder
from models.mobilenet_v2 import classifier
from tflsplit.ir import DType, Graph, Value


class AttentionBuilder(LayerBuilder):
    """Attention, layer normalization and GELU over a sequence ``[1, positions, channels]``."""

    def transpose(self, x: Tensor, order: Sequence[int]) -> Tensor:
        """TRANSPOSE; ``order[0]`` is 0."""
        wanted = self.constant(np.array(order, np.int32))
        return self._moved("TRANSPOSE", x, x.samples.transpose(order), (wanted,))

    def matmul(self, a: Tensor, b: Tensor, adj_y: bool = False) -> Tensor:
        """BATCH_MATMUL of two computed stacks of matrices."""
        right = np.swapaxes(b.centred, -1, -2) if adj_y else b.centred
        # whole numbers, whose sum does not depend on the order of adding
        real = (a.centred @ right) * (a.quantization.scale * b.quantization.scale)
        return self._fresh("BATCH_MATMUL", [a, b], real, 3, adj_x=False, adj_y=adj_y)

    def scaled(self, x: Tensor, factor: float) -> Tensor:
        """MUL by a constant scalar."""
        return self._with("MUL", x, np.array([factor]), x.real * factor)

    def mean_of_channels(self, x: Tensor) -> Tensor:
        """MEAN over the last axis, which stays as 1."""
        real = x.centred.mean(axis=-1, keepdims=True) * x.quantization.scale
        axes = self.constant(np.array([len(x.value.shape) - 1], np.int32))
        return self._fresh("MEAN", [x], real, 2, (axes,), keep_dims=True)

    def mean_of_positions(self, x: Tensor) -> Tensor:
        """MEAN over the positions: ``[1, positions, channels]`` becomes ``[1, channels]``."""
        real = x.centred.mean(axis=1) * x.quantization.scale
        axes = self.constant(np.array([1], np.int32))
        return self._fresh("MEAN", [x], real, 2, (axes,), keep_dims=False)

    def layer_norm(self, x: Tensor) -> Tensor:
        """Every position brought to mean 0 and deviation 1, then scaled: nine operators."""
        mean = self.mean_of_channels(x)
        squares = self._fresh("SQUARED_DIFFERENCE", [x, mean], (x.real - mean.real) ** 2, 2)
        variance = self.mean_of_channels(squares)
        positive = self._with("ADD", variance, np.array([1e-3]), variance.real + 1e-3)
        inverse = self._fresh("RSQRT", [positive], 1 / np.sqrt(np.maximum(positive.real, 1e-3)), 2)
        gain = self.even(0.7, 1.3, x.channels)
        factor = self._with("MUL", inverse, gain, inverse.real * gain)
        shifted = self.multiply(mean, factor)
        offset = self.even(-0.2, 0.2, x.channels)
        rest = self._with("SUB", shifted, offset, offset - shifted.real, constant_first=True)
        return self.add(self.multiply(x, factor), rest)

    def gelu(self, x: Tensor) -> Tensor:
        """GELU by its usual approximation, ``x * sigmoid(1.702 x)``."""
        return self.multiply(x, self.logistic(self.scaled(x, 1.702)))

    def heads(self, x: Tensor, heads: int, order: Sequence[int] = (0, 2, 1, 3)) -> Tensor:
        """``[1, positions, channels]`` as ``[1, heads, positions, channels / heads]``."""
        positions, channels = x.value.shape[1:]
        return self.transpose(self.reshape(x, (positions, heads, channels // heads)), order)

    def self_attention(self, x: Tensor, heads: int, adj_y: bool = False) -> Tensor:
        """Multi-head attention.

        adj_y: the keys go into BATCH_MATMUL as they are; otherwise they are transposed before.
        """
        positions, channels = x.value.shape[1:]
        keys, queries = (self.dense(x, channels, per_channel=True) for _ in range(2))
        k = self.heads(keys, heads, (0, 2, 1, 3) if adj_y else (0, 2, 3, 1))
        scores = self.matmul(self.heads(queries, heads), k, adj_y)
        # 1 / deviation of a sum of so many products
        scores = self.scaled(scores, 1 / np.sqrt(channels // heads))
        weights = self.softmax(scores)
        values = self.heads(self.dense(x, channels, per_channel=True), heads)
        mixed = self.transpose(self.matmul(weights, values), (0, 2, 1, 3))
        return self.dense(self.reshape(mixed, (positions, channels)), channels, per_channel=True)

    def perceptron(self, x: Tensor, units: int) -> Tensor:
        """FULLY_CONNECTED, GELU, FULLY_CONNECTED, at every position."""
        wide = self.gelu(self.dense(x, units, per_channel=True))
        return self.dense(wide, x.channels, per_channel=True)

    def _with(
        self, op: str, x: Tensor, numbers: Array, real: Array, constant_first: bool = False
    ) -> Tensor:
        """A node of a tensor and an int8 constant that broadcasts."""
        quantization = fitted(numbers.min(), numbers.max())
        name = f"{op.lower()}_{len(self._nodes)}/constant"
        data = stored(numbers, quantization).astype(np.int8)
        value = Value(name, data.shape, DType.INT8, quantization, data)
        made = fitted(real.min(), real.max())
        inputs = [value, x.value] if constant_first else [x.value, value]
        return self.emit(op, inputs, stored(real, made), made, 2, fused_activation_function=NONE)


def vision_transformer(
    name: str = "transformer",
    seed: int = 9,
    *,
    size: int = 16,
    patch: int = 4,
    channels: int = 16,
    heads: int = 4,
    blocks: int = 1,
    classes: int = 6,
    adj_y: bool = False,
) -> Graph:
    """Patches of an image as positions, blocks of attention and perceptron, a mean, a classifier.

    size, patch: rows and columns of the image and of a patch; (size / patch)² positions.
    adj_y: the second block's keys, or the only one's, are not transposed before they are used.
    """
    net = AttentionBuilder(name, seed)
    x = net.conv(
        net.input((size, size, 3)), channels, (patch, patch), (patch, patch), NONE, same=False
    )
    x = net.reshape(x, ((size // patch) ** 2, channels))
    for block in range(blocks):
        last = block == blocks - 1
        x = net.add(x, net.self_attention(net.layer_norm(x), heads, adj_y and last))
        x = net.add(x, net.perceptron(net.layer_norm(x), 2 * channels))
    x = net.mean_of_positions(net.layer_norm(x))
    return net.finish(classifier(net, x, classes))
