# SPDX-License-Identifier: Apache-2.0
"""FULLY_CONNECTED, also with inputs of more than two dimensions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tflsplit.ir import Node, Value
from tflsplit.ops.dims import run_factors
from tflsplit.ops.factors import SAME_INDEX, DimMap, Factor, Kind, Piece, Scaled
from tflsplit.ops.local import copied, sliced, temporary
from tflsplit.ops.own.custom import partial_fully_connected
from tflsplit.ops.quantmath import fully_connected_multipliers
from tflsplit.ops.rule import OpRule, clone, rule_for
from tflsplit.ops.stock.requantization import (
    can_sum_parts,
    has_scales,
    optional,
    per_output_channel,
    requantized,
)


@rule_for("FULLY_CONNECTED")
class FullyConnectedRule(OpRule):
    """x [..., I] or anything that flattens to [B, I], weights OI, bias [O], result [..., O]."""

    knows_per_channel = True

    def find_factors(self, node: Node) -> tuple[Factor, ...]:
        weights, output = node.input(1), node.output
        if (
            not has_scales(node)
            or node.attrs.integer("weights_format")
            or not _can_be_doubled(node)
            or _inner_dims(node) is None
            or output.shape[-1] != weights.shape[0]
        ):
            return ()
        touched = per_output_channel(node, 1)
        last = len(output.shape) - 1
        out_channels = Factor("out_channels", weights.shape[0], touched, {0: (last, 1)})
        return (*_batch_factors(node), out_channels, *_reduction(node))

    def macs(self, node: Node) -> int:
        return node.output.size * node.input(1).shape[-1]

    def localize(
        self,
        node: Node,
        piece: Piece,
        inputs: Sequence[Value | None],
        outputs: Sequence[Value],
    ) -> list[Node]:
        weights, whole = inputs[1], node.input(1)
        assert weights is not None
        if _is_per_channel(whole) and not _is_per_channel(weights):
            return _one_channel(node, inputs, outputs[0])
        return [clone(node, inputs, outputs)]

    def partial(
        self, node: Node, piece: Piece, inputs: Sequence[Value | None], output: Value
    ) -> list[Node]:
        x, weights = inputs[0], inputs[1]
        assert x is not None
        assert weights is not None
        shape = (*output.shape[:-1], weights.shape[1])
        if x.shape == shape:
            return [partial_fully_connected(x, weights, output, name=output.name)]
        flat = temporary(output, "flat", shape, x)
        return [
            copied(x, flat),
            partial_fully_connected(flat, weights, output, name=output.name),
        ]

    def requantize(self, node: Node, piece: Piece, sums: Value, output: Value) -> list[Node]:
        return [requantized(node, piece, sums, output, fully_connected_multipliers)]


def _is_per_channel(weights: Value) -> bool:
    return weights.quantization is not None and weights.quantization.per_channel


def _can_be_doubled(node: Node) -> bool:
    """Whether a single channel of several scales could be computed, see ``_one_channel``."""
    bias = optional(node.inputs, 2)
    known = node.input(1).is_constant and (bias is None or bias.is_constant)
    return known or not _is_per_channel(node.input(1))


def _inner_dims(node: Node) -> int | None:
    """The first dimension of x that is summed over: those from there on make I elements.

    None where x does not flatten to [B, I] at a dimension, or B is not the result's.
    """
    x, inner = node.input(0), node.input(1).shape[-1]
    batch = math.prod(node.output.shape[:-1])
    if len(node.input(1).shape) != 2:
        return None
    dims = [
        dim
        for dim in range(len(x.shape))
        if math.prod(x.shape[:dim]) == batch and math.prod(x.shape[dim:]) == inner
    ]
    # Dimensions of extent 1 leave a choice: rather as many as the result has.
    kept = len(node.output.shape) - 1
    return kept if kept in dims else next(iter(dims), None)


def _batch_factors(node: Node) -> tuple[Factor, ...]:
    """What is multiplied with the same weights: positions of a sequence, images of a batch.

    They need not have the same shape on both sides: [1, 8, 8, I] -> [64, O] has a factor of 8
    steps, a row of x and 8 rows of the result.
    """
    x, output = node.input(0), node.output
    inner = _inner_dims(node)
    if inner is None:
        return ()
    return run_factors(x.shape[:inner], output.shape[:-1], output)


def _reduction(node: Node) -> tuple[Factor, ...]:
    """The outermost summed dimension of x; a step of it is a run of columns of the weights."""
    x, inner = node.input(0), _inner_dims(node)
    if inner is None or not can_sum_parts(node):
        return ()
    dim = next((d for d in range(inner, len(x.shape)) if x.shape[d] > 1), len(x.shape) - 1)
    run = math.prod(x.shape[dim + 1 :])
    touched: dict[int, tuple[int, DimMap]] = {0: (dim, SAME_INDEX), 1: (1, Scaled(run))}
    return (Factor("in_channels", x.shape[dim], touched, {}, Kind.REDUCTION),)


def _one_channel(node: Node, inputs: Sequence[Value | None], output: Value) -> list[Node]:
    """One output channel of per-channel weights: computed twice, of which one is kept.

    With a single scale left TFLM would take its per-tensor path, whose float32 product of scales
    gives another multiplier than the per-channel path's double.

        x -- FULLY_CONNECTED (the row twice) --> [..., 2] -- SLICE --> [..., 1]
    """
    weights, bias = inputs[1], optional(inputs, 2)
    assert weights is not None
    pair = temporary(output, "pair", (*output.shape[:-1], 2), output)
    twice = [inputs[0], _doubled(weights)]
    if len(inputs) > 2:
        twice.append(None if bias is None else _doubled(bias))
    return [clone(node, twice, (pair,)), sliced(pair, [0] * len(output.shape), output)]


def _doubled(value: Value) -> Value:
    """A constant of extent 1 twice along its first dimension, with two scales."""
    assert value.data is not None
    quantization = value.quantization
    if quantization is not None:
        quantization = replace(
            quantization,
            scales=quantization.scales * 2,
            zero_points=quantization.zero_points * 2,
            axis=0,
            minimum=(),
            maximum=(),
        )
    data = np.concatenate([value.data, value.data])
    return Value(f"{value.name}/twice", data.shape, value.dtype, quantization, data)
