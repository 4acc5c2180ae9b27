# SPDX-License-Identifier: Apache-2.0
"""Operators that device graphs leave to TFLM, counted beside our own ones.

TFLM's sources are not here, so kernels of ours stand for its: the same bits, compared with TFLM's
wheel, written as one would for speed (``stock_operators.cc``; a FULLY_CONNECTED is TFLSPLIT_CONV_2D
at one position).  TFLM's own take more.

int8 SOFTMAX, FULLY_CONNECTED, QUANTIZE and RESHAPE; others are not counted.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.operands import computed_operands, seeded
from tests.kernels.cortex_m import COUNTING, build_for, emulate
from tests.kernels.kernel_driver import ROOT, decode_answer, encode_case
from tflsplit.ir import DType, Graph, Node, Value
from tflsplit.ops.own.custom import conv_2d
from tflsplit.ops.quantmath import (
    fully_connected_multipliers,
    quantize_multiplier,
)
from tflsplit.ops.stock.requantization import fused_range
from tflsplit.runtime.engines import engine

SOURCE = ROOT / "benchmarks" / "stock_operators.cc"
_OPS = ("SOFTMAX", "QUANTIZE", "RESHAPE")
"""As stock_operators.cc numbers them."""

Integers = tuple[int, ...] | None
"""Of a case; None if the kernel does not take the node."""


class StockOperators:
    """The kernels on one emulated core; every operator is a run of its own."""

    def __init__(self, board: str, portable: bool, folder: Path) -> None:
        self._board = board
        self._program = folder / f"{board}-{'portable' if portable else 'own'}-stock.elf"
        schedule = "portable" if portable else "own"
        build_for(board, self._program, SOURCE, schedule, counts=True)

    def measure(self, node: Node) -> tuple[int, int, bool]:
        """Instructions, scratch bytes, and whether all bits are TFLM's, of a node that is taken."""
        integers, arrays = integers_of(node), seeded(node)
        assert integers is not None
        case = encode_case(_OPS.index(node.op), integers, arrays)
        answer = decode_answer(io.BytesIO(emulate(self._board, self._program, case, *COUNTING)))
        return answer.instructions, answer.scratch_bytes, answer.y == tflm_bytes(node)


def tflm_bytes(node: Node) -> bytes:
    """What TFLM makes of the seeded operands of a node."""
    graph = Graph("one", computed_operands(node), (node.output,), [node])
    (y,) = engine()[1](graph).run(seeded(node))
    return y.tobytes()


def integers_of(node: Node) -> Integers:
    """What the kernel is told; None of an operator that is not taken."""
    reader = _READERS.get(node.op)
    kinds = (DType.INT8, DType.UINT8) if node.op == "QUANTIZE" else (DType.INT8,)
    values = (*computed_operands(node), *node.outputs)
    if reader is None or any(value.dtype not in kinds for value in values):
        return None
    return reader(node)


def as_convolution(node: Node) -> Node | None:
    """TFLSPLIT_CONV_2D that gives a FULLY_CONNECTED's bits; None if nothing does."""
    if node.op != "FULLY_CONNECTED" or node.input(0).dtype is not DType.INT8:
        return None
    x, weights, y = node.input(0), node.input(1), node.output
    if weights.data is None or weights.dtype is not DType.INT8:
        return None
    q, of_x, of_y = weights.quantization, x.quantization, y.quantization
    if q is None or of_x is None or of_y is None or any(q.zero_points):
        return None
    channels, depth = weights.shape
    scaling = fully_connected_multipliers(of_x.scale, q.scales, of_y.scale, channels)
    multiplier, shift = (Value("n", (channels,), DType.INT32, None, each) for each in scaling)
    kernel = (channels, 1, 1, depth)
    return conv_2d(
        Value("x", (x.size // depth, 1, 1, depth), x.dtype, of_x),
        Value("w", kernel, DType.INT8, None, weights.data.reshape(kernel)),
        node.inputs[2] if len(node.inputs) > 2 else None,
        multiplier,
        shift,
        Value("y", (x.size // depth, 1, 1, channels), y.dtype, of_y),
        activation=fused_range(node),
    )


def _scale(value: Value) -> tuple[float, int]:
    assert value.quantization is not None
    return value.quantization.scale, value.quantization.zero_point


def _softmax(node: Node) -> Integers:
    """PreprocessSoftmaxScaling and CalculateInputRadius of TFLM's quantization_util.cc."""
    x, y, beta = node.input(0), node.output, node.attrs.get("beta", 1.0)
    assert isinstance(beta, int | float)
    if _scale(y) != (1 / 256, -128):
        return None
    real = min(float(np.float64(beta) * _scale(x)[0]) * (1 << 26), float((1 << 31) - 1))
    multiplier, shift = quantize_multiplier(real)
    smallest = -math.floor(31 * (1 << 26) / (1 << shift))
    return x.size // x.shape[-1], x.shape[-1], multiplier, shift, smallest


def _quantize(node: Node) -> Integers:
    x, y = node.input(0), node.output
    scaling = quantize_multiplier(_scale(x)[0] / _scale(y)[0])
    kinds = (int(value.dtype is DType.UINT8) for value in (x, y))
    return *scaling, _scale(x)[1], _scale(y)[1], *kinds


_READERS: dict[str, Callable[[Node], Integers]] = {
    "SOFTMAX": _softmax,
    "QUANTIZE": _quantize,
    "RESHAPE": lambda node: (),
}
