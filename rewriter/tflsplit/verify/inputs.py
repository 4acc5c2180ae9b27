# SPDX-License-Identifier: Apache-2.0
"""Inputs to verify with: edges of the range, smooth images, noise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tflsplit.errors import ModelError
from tflsplit.ir import DType, Graph, Value
from tflsplit.ops.stock.indices import index_limit
from tflsplit.runtime.engines import Array
from tflsplit.split.devices import tensor_labels

EDGES = ("all min", "all max", "zero point")


@dataclass(frozen=True)
class Case:
    """One set of model inputs, by tensor name."""

    name: str
    inputs: dict[str, Array]


def make_cases(graph: Graph, runs: int, seed: int) -> Iterator[Case]:
    """Three edge cases, then ``runs`` seeded ones, smooth images and noise in turn.

    Smooth images matter: noise averages out in the first layers, and a saturated softmax hides
    what went wrong before it.
    """
    labels = tensor_labels(graph)
    for edge in EDGES:
        yield Case(edge, {labels[value]: _edge(graph, value, edge) for value in graph.inputs})
    for run in range(runs):
        random = np.random.default_rng((seed, run))
        smooth = run % 2 == 0
        inputs = {labels[v]: _scaled(graph, v, _unit(v, random, smooth)) for v in graph.inputs}
        yield Case(f"{'smooth' if smooth else 'noise'} {run} (seed {seed})", inputs)


def _range(graph: Graph, value: Value) -> tuple[float, float]:
    """Smallest and largest stored value; of a float input, what its QUANTIZE can represent.

    Of indices, into a table of words, say, those that there are.
    """
    if value.dtype is not DType.FLOAT32:
        if value.dtype is DType.BOOL:
            return 0, 1
        try:
            info = np.iinfo(value.dtype.numpy.str)
        except (KeyError, ValueError):
            raise ModelError(
                f"input {value.name!r} is {value.dtype.value}; tflsplit makes inputs of integers "
                "and float32 only"
            ) from None
        limit = index_limit(graph, value)
        return (int(info.min), int(info.max)) if limit is None else (0, limit - 1)
    for node in graph.nodes:
        if value in node.operands and node.outputs:
            quantization = node.outputs[0].quantization
            if quantization and len(quantization.scales) == 1:
                low, high = (q - quantization.zero_point for q in (-128, 127))
                return low * quantization.scale, high * quantization.scale
    return -1.0, 1.0


def _edge(graph: Graph, value: Value, edge: str) -> Array:
    low, high = _range(graph, value)
    quantization = value.quantization
    zero = quantization.zero_point if quantization and quantization.scales else 0
    number = {"all min": low, "all max": high, "zero point": zero}[edge]
    return np.full(value.shape, number, value.dtype.numpy)


def _unit(value: Value, random: np.random.Generator, smooth: bool) -> Array:
    """Numbers in [0, 1]: independent, or a sum of a few waves along the first long dimensions."""
    if not smooth or value.size < 16:
        return random.random(value.shape)
    grid = np.meshgrid(*(np.linspace(0, 1, max(n, 1)) for n in value.shape), indexing="ij")
    total = np.zeros(value.shape)
    for _ in range(4):
        phase = sum(random.uniform(-4, 4) * axis for axis in grid)
        total += np.sin(2 * np.pi * (phase + random.random()))
    total -= total.min()
    result: Array = total / max(float(total.max()), 1e-9)
    return result


def _scaled(graph: Graph, value: Value, unit: Array) -> Array:
    low, high = _range(graph, value)
    if value.dtype is DType.FLOAT32:
        return (low + unit * (high - low)).astype(np.float32)
    # Adding 1 before flooring gives the largest value its fair share, without leaving the range.
    numbers = np.floor(low + unit * (float(high) - float(low) + 1))
    return np.clip(numbers, low, high).astype(value.dtype.numpy)
