# SPDX-License-Identifier: Apache-2.0
"""Builds a calibrated int8 network layer by layer, without TensorFlow and without training.

``Builder`` carries, along with every tensor, what that tensor holds for a few seeded smooth
images.  A layer's weights are random; its per-channel scales and biases are then chosen so that
each channel's outputs over those images have a wanted mean and spread (what batch normalization
does with a trained network), and the output's scale so that the observed range fills int8 (what
TensorFlow's calibration does).  So no layer saturates, none is dead, and logits differ from image
to image, which is what makes a comparison of two such networks worth something.

Every network is a function of its seed alone: random numbers come from NumPy's frozen
``RandomState``, sums are exact (see `arithmetic`), all else is single IEEE operations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.arithmetic import (
    Array,
    Pair,
    channel_moments,
    conv2d,
    depthwise_conv2d,
    transpose_conv2d,
)
from models.images import smooth_images
from tflsplit.ir import Activation, Attrs, DType, Graph, Node, Padding, Quantization, Value

NONE, RELU, RELU6 = Activation.NONE, Activation.RELU, Activation.RELU6
_CLAMPS = {NONE: (-np.inf, np.inf), RELU: (0.0, np.inf), RELU6: (0.0, 6.0)}


@dataclass(eq=False)
class Tensor:
    """A value of the network and what it holds for the calibration images.

    samples: stored int8 values as float64, shape ``[images, *value.shape[1:]]``.
    """

    value: Value
    samples: Array

    @property
    def quantization(self) -> Quantization:
        """The value's quantization, which activations always have."""
        assert self.value.quantization is not None
        return self.value.quantization

    @property
    def centred(self) -> Array:
        """The samples without their zero point: whole numbers."""
        return self.samples - self.quantization.zero_point

    @property
    def real(self) -> Array:
        """The samples as the real numbers they stand for."""
        return self.centred * self.quantization.scale

    @property
    def channels(self) -> int:
        """Extent of the last axis."""
        return self.value.shape[-1]


class BuilderBase:
    """Names, random numbers, calibration images and the making of values and nodes."""

    def __init__(self, name: str, seed: int, images: int = 16) -> None:
        self.name = name
        self.images = images
        self._seed = seed
        self._rng = np.random.RandomState(seed)
        self._inputs: list[Tensor] = []
        self._nodes: list[Node] = []

    def input(self, shape: Sequence[int], low: float = -1.0, high: float = 1.0) -> Tensor:
        """A new network input ``[1, *shape]`` of int8 that stands for ``[low, high]``."""
        real = smooth_images(
            self.images, tuple(shape), self._seed + 1 + len(self._inputs), low, high
        )
        quantization = fitted(low, high)
        value = Value(f"input_{len(self._inputs)}", (1, *shape), DType.INT8, quantization)
        self._inputs.append(Tensor(value, stored(real, quantization)))
        return self._inputs[-1]

    def finish(self, *outputs: Tensor) -> Graph:
        """The network with these outputs."""
        return Graph(
            name=self.name,
            inputs=tuple(tensor.value for tensor in self._inputs),
            outputs=tuple(tensor.value for tensor in outputs),
            nodes=list(self._nodes),
        )

    def emit(
        self,
        op: str,
        inputs: Sequence[Value],
        samples: Array,
        quantization: Quantization,
        version: int = 1,
        **attrs: int | float | bool | tuple[int, ...],
    ) -> Tensor:
        """Append a node; ``samples`` are what its output stores for the calibration images."""
        name = f"{op.lower()}_{len(self._nodes)}"
        output = Value(name, (1, *samples.shape[1:]), DType.INT8, quantization)
        node = Node(op, tuple(inputs), (output,), Attrs(attrs), name, version)
        self._nodes.append(node)
        return Tensor(output, samples)

    def constant(self, array: NDArray[np.int32]) -> Value:
        """An int32 constant for a shape, axes or paddings."""
        name = f"constant_{len(self._nodes)}"
        return Value(name, array.shape, DType.INT32, data=np.ascontiguousarray(array, "<i4"))

    def bell(self, shape: Sequence[int]) -> Array:
        """Random int8 weights, bell-shaped around 0, as float64: the sum of three even draws."""
        return np.asarray(self._rng.randint(-42, 43, (3, *shape)).sum(axis=0), np.float64)

    def even(self, low: float, high: float, count: int) -> Array:
        """Random numbers in ``[low, high]``, in steps of a thousandth of it."""
        return np.asarray(low + (high - low) * self._rng.randint(0, 1001, count) / 1e3, np.float64)


