# SPDX-License-Identifier: Apache-2.0
"""Builds the kernels with a host compiler and runs nodes on them, in a process of their own.

A process, not a library loaded here: AddressSanitizer wants to be there from the first
allocation, and what it stops is then a report in a test and not the end of the test run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from tflsplit.ir import DType, Node, Value
from tflsplit.ops.own import unweighted
from tflsplit.ops.own.chain import blocks_of
from tflsplit.ops.own.chain_layout import pieces_of
from tflsplit.ops.own.chain_options import ChainOptions
from tflsplit.ops.own.custom_options import WindowOptions, activation_of, axes_of
from tflsplit.ops.own.fused import RESIDUAL, FusedOptions, residual_of, unfused
from tflsplit.ops.own.middle import middle_of
from tflsplit.ops.own.packed import packed, unpacked
from tflsplit.ops.own.packed_options import roundings_of
from tflsplit.wire import custom_ops as wire

Array = NDArray[Any]

ROOT = Path(__file__).resolve().parents[2]
KERNELS = ROOT / "tflm_app" / "lib" / "split_kernels"
DRIVER = ROOT / "tests" / "kernels" / "driver.cc"
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g"]
# What a kernel may not rely on stays switched off, and every warning is an error.
FLAGS = ["-std=c++17", "-fno-exceptions", "-fno-rtti"]
WARNINGS = ["-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror"]

_OPS = {
    wire.CONV_2D: 0,
    wire.DEPTHWISE_CONV_2D: 1,
    wire.PARTIAL_CONV_2D: 2,
    wire.PARTIAL_FULLY_CONNECTED: 3,
    wire.REQUANTIZE: 4,
    wire.FUSED_BLOCK: 5,
}
PARTIAL_SUM = 8
CHAIN = 9
ADD_OP, MEAN_OP, POOL_OP, ADD_OVER_OP = 10, 11, 12, 13
ARRIVING_BLOCK = 7
"""A FUSED_BLOCK whose x comes piece by piece while it runs."""
WINDOW_FIELDS = (
    "batches", "in_rows", "in_columns", "in_channels", "kernel_rows", "kernel_columns",
    "kernel_channels", "out_rows", "out_columns", "out_channels", "stride_rows", "stride_columns",
    "dilation_rows", "dilation_columns", "pad_top", "pad_bottom", "pad_left", "pad_right",
    "x_zero_point",
)  # fmt: skip


class RefusedError(Exception):
    """A kernel's check found something wrong with the parameters; the message is the kernel's."""


def compiler() -> str:
    """A C++ compiler for this host; skips the test where there is none."""
    found = os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")
    if not found:
        pytest.skip("needs a C++17 compiler: install g++ (apt install g++), or set CXX")
    return found


def build(folder: Path) -> Path:
    """The driver's executable for this host, with the sanitizers."""
    output = folder / "kernel_driver"
    compile_driver([compiler(), *WARNINGS, "-O1", *SANITIZERS], [], output)
    return output


