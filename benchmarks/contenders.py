# SPDX-License-Identifier: Apache-2.0
"""Kernels on emulated cores that operators of device graphs are counted with."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks import tinyengine
from benchmarks.cmsis_nn import CmsisNn
from benchmarks.cmsis_nn import sources as cmsis_nn_sources
from benchmarks.operands import reference, seeded
from benchmarks.stock_operators import StockOperators, as_convolution, integers_of
from tests.kernels.cortex_m import CORTEX_M0PLUS, COUNTING, build_for, emulate
from tests.kernels.kernel_driver import decode_answer, encode_case, message_of
from tflsplit.errors import UserError
from tflsplit.ir import Node
from tflsplit.ops.own import unweighted
from tflsplit.ops.own.packed import unpacked
from tflsplit.ops.own.semantics import Array
from tflsplit.passes.own_unweighted import own_form
from tflsplit.wire import custom_ops as wire

CORES = {
    "cortex-m0plus": CORTEX_M0PLUS,
    "cortex-m4": "mps2_an386",
    "cortex-m7": "mps2_an500",
    "cortex-m33": "mps2_an505",
    "cortex-m55": "mps3_an547",
}
KERNELS = ("ours", "portable", "cmsis_nn", "tinyengine")
OTHERS = ("cmsis_nn", "tinyengine")
"""Of whose sources some are elsewhere."""

Counted = tuple[int, int, bool]
"""Instructions, scratch bytes, whether all bits are right."""


_ONE_FORM = (wire.PARTIAL_SUM, wire.CHAIN, *unweighted.OPS)
"""Our operators that are run as they are stored."""


class EmulatedKernels:
    """The driver on one emulated core; every operator is a run of its own."""

    def __init__(self, core: str, kernels: str, folder: Path) -> None:
        self._board = CORES[core]
        self._program = folder / f"{core}-{kernels}.elf"
        schedule = "portable" if kernels == "portable" else "own"
        build_for(self._board, self._program, schedule=schedule, counts=True)

    def measure(self, node: Node, arrays: Sequence[Array]) -> Counted:
        """An explicit node on data for the operands that are no constants."""
        y, instructions, scratch = self.run(node, arrays)
        return instructions, scratch, np.array_equal(y, reference(node, arrays))

    def run(self, node: Node, arrays: Sequence[Array]) -> tuple[Array, int, int]:
        """Result, instructions and scratch bytes of an explicit node."""
        case = encode_case(*message_of(node, arrays))
        answer = decode_answer(io.BytesIO(emulate(self._board, self._program, case, *COUNTING)))
        return answer.array(node), answer.instructions, answer.scratch_bytes


class Contender:
    """All operators of device graphs with one set of kernels on one core."""

    def __init__(self, core: str, kernels: str, folder: Path) -> None:
        """Raises UserError if sources are not there, or cannot be built."""
        self._own = EmulatedKernels(core, "ours" if kernels in OTHERS else kernels, folder)
        self._stock = StockOperators(CORES[core], kernels == "portable", folder)
        self._other = other_kernels(core, kernels, folder) if kernels in OTHERS else None
        self._known = dict[object, Counted]()

    def measure(self, node: Node) -> Counted | None:
        """Of one operator; equal ones are run once.  None of one that is not counted."""
        node = own_form(node)
        if node.is_custom and not (wire.is_packed(node) or node.op in _ONE_FORM):
            return None  # SEND, RECV, ASK
        scales = [] if node.is_custom else [value.quantization for value in node.outputs]
        key = node.op, node.attrs, node.input(0).shape, node.output.shape, *scales
        if key not in self._known:
            found = self._measured(node)
            if found is None:
                return None
            self._known[key] = found
        return self._known[key]

    def _measured(self, node: Node) -> Counted | None:
        if node.op == wire.ADD and self._other:
            return self._other.add(node)
        if node.op == wire.CHAIN and self._other:
            return None
        if node.op in _ONE_FORM:
            return self._own.measure(node, seeded(node))
        explicit = unpacked(node) if wire.is_packed(node) else as_convolution(node)
        if explicit is not None:
            board = self._other or self._own
            return board.measure(explicit, seeded(explicit))
        is_taken = not node.is_custom and integers_of(node) is not None
        return self._stock.measure(node) if is_taken else None


def here(kernels: str) -> bool:
    """Whether the sources of a contender are named."""
    named = {"cmsis_nn": cmsis_nn_sources, "tinyengine": tinyengine.sources}
    return kernels not in named or named[kernels]() is not None


def other_kernels(core: str, kernels: str, folder: Path) -> CmsisNn | tinyengine.TinyEngine:
    """Of OTHERS, on one core; UserError if sources are not there, or cannot be built."""
    if kernels == "tinyengine":
        repository = tinyengine.sources()
        if repository is None or core not in tinyengine.CORES:
            raise UserError(
                "kernels tinyengine: set TFLSPLIT_TINYENGINE_DIR to its repository "
                f"({tinyengine.CLONE}), for {' or '.join(tinyengine.CORES)}"
            )
        return tinyengine.TinyEngine(CORES[core], repository, folder / f"{core}-tinyengine")
    tree = cmsis_nn_sources()
    if tree is None:
        raise UserError(
            "kernels cmsis_nn: set TFLSPLIT_CMSIS_NN_DIR to its sources, or TFLSPLIT_TFLM_DIR to a "
            "tree of TFLM with them"
        )
    return CmsisNn(CORES[core], tree, folder / f"{core}-cmsis_nn")