class Builder(BuilderBase):
    """The layers with weights; `layers.LayerBuilder` adds those without."""

    def conv(
        self,
        x: Tensor,
        channels: int,
        kernel: Pair = (3, 3),
        stride: Pair = (1, 1),
        activation: int = RELU6,
        *,
        dilation: Pair = (1, 1),
        groups: int = 1,
        same: bool = True,
    ) -> Tensor:
        """CONV_2D with per-channel weights (grouped if ``groups`` > 1)."""
        weights = self.bell((channels, *kernel, x.channels // groups))
        sums = conv2d(x.centred, weights, stride, dilation, same, groups)
        options = _window_options(stride, dilation, same, activation)
        return self._weighted("CONV_2D", x, weights, 0, sums, 3, options)

    def depthwise(
        self,
        x: Tensor,
        kernel: Pair = (3, 3),
        stride: Pair = (1, 1),
        activation: int = RELU6,
        *,
        dilation: Pair = (1, 1),
        multiplier: int = 1,
        same: bool = True,
    ) -> Tensor:
        """DEPTHWISE_CONV_2D with per-channel weights."""
        weights = self.bell((1, *kernel, x.channels * multiplier))
        sums = depthwise_conv2d(x.centred, weights, stride, dilation, same)
        options = _window_options(stride, dilation, same, activation)
        options["depth_multiplier"] = multiplier
        return self._weighted("DEPTHWISE_CONV_2D", x, weights, 3, sums, 3, options)

    def dense(
        self,
        x: Tensor,
        units: int,
        activation: int = NONE,
        spread: float | None = None,
        per_channel: bool = False,
    ) -> Tensor:
        """FULLY_CONNECTED of a vector, or at every position of a sequence.

        spread: standard deviation of the outputs; logits want more of it than hidden layers.
        per_channel: a scale for each unit, as newer converters write it, not one for all weights.
        """
        weights = self.bell((units, x.channels))
        sums = x.centred @ weights.T
        options = {"fused_activation_function": activation}
        if sums.ndim > 2:
            options["keep_num_dims"] = True
        axis, version = (0, 12) if per_channel else (None, 4)
        return self._weighted("FULLY_CONNECTED", x, weights, axis, sums, version, options, spread)

    def transpose_conv(
        self, x: Tensor, channels: int, kernel: Pair = (2, 2), stride: Pair = (2, 2)
    ) -> Tensor:
        """TRANSPOSE_CONV (SAME) with per-channel weights."""
        weights = self.bell((channels, *kernel, x.channels))
        sums = transpose_conv2d(x.centred, weights, stride)
        shape = self.constant(np.array([1, *sums.shape[1:]], np.int32))
        options = {
            "padding": Padding.SAME,
            "stride_h": stride[0],
            "stride_w": stride[1],
            "fused_activation_function": NONE,
        }
        return self._weighted("TRANSPOSE_CONV", x, weights, 0, sums, 3, options, first=(shape,))

    def _weighted(
        self,
        op: str,
        x: Tensor,
        weights: Array,
        axis: int | None,
        sums: Array,
        version: int,
        options: dict[str, int],
        spread: float | None = None,
        first: tuple[Value, ...] = (),
    ) -> Tensor:
        """Choose scales and bias for ``sums``, then append the node.

        axis: the axis of ``weights`` along which scales run; None: one scale for all.
        """
        activation = options["fused_activation_function"]
        mean, deviation = channel_moments(sums)
        gain, offset = self._wanted(activation, sums.shape[-1], spread)
        if axis is None:
            gain, deviation = np.median(gain, keepdims=True), np.median(deviation, keepdims=True)
        scales = (gain / (deviation * x.quantization.scale)).astype(np.float32)
        steps = (x.quantization.scale * scales.astype(np.float64)).astype(np.float32)
        bias = np.rint(offset / steps.astype(np.float64) - mean)
        real = np.clip((sums + bias) * steps.astype(np.float64), *_CLAMPS[activation])
        name = f"{op.lower()}_{len(self._nodes)}"
        operands = [
            Value(
                f"{name}/weights",
                weights.shape,
                DType.INT8,
                _symmetric(scales, axis or 0),
                weights.astype(np.int8),
            ),
            Value(
                f"{name}/bias", bias.shape, DType.INT32, _symmetric(steps, 0), bias.astype("<i4")
            ),
        ]
        inputs = [*first, operands[0], x.value, operands[1]] if first else [x.value, *operands]
        quantization = fitted(real.min(), real.max())
        return self.emit(op, inputs, stored(real, quantization), quantization, version, **options)

    def _wanted(self, activation: int, channels: int, spread: float | None) -> tuple[Array, Array]:
        """Standard deviation and mean that each channel's real outputs shall have.

        Uneven on purpose, so that per-channel scales differ; with a clamp at 0 some channels are
        mostly on and some mostly off, and with ReLU6 a few elements reach 6.
        """
        gain = self.even(0.6, 1.4, channels) * (spread or (1.0 if activation == NONE else 1.8))
        low, high = (-0.2, 0.2) if activation == NONE else (-0.6, 1.8)
        return gain, self.even(low, high, channels)


def fitted(low: float, high: float) -> Quantization:
    """The int8 quantization whose range is ``[low, high]``, widened to hold 0 exactly."""
    low, high = min(float(low), 0.0), max(float(high), 0.0)
    scale = float(np.float32(max(high - low, 1e-6) / 255.0))
    return Quantization((scale,), (int(np.clip(np.rint(-128 - low / scale), -128, 127)),))


def stored(real: Array, quantization: Quantization) -> Array:
    """Real numbers as int8 values (held in float64)."""
    steps = np.rint(real / quantization.scale) + quantization.zero_point
    return np.asarray(np.clip(steps, -128, 127), np.float64)


def _symmetric(scales: NDArray[np.float32], axis: int) -> Quantization:
    return Quantization(tuple(float(s) for s in scales), (0,) * len(scales), axis)


def _window_options(stride: Pair, dilation: Pair, same: bool, activation: int) -> dict[str, int]:
    return {
        "padding": Padding.SAME if same else Padding.VALID,
        "stride_h": stride[0],
        "stride_w": stride[1],
        "dilation_h_factor": dilation[0],
        "dilation_w_factor": dilation[1],
        "fused_activation_function": activation,
    }
