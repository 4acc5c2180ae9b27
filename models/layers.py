# SPDX-License-Identifier: Apache-2.0
"""The layers without weights, on top of `builder.Builder`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from models.arithmetic import Array, Pair, windows
from models.builder import NONE, Builder, Tensor, fitted, stored
from tflsplit.ir import Padding, Quantization, Value

_UNIT = Quantization((1.0 / 256.0,), (-128,))
"""What TFLM demands of SOFTMAX and LOGISTIC: ``[0, 1)`` in steps of 1/256."""
_SIGNED = Quantization((1.0 / 128.0,), (0,))
"""What TFLM demands of TANH: ``[-1, 1)`` in steps of 1/128."""


class LayerBuilder(Builder):
    """All layers that the networks here use."""

    def add(self, a: Tensor, b: Tensor, activation: int = NONE) -> Tensor:
        """ADD; either side may be broadcast."""
        real = a.real + b.real
        if activation != NONE:
            real = np.maximum(real, 0.0)
        return self._fresh("ADD", [a, b], real, version=2, fused_activation_function=activation)

    def multiply(self, a: Tensor, b: Tensor) -> Tensor:
        """MUL; either side may be broadcast."""
        return self._fresh(
            "MUL", [a, b], a.real * b.real, version=2, fused_activation_function=NONE
        )

    def hard_swish(self, x: Tensor) -> Tensor:
        """HARD_SWISH: ``x * relu6(x + 3) / 6``."""
        return self._fresh("HARD_SWISH", [x], x.real * np.clip(x.real + 3.0, 0.0, 6.0) / 6.0)

    def logistic(self, x: Tensor) -> Tensor:
        """LOGISTIC."""
        return self._table("LOGISTIC", x, lambda real: 1.0 / (1.0 + np.exp(-real)), _UNIT)

    def tanh(self, x: Tensor) -> Tensor:
        """TANH."""
        return self._table("TANH", x, np.tanh, _SIGNED)

    def softmax(self, x: Tensor) -> Tensor:
        """SOFTMAX over the last axis."""

        def table(real: Array) -> Array:
            powers = np.exp(real - real.max(axis=-1, keepdims=True))
            return np.asarray(powers / powers.sum(axis=-1, keepdims=True))

        return self._table("SOFTMAX", x, table, _UNIT, beta=1.0)

    def mean(self, x: Tensor, keep_dims: bool = False) -> Tensor:
        """MEAN over rows and columns: ``[1, h, w, c]`` becomes ``[1, c]`` or ``[1, 1, 1, c]``."""
        real = x.centred.mean(axis=(1, 2), keepdims=keep_dims) * x.quantization.scale
        axes = self.constant(np.array([1, 2], np.int32))
        return self._fresh("MEAN", [x], real, 2, (axes,), keep_dims=keep_dims)

    def average_pool(self, x: Tensor, window: Pair, stride: Pair, same: bool = False) -> Tensor:
        """AVERAGE_POOL_2D; padding does not count."""
        taps = windows(x.centred, window, stride, (1, 1), same)
        ones = windows(np.ones_like(x.centred), window, stride, (1, 1), same)
        samples = np.rint(sum(taps) / sum(ones)) + x.quantization.zero_point
        return self._pool("AVERAGE_POOL_2D", x, samples, window, stride, same)

    def max_pool(self, x: Tensor, window: Pair, stride: Pair, same: bool = False) -> Tensor:
        """MAX_POOL_2D."""
        taps = windows(x.samples, window, stride, (1, 1), same, fill=-128.0)
        return self._pool("MAX_POOL_2D", x, np.maximum.reduce(taps), window, stride, same)

    def reshape(self, x: Tensor, shape: Sequence[int]) -> Tensor:
        """RESHAPE to ``[1, *shape]``."""
        target = (1, *shape)
        samples = x.samples.reshape(self.images, *shape)
        wanted = self.constant(np.array(target, np.int32))
        return self._moved("RESHAPE", x, samples, (wanted,), new_shape=target)

    def flatten(self, x: Tensor) -> Tensor:
        """RESHAPE to ``[1, everything]``."""
        return self.reshape(x, (int(np.prod(x.value.shape)),))

    def pad(self, x: Tensor, rows: Pair, columns: Pair, channels: Pair = (0, 0)) -> Tensor:
        """PAD with the zero point, ``(before, after)`` of rows, of columns and of channels."""
        pads = [(0, 0), rows, columns, channels]
        samples = np.pad(x.samples, pads, constant_values=x.quantization.zero_point)
        return self._moved("PAD", x, samples, (self.constant(np.array(pads, np.int32)),))

    def upsample(self, x: Tensor, factor: int = 2) -> Tensor:
        """RESIZE_NEAREST_NEIGHBOR to ``factor`` times the rows and columns."""
        samples = x.samples.repeat(factor, axis=1).repeat(factor, axis=2)
        size = self.constant(np.array(samples.shape[1:3], np.int32))
        return self._moved(
            "RESIZE_NEAREST_NEIGHBOR",
            x,
            samples,
            (size,),
            version=3,
            align_corners=False,
            half_pixel_centers=True,
        )

    def upsample_bilinear(self, x: Tensor, factor: int = 2) -> Tensor:
        """RESIZE_BILINEAR (half-pixel centres) to ``factor`` times the rows and columns."""
        samples = x.samples
        for axis in (1, 2):
            samples = _bilinear(samples, axis, factor)
        size = self.constant(np.array(samples.shape[1:3], np.int32))
        return self._moved(
            "RESIZE_BILINEAR",
            x,
            np.rint(samples),
            (size,),
            version=3,
            align_corners=False,
            half_pixel_centers=True,
        )

    def requantize(self, x: Tensor, quantization: Quantization) -> Tensor:
        """QUANTIZE from one int8 quantization to another."""
        samples = stored(x.real, quantization)
        return self.emit("QUANTIZE", [x.value], samples, quantization, 2)

    def concat(self, *parts: Tensor) -> Tensor:
        """CONCATENATION along channels.

        TFLM copies int8 operands as they are, so parts whose quantization differs from the one
        that holds them all are requantized first, as TensorFlow's converter does.
        """
        low = min(float(part.real.min()) for part in parts)
        high = max(float(part.real.max()) for part in parts)
        common = next((p.quantization for p in parts if _holds(p, low, high)), fitted(low, high))
        same = [p if p.quantization == common else self.requantize(p, common) for p in parts]
        samples = np.concatenate([part.samples for part in same], axis=-1)
        axis = len(same[0].value.shape) - 1
        operands = [part.value for part in same]
        return self.emit(
            "CONCATENATION", operands, samples, common, 2, axis=axis, fused_activation_function=NONE
        )

    def _fresh(
        self,
        op: str,
        operands: Sequence[Tensor],
        real: Array,
        version: int = 1,
        extra: tuple[Value, ...] = (),
        **attrs: int | bool,
    ) -> Tensor:
        """A node whose output range is the observed one."""
        quantization = fitted(real.min(), real.max())
        inputs = [*(tensor.value for tensor in operands), *extra]
        return self.emit(op, inputs, stored(real, quantization), quantization, version, **attrs)

    def _table(
        self,
        op: str,
        x: Tensor,
        function: Callable[[Array], Array],
        to: Quantization,
        **attrs: float,
    ) -> Tensor:
        """A node whose output range the operator fixes."""
        return self.emit(op, [x.value], stored(function(x.real), to), to, 2, **attrs)

    def _moved(
        self,
        op: str,
        x: Tensor,
        samples: Array,
        extra: tuple[Value, ...] = (),
        version: int = 1,
        **attrs: int | bool | tuple[int, ...],
    ) -> Tensor:
        """A node that moves stored values and keeps their quantization."""
        return self.emit(op, [x.value, *extra], samples, x.quantization, version, **attrs)

    def _pool(
        self, op: str, x: Tensor, samples: Array, window: Pair, stride: Pair, same: bool
    ) -> Tensor:
        return self._moved(
            op,
            x,
            samples,
            version=2,
            padding=Padding.SAME if same else Padding.VALID,
            stride_h=stride[0],
            stride_w=stride[1],
            filter_height=window[0],
            filter_width=window[1],
            fused_activation_function=NONE,
        )


def _holds(part: Tensor, low: float, high: float) -> bool:
    """Whether ``part``'s quantization can express ``[low, high]``."""
    scale, zero_point = part.quantization.scale, part.quantization.zero_point
    return (-128.5 - zero_point) * scale <= low and high <= (127.5 - zero_point) * scale


def _bilinear(samples: Array, axis: int, factor: int) -> Array:
    size = samples.shape[axis]
    centre = np.clip((np.arange(size * factor) + 0.5) / factor - 0.5, 0, size - 1)
    left = centre.astype(np.int64)
    weight = (centre - left).reshape([-1 if i == axis else 1 for i in range(samples.ndim)])
    right = np.minimum(left + 1, size - 1)
    return np.asarray(samples.take(left, axis) * (1 - weight) + samples.take(right, axis) * weight)