def compile_driver(
    command: Sequence[str], more: Sequence[str], output: Path, source: Path = DRIVER
) -> None:
    """Compile and link kernels and ``source``: ``command``, sources, then ``more``."""
    sources = [*sorted((KERNELS / "src").glob("*.cc")), source]
    arguments = [*command, *FLAGS, f"-I{KERNELS / 'include'}", *map(str, sources)]
    done = subprocess.run(
        [*arguments, *more, "-o", str(output)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@dataclass(frozen=True)
class Answer:
    """What a kernel asked for (under TFLM: all arena used), and made: the bytes of y.

    instructions: that it took, where they are counted (``cortex_m.COUNTING``).
    """

    scratch_bytes: int
    y: bytes
    instructions: int = 0

    def array(self, node: Node) -> Array:
        """y as the result of ``node``."""
        return np.frombuffer(self.y, node.output.dtype.numpy).reshape(node.output.shape)


class KernelProcess:
    """The driver, running; one case after the other."""

    def __init__(self, executable: Path, *arguments: str) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed by close)
        self._process = subprocess.Popen(
            [str(executable), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, "UBSAN_OPTIONS": "print_stacktrace=1"},
        )

    def close(self) -> None:
        """End the process; fails if it did not end well (a leak, for one)."""
        self._pipe("stdin").close()
        code = self._process.wait(timeout=30)
        self._pipe("stdout").close()
        report = self._report()
        self._errors.close()
        assert code == 0, report

    def run(self, node: Node, arrays: Sequence[Array]) -> Array:
        """The kernels' result of one of our compute operators; see ``semantics.run_node``."""
        return self.answer(node, arrays).array(node)

    def answer(self, node: Node, arrays: Sequence[Array]) -> Answer:
        """The same, with what the kernel asked for."""
        return self.exchange(*message_of(node, arrays))

    def run_over(
        self, node: Node, arrays: Sequence[Array], operand: int, distance_bytes: int
    ) -> Array:
        """The same where y lies so far behind x (operand 0) or what is added (2; of an ADD 1)."""
        op, integers, data = message_of(node, arrays)
        over = {_OPS[wire.FUSED_BLOCK]: _OPS[wire.FUSED_BLOCK] + 1, ADD_OP: ADD_OVER_OP}[op]
        return self.exchange(over, (*integers, operand, distance_bytes), data).array(node)

    def exchange(self, op: int, integers: Sequence[int], arrays: Sequence[Array | None]) -> Answer:
        """One case in the driver's own terms."""
        return self.ask(encode_case(op, integers, arrays))

    def ask(self, case: bytes) -> Answer:
        """The answer to a case; RefusedError, or AssertionError if the program was stopped."""
        stdin = self._pipe("stdin")
        try:
            stdin.write(case)
            stdin.flush()
            return decode_answer(self._pipe("stdout"))
        except (BrokenPipeError, EOFError):
            self._process.wait(timeout=30)
            raise AssertionError(f"the kernels were stopped:\n{self._report()}") from None

    def _pipe(self, name: str) -> IO[bytes]:
        return cast(IO[bytes], getattr(self._process, name))

    def _report(self) -> str:
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace")


def encode_case(op: int, integers: Sequence[int], arrays: Sequence[Array | None]) -> bytes:
    """A case as the driver reads it (driver.cc)."""
    parts = [np.array([op, len(integers), *integers, len(arrays)], "<i4").tobytes()]
    for array in arrays:
        data = b"" if array is None else np.ascontiguousarray(array).tobytes()
        parts += [np.array([len(data)], "<i4").tobytes(), data]
    return b"".join(parts)


def decode_answer(stream: IO[bytes]) -> Answer:
    """The next answer; RefusedError, or EOFError if the driver is gone."""
    scratch_bytes, instructions, size = np.frombuffer(_exactly(stream, 12), "<i4").tolist()
    data = _exactly(stream, size)
    if scratch_bytes < 0:
        raise RefusedError(data.decode())
    return Answer(scratch_bytes, data, instructions)


def _exactly(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if len(data) != size:
        raise EOFError
    return data


def message_of(
    node: Node, arrays: Sequence[Array]
) -> tuple[int, tuple[int, ...], tuple[Array | None, ...]]:
    """Operator, integers and arrays of a case."""
    if node.op == wire.PARTIAL_SUM:
        shape, (first, stop) = node.input(0).shape, axes_of(node)
        extents = shape[:first], shape[first:stop], shape[stop:]
        integers = (*map(prod, extents), _zero_point(node), _in_16_bits(node.output))
        return PARTIAL_SUM, integers, tuple(arrays)
    if node.op in unweighted.OPS:
        return *_unweighted_integers(node), (*arrays, *_constant_other(node))
    if node.op == wire.CHAIN:
        return CHAIN, chain_integers(node), (chain_pieces(node, arrays[0]), node.input(1).data)
    constants = packed(node)
    data = (arrays[0], constants.input(1).data, *arrays[1:])
    if node.op == wire.FUSED_BLOCK and residual_of(node) is node.input(0):
        data = (*data, arrays[0])
    op, roundings = _OPS[node.op], roundings_of(constants)
    if node.op == wire.REQUANTIZE:
        channels = node.input(0).shape[-1]
        positions = node.input(0).size // channels
        finish = _finish(node, roundings[0])
        return op, (positions, channels, *finish, _in_16_bits(node.input(0))), data
    if node.op == wire.PARTIAL_FULLY_CONNECTED:
        x, weights = node.input(0), node.input(1)
        return op, (x.size // x.shape[-1], *weights.shape[::-1], _zero_point(node)), data
    if node.op == wire.PARTIAL_CONV_2D:
        return op, window_integers(node), data
    if node.op == wire.FUSED_BLOCK:
        return op, _block_integers(node, roundings), data
    return op, (*window_integers(node), *_finish(node, roundings[0])), data


def _in_16_bits(sums: Value) -> int:
    return int(sums.dtype is DType.INT16)


def _unweighted_integers(node: Node) -> tuple[int, tuple[int, ...]]:
    """Operator and integers of an ADD, MEAN or pool."""
    assert node.output.quantization is not None
    zero_points = _zero_point(node), node.output.quantization.zero_point
    if node.op == wire.ADD:
        pairs, other = unweighted.scales_of(node)
        numbers = (n for pair in pairs for n in pair)
        return ADD_OP, (1, zero_points[0], other, zero_points[1], *activation_of(node), *numbers, 0)
    if node.op == wire.MEAN:
        shape, (first, stop) = node.input(0).shape, axes_of(node)
        extents = map(prod, (shape[:first], shape[first:stop], shape[stop:]))
        return MEAN_OP, (*extents, zero_points[0], *unweighted.scaling_of(node), zero_points[1])
    options = unweighted.PoolOptions.of(node)
    x, y = node.input(0).shape, node.output.shape
    window = *x, *options.kernel, x[3], *y[1:], *options.stride, 1, 1, *options.pads, 0
    return POOL_OP, (*window, int(options.maximum), *options.activation)


def _constant_other(node: Node) -> tuple[Array, ...]:
    return tuple(value.data for value in node.operands if value.data is not None)


def chain_integers(node: Node) -> tuple[int, ...]:
    """Of a chain: its options, the blocks', and their number last."""
    options, blocks = ChainOptions.of(node), blocks_of(node)
    rolling = options.rolling.piece_rows if options.rolling else 0
    is_unsigned = node.input(0).dtype is DType.UINT8
    found = [options.window_columns, options.tile_columns, rolling, int(is_unsigned)]
    for block in blocks:
        explicit = unpacked(block)
        numbers = _block_integers(explicit, roundings_of(block))
        add, stages = numbers[6:19], numbers[19:]
        # A chain adds nothing but x, wherever that lies.
        found += [numbers[2], *add[:12], 0, *stages]
    return (*found, len(blocks))


def chain_pieces(node: Node, x: Array) -> Array:
    """x as it comes, one piece behind the other; ``x``: all of it."""
    if ChainOptions.of(node).rolling is None:
        return x
    parts = [x[:, a:b, c:d] for (a, b), (c, d) in pieces_of(node)]
    return np.concatenate([part.reshape(-1) for part in parts])


def window_integers(node: Node) -> tuple[int, ...]:
    """``WINDOW_FIELDS`` of a convolution."""
    options = WindowOptions.of(node)
    weights = node.input(1).shape
    return (
        *node.input(0).shape,
        *weights[1:4],
        *node.output.shape[1:],
        *options.stride,
        *options.dilation,
        *options.pads,
        _zero_point(node),
    )


def _block_integers(node: Node, roundings: Sequence[int]) -> tuple[int, ...]:
    options = FusedOptions.of(node)
    first = options.first
    parts = [part for part in unfused(node) if part.is_custom]
    stages = [
        (*window_integers(part), *_stage_finish(part, rounding))
        for part, rounding in zip(parts, roundings, strict=True)
    ]
    nothing = (0,) * len(stages[0])
    count = len(first.stages) if first else 0
    before, own = stages[:count], stages[count:]
    own = own if options.expand else [nothing, *own]
    before = [nothing, *before] if first and not first.expand else before
    head = int(options.sums), options.tile_columns, int(options.expand is not None)
    chain = options.window_columns, int(first is not None), int(bool(first and first.expand))
    numbers = (n for stage in (*own, *before) for n in stage)
    return *head, *chain, *_add_integers(node, options), *numbers


def _add_integers(node: Node, options: FusedOptions) -> tuple[int, ...]:
    add, quantization = options.add, node.output.quantization
    if add is None or quantization is None:
        return (0,) * 13
    zero_points = add.zero_point, add.residual_zero_point, quantization.zero_point
    numbers = (n for pair in add.multipliers for n in pair)
    in_x = middle_of(node, node.inputs[RESIDUAL]) is not None
    return 1, *zero_points, *options.activation, *numbers, node.input(0).shape[2] * in_x


def _stage_finish(part: Node, rounding: int) -> tuple[int, ...]:
    return (0, 0, 0, 0) if part.op == wire.PARTIAL_CONV_2D else _finish(part, rounding)


def _zero_point(node: Node) -> int:
    quantization = node.input(0).quantization
    assert quantization is not None
    return quantization.zero_point


def _finish(node: Node, rounding: int) -> tuple[int, int, int, int]:
    assert node.output.quantization is not None
    return int(rounding), node.output.quantization.zero_point, *activation_of(node)
