# SPDX-License-Identifier: Apache-2.0
"""Kernels of others beside ours: the same layers, on the same emulated cores, counted alike.

A block is its convolutions one after the other (and its ADD), as TFLM would run them; of a partial
sum the convolution with some scale stands for it, and what requantizes sums counts nothing.  Every
part is compared with what it means.
"""

from __future__ import annotations

import io
import subprocess
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks.operands import added, seeded
from tests.kernels.cortex_m import (
    COMPILER,
    COUNTING,
    TICKS,
    bare_board,
    board,
    emulate,
    needs,
)
from tests.kernels.kernel_driver import FLAGS, decode_answer, encode_case, window_integers
from tflsplit.errors import UserError
from tflsplit.ir import DType, Node, Quantization, Value
from tflsplit.ops.own.custom import conv_2d
from tflsplit.ops.own.custom_options import WindowOptions, activation_of
from tflsplit.ops.own.fused import unfused
from tflsplit.ops.own.fused_options import FusedOptions
from tflsplit.ops.own.semantics import Array, residual_add, run_node
from tflsplit.ops.own.unweighted import scales_of
from tflsplit.wire import custom_ops as wire

CONV, DEPTHWISE, FULLY_CONNECTED, ADD = range(4)
_PARTIAL = (wire.PARTIAL_CONV_2D, wire.PARTIAL_FULLY_CONNECTED)
_SCALE = 1 << 30, -9
"""Multiplier and shift that stand for those of the REQUANTIZE behind a partial sum."""

Call = tuple[int, tuple[int, ...], tuple[Array, ...], Array]
"""Function, integers, arrays and right result of one part of a node."""
CallOf = Callable[[str, Node, Array], Call | None]
"""Of an operator's name, the convolution that it is, and x; None of one that is not taken."""
Counted = tuple[int, int, bool]
"""Instructions, most scratch bytes, and whether all bits are right."""


class OtherKernels:
    """C sources with a driver on one emulated core; every layer is a run of its own."""

    def __init__(
        self, name: str, files: Sequence[Path], includes: Sequence[Path], driver: Path, folder: Path
    ) -> None:
        """Raises UserError if they cannot be built."""
        self._board, self._program = name, folder / f"{driver.stem}.elf"
        folder.mkdir(parents=True, exist_ok=True)
        folder = folder.resolve()  # GCC runs there
        flags = [*board(name)["cpu_flags"], "-O2", "-ffunction-sections"]
        flags += [f"-I{each.resolve()}" for each in includes]
        sources = [str(each.resolve()) for each in files]
        _compile([COMPILER.replace("g++", "gcc"), *flags, "-w", "-c", *sources], folder)
        objects = [str(folder / each.with_suffix(".o").name) for each in files]
        made = [str(driver), *objects, *bare_board(name), f"-DSPLIT_KERNELS_TICK={TICKS[name]}"]
        _compile([COMPILER, *flags, *FLAGS, *made, "-o", self._program.name], folder)

    def run(self, calls: Iterable[Call]) -> Counted:
        """All of one node."""
        total, scratch, same = 0, 0, True
        for op, integers, data, expected in calls:
            case = encode_case(op, integers, data)
            answer = decode_answer(io.BytesIO(emulate(self._board, self._program, case, *COUNTING)))
            total += answer.instructions
            scratch = max(scratch, answer.scratch_bytes)
            same &= answer.scratch_bytes >= 0 and answer.y == expected.tobytes()
        return total, scratch, same

    def add(self, node: Node) -> Counted:
        """The same of a TFLSPLIT_ADD."""
        x, y, data = node.input(0).quantization, node.output.quantization, seeded(node)
        assert x is not None
        assert y is not None
        (first, second, total), zero_point = scales_of(node)
        told = (-x.zero_point, *first, -zero_point, *second, y.zero_point, *total)
        return self.run([(ADD, (*told, *activation_of(node)), (*data,), run_node(node, data))])


def _compile(command: Sequence[str], folder: Path) -> None:
    needs(COMPILER)
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"cannot be built: {done.stderr[-600:]}")


def calls(node: Node, arrays: Sequence[Array], call_of: CallOf) -> Iterator[Call | None]:
    """Of each part of an explicit node."""
    value = arrays[0]
    for part in unfused(node) if node.op == wire.FUSED_BLOCK else [node]:
        if part.op == wire.REQUANTIZE or not (part.is_custom or part.op == "ADD"):
            continue  # also what cuts x for the ADD
        if not part.is_custom:
            beside = added(node, arrays)
            value, before = residual_add(value, beside, node), value
            yield ADD, _add_integers(node), (before, beside), value
        else:
            whole = _complete(part)
            x = value.reshape(whole.input(0).shape)
            yield call_of(part.op, whole, x)
            value = run_node(whole, [x])


def _complete(part: Node) -> Node:
    """The convolution of a partial sum, with a scale; what is no partial sum stays."""
    if part.op not in _PARTIAL:
        return part
    weights, x = part.input(1), part.input(0)
    channels, dense = weights.shape[0], part.op == wire.PARTIAL_FULLY_CONNECTED
    shape = (channels, 1, 1, weights.shape[1]) if dense else weights.shape
    assert weights.data is not None
    tables = [np.zeros(channels, np.int32), *(np.full(channels, n, np.int32) for n in _SCALE)]
    bias, multiplier, shift = (Value("c", t.shape, DType.INT32, None, t) for t in tables)
    made = (x.size // x.shape[-1], 1, 1, channels) if dense else part.output.shape
    read = (x.size // x.shape[-1], 1, 1, x.shape[-1]) if dense else x.shape
    window = WindowOptions() if dense else WindowOptions.of(part)
    return conv_2d(
        Value("x", read, x.dtype, x.quantization),
        Value("w", shape, DType.INT8, None, weights.data.reshape(shape)),
        bias,
        multiplier,
        shift,
        Value("y", made, DType.INT8, Quantization((1.0,), (0,))),
        stride=window.stride,
        pads=window.pads,
        dilation=window.dilation,
    )


def integers_of(part: Node) -> tuple[int, ...]:
    """The window of a convolution, zero point of y, activation."""
    quantization = part.output.quantization
    assert quantization is not None
    return (*window_integers(part), quantization.zero_point, *activation_of(part))


def constants_of(part: Node) -> Iterator[Array]:
    """Weights, bias, multiplier, shift."""
    for value in part.inputs[1:5]:
        data = None if value is None else value.data
        yield np.zeros(part.output.shape[-1], np.int32) if data is None else data


def _add_integers(node: Node) -> tuple[int, ...]:
    options, y = FusedOptions.of(node), node.output.quantization
    assert options.add is not None
    assert y is not None
    p, residual, total = options.add.multipliers
    of_p = -options.add.zero_point, *p
    of_residual = -options.add.residual_zero_point, *residual
    return (*of_p, *of_residual, y.zero_point, *total, *options.activation)
