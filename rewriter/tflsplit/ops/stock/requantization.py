# SPDX-License-Identifier: Apache-2.0
"""The constants of a convolution's requantization, cut to a piece's output channels."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tflsplit.ir import Activation, DType, Node, Value
from tflsplit.ops.factors import DimMap, Piece, Scaled
from tflsplit.ops.own.custom import requantize
from tflsplit.ops.quantmath import Int32Array, activation_range
from tflsplit.ops.region import Box
from tflsplit.ops.rule import cut_constant

Multipliers = Callable[[float, Sequence[float], float, int], tuple[Int32Array, Int32Array]]


def multiplier_constants(
    node: Node, piece: Piece, multipliers: Multipliers, prefix: str
) -> tuple[Value, Value]:
    """``(multiplier, shift)``, int32[channels], of a node with operands x, weights[, bias].

    They come from the *whole* node, because FULLY_CONNECTED multiplies differently where only one
    scale is stored, and a cut may leave one.
    """
    x, weights, y = node.input(0), node.input(1), node.output
    assert x.quantization is not None
    assert weights.quantization is not None
    assert y.quantization is not None
    start, stop = piece.results[0].intervals[-1]
    arrays = multipliers(
        x.quantization.scale, weights.quantization.scales, y.quantization.scale, y.shape[-1]
    )
    multiplier, shift = (
        Value(f"{prefix}/{name}", (stop - start,), DType.INT32, data=array[start:stop])
        for name, array in zip(("multiplier", "shift"), arrays, strict=True)
    )
    return multiplier, shift


def fused_range(node: Node) -> tuple[int, int]:
    """Smallest and largest stored value that the fused activation of a node lets through."""
    activation = node.attrs.integer("fused_activation_function", Activation.NONE)
    return activation_range(activation, node.output.quantization, node.output.dtype)


def has_scales(node: Node, channel_dim: int = 0) -> bool:
    """Whether x, weights and the result are int8 (int16 x) with the scales that TFLM needs.

    channel_dim: dimension of the weights that the output channels run along.  TFLM takes scale i
        for output channel i whatever axis the file names, so another axis cannot be cut.
    """
    x, weights, y = node.input(0), node.input(1), node.output
    return (
        x.dtype in (DType.INT8, DType.INT16)
        and y.dtype is x.dtype
        and weights.dtype is DType.INT8
        and all(v.quantization is not None and v.quantization.scales for v in (x, weights, y))
        and all(v.quantization is not None and not v.quantization.per_channel for v in (x, y))
        # TFLM's int16 kernels, PAD among them, take the zero point to be 0.
        and (
            x.dtype is DType.INT8 or (x.quantization is not None and not x.quantization.zero_point)
        )
        and _is_symmetric_along(weights, channel_dim)
    )


def _is_symmetric_along(weights: Value, dim: int) -> bool:
    quantization = weights.quantization
    if quantization is None or np.any(quantization.zero_points):
        return False
    return not quantization.per_channel or (
        quantization.axis == dim and len(quantization.scales) == weights.shape[dim]
    )


def optional(inputs: Sequence[Value | None], index: int) -> Value | None:
    """An operand that may be left out."""
    return inputs[index] if index < len(inputs) else None


def per_output_channel(node: Node, step: int, dim: int = 0) -> dict[int, tuple[int, DimMap]]:
    """How weights (along ``dim``) and bias follow ``step`` output channels."""
    touched: dict[int, tuple[int, DimMap]] = {1: (dim, Scaled(step))}
    if optional(node.inputs, 2) is not None:
        touched[2] = 0, Scaled(step)
    return touched


def can_sum_parts(node: Node) -> bool:
    """Whether int32 partial sums can be requantized later: int8, and a bias known beforehand."""
    bias = optional(node.inputs, 2)
    return node.input(0).dtype is DType.INT8 and (bias is None or bias.is_constant)


def requantized(
    node: Node, piece: Piece, sums: Value, output: Value, multipliers: Multipliers
) -> Node:
    """int8 ``output`` of complete ``sums``: bias, multipliers and activation of ``node``."""
    bias, box = optional(node.inputs, 2), optional_box(piece)
    if bias is not None and box is not None:
        bias = cut_constant(bias, box)
    multiplier, shift = multiplier_constants(node, piece, multipliers, output.name)
    return requantize(
        sums, bias, multiplier, shift, output, activation=fused_range(node), name=output.name
    )


def optional_box(piece: Piece) -> Box | None:
    """The box of the bias, if there is one."""
    return piece.operands[2] if len(piece.operands) > 2 else None
