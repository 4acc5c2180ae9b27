# SPDX-License-Identifier: Apache-2.0
"""CMSIS-NN beside our kernels: the same layers, on the same emulated cores, counted alike.

A block is its convolutions one after the other (and its ADD), as TFLM would run them; of a partial
sum the convolution with some scale stands for it, and what requantizes sums counts nothing.  Every
part is compared with what it means.

CMSIS-NN comes from a tree of TFLM that has it (``TFLSPLIT_CMSIS_NN_DIR``, or the folder
``third_party/cmsis_nn`` of ``TFLSPLIT_TFLM_DIR``), is built once for each core with -O2, and is no
part of this repository.
"""

from __future__ import annotations

import io
import os
import subprocess
from collections.abc import Iterator, Sequence
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
from tests.kernels.kernel_driver import FLAGS, ROOT, decode_answer, encode_case, window_integers
from tflsplit.errors import UserError
from tflsplit.ir import DType, Node, Quantization, Value
from tflsplit.ops.custom import conv_2d
from tflsplit.ops.custom_options import WindowOptions, activation_of
from tflsplit.ops.fused import unfused
from tflsplit.ops.fused_options import FusedOptions
from tflsplit.ops.semantics import Array, residual_add, run_node
from tflsplit.ops.unweighted import scales_of
from tflsplit.wire import custom_ops as wire

PARTS = ("Convolution", "FullyConnected", "NNSupport", "BasicMath")
CONV, DEPTHWISE, FULLY_CONNECTED, ADD = range(4)
_PARTIAL = (wire.PARTIAL_CONV_2D, wire.PARTIAL_FULLY_CONNECTED)
_SCALE = 1 << 30, -9
"""Multiplier and shift that stand for those of the REQUANTIZE behind a partial sum."""


def sources() -> Path | None:
    """The folder with ``Include`` and ``Source``; None where none is named.

    Raises UserError if what is named is not there.
    """
    named = os.environ.get("TFLSPLIT_CMSIS_NN_DIR")
    tree = os.environ.get("TFLSPLIT_TFLM_DIR")
    if not named and not tree:
        return None
    folder = Path(named) if named else Path(tree or "") / "third_party" / "cmsis_nn"
    if (folder / "Include" / "arm_nnfunctions.h").is_file():
        return folder
    if named:
        raise UserError(f"TFLSPLIT_CMSIS_NN_DIR: no Include/arm_nnfunctions.h in {folder}")
    return None


class CmsisNn:
    """CMSIS-NN on one emulated core; every layer is a run of its own."""

    def __init__(self, name: str, tree: Path, folder: Path) -> None:
        """Raises UserError if it cannot be built."""
        self._board, self._program = name, folder / "cmsis_nn.elf"
        folder.mkdir(parents=True, exist_ok=True)
        folder, tree = folder.resolve(), tree.resolve()  # GCC runs in the folder
        flags = [*board(name)["cpu_flags"], "-O2", "-ffunction-sections", f"-I{tree / 'Include'}"]
        folders = [tree / "Source" / f"{part}Functions" for part in PARTS]
        files = [str(file) for each in folders for file in sorted(each.glob("*.c"))]
        _compile([COMPILER.replace("g++", "gcc"), *flags, "-w", "-c", *files], folder)
        objects = [str(folder / Path(file).with_suffix(".o").name) for file in files]
        driver = [str(ROOT / "benchmarks" / "cmsis_nn.cc"), *objects, *bare_board(name)]
        driver += [f"-DSPLIT_KERNELS_TICK={TICKS[name]}"]
        _compile([COMPILER, *flags, *FLAGS, *driver, "-o", "cmsis_nn.elf"], folder)

    def measure(self, node: Node, arrays: Sequence[Array]) -> tuple[int, int, bool]:
        """Instructions, most scratch bytes, and whether all bits are right, of an explicit node."""
        total, scratch, same = 0, 0, True
        for op, integers, data, expected in _calls(node, arrays):
            case = encode_case(op, integers, data)
            answer = decode_answer(io.BytesIO(emulate(self._board, self._program, case, *COUNTING)))
            total += answer.instructions
            scratch = max(scratch, answer.scratch_bytes)
            same &= answer.y == expected.tobytes()
        return total, scratch, same

    def add(self, node: Node) -> tuple[int, int, bool]:
        """The same of a TFLSPLIT_ADD."""
        x, y, data = node.input(0).quantization, node.output.quantization, seeded(node)
        assert x is not None
        assert y is not None
        (first, second, total), zero_point = scales_of(node)
        told = (-x.zero_point, *first, -zero_point, *second, y.zero_point, *total)
        case = encode_case(ADD, (*told, *activation_of(node)), data)
        answer = decode_answer(io.BytesIO(emulate(self._board, self._program, case, *COUNTING)))
        same = answer.y == run_node(node, data).tobytes()
        return answer.instructions, answer.scratch_bytes, same


def _compile(command: Sequence[str], folder: Path) -> None:
    needs(COMPILER)
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"CMSIS-NN cannot be built: {done.stderr[-600:]}")


Call = tuple[int, tuple[int, ...], tuple[Array, ...], Array]


def _calls(node: Node, arrays: Sequence[Array]) -> Iterator[Call]:
    """Function, integers, arrays and right result of each part of an explicit node."""
    value = arrays[0]
    for part in unfused(node) if node.op == wire.FUSED_BLOCK else [node]:
        if part.op == wire.REQUANTIZE or not (part.is_custom or part.op == "ADD"):
            continue  # also what cuts x for the ADD
        if not part.is_custom:
            beside = added(node, arrays)
            expected = residual_add(value, beside, node)
            yield ADD, _add_integers(node), (value, beside), expected
        else:
            whole = _complete(part)
            expected = run_node(whole, [value.reshape(whole.input(0).shape)])
            yield _function(part), _integers(whole), (value, *_constants(whole)), expected
        value = expected


def _function(part: Node) -> int:
    if part.op == wire.DEPTHWISE_CONV_2D:
        return DEPTHWISE
    return FULLY_CONNECTED if part.op == wire.PARTIAL_FULLY_CONNECTED else CONV


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


def _integers(part: Node) -> tuple[int, ...]:
    quantization = part.output.quantization
    assert quantization is not None
    return (*window_integers(part), quantization.zero_point, *activation_of(part))


def _constants(part: Node) -> Iterator[Array]:
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
