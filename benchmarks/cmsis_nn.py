# SPDX-License-Identifier: Apache-2.0
"""CMSIS-NN beside our kernels, as TFLM calls it.

CMSIS-NN comes from a tree of TFLM that has it (``TFLSPLIT_CMSIS_NN_DIR``, or the folder
``third_party/cmsis_nn`` of ``TFLSPLIT_TFLM_DIR``), is built once for each core with -O2, and is no
part of this repository.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from benchmarks.other_kernels import (
    CONV,
    DEPTHWISE,
    FULLY_CONNECTED,
    Call,
    Counted,
    OtherKernels,
    calls,
    constants_of,
    integers_of,
)
from tests.kernels.kernel_driver import ROOT
from tflsplit.errors import UserError
from tflsplit.ir import Node
from tflsplit.ops.own.semantics import Array, run_node
from tflsplit.wire import custom_ops as wire

PARTS = ("Convolution", "FullyConnected", "NNSupport", "BasicMath", "Transpose")


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


class CmsisNn(OtherKernels):
    """CMSIS-NN on one emulated core."""

    def __init__(self, name: str, tree: Path, folder: Path) -> None:
        """Raises UserError if it cannot be built."""
        folders = [tree / "Source" / f"{part}Functions" for part in PARTS]
        files = [file for each in folders for file in sorted(each.glob("*.c"))]
        driver = ROOT / "benchmarks" / "cmsis_nn.cc"
        super().__init__(name, files, [tree / "Include"], driver, folder)

    def measure(self, node: Node, arrays: Sequence[Array]) -> Counted:
        """Of an explicit node."""
        return self.run(call for call in calls(node, arrays, _call) if call)


def _call(op: str, part: Node, x: Array) -> Call:
    function = CONV if op != wire.PARTIAL_FULLY_CONNECTED else FULLY_CONNECTED
    function = DEPTHWISE if op == wire.DEPTHWISE_CONV_2D else function
    return function, integers_of(part), (x, *constants_of(part)), run_node(part, [x])
