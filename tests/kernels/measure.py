# SPDX-License-Identifier: Apache-2.0
"""Prints the table of docs/custom_ops.md: instructions of the kernels on an emulated Cortex-M7.

    PYTHONPATH=rewriter:. python -m tests.kernels.measure

With TFLSPLIT_CMSIS_NN_DIR (docs/custom_ops.md) the columns of CMSIS-NN are measured as well.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

from tests.kernels.cortex_m import build_for, emulate
from tests.kernels.kernel_driver import ROOT, CmsisNn

BOARD = "mps2_an500"
SOURCE = ROOT / "tests" / "kernels" / "measure.cc"


def measure(cmsis_nn: CmsisNn | None) -> dict[str, tuple[float, int]]:
    """Instructions per multiply-accumulate and scratch bytes, by layer."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        build_for(BOARD, cmsis_nn, folder / "measure.elf", SOURCE)
        answers = emulate(BOARD, folder / "measure.elf", b"", "-icount", "shift=0").decode()
    rows = [line.split(";") for line in answers.splitlines()]
    return {row[0]: (int(row[1]) / int(row[2]), int(row[3])) for row in rows}


def main() -> None:
    """Print the table."""
    portable = measure(None)
    with_cmsis = measure(CmsisNn.find(BOARD)) if "TFLSPLIT_CMSIS_NN_DIR" in os.environ else {}
    print("| | portable | CMSIS-NN | scratch with CMSIS-NN, bytes |\n|---|---|---|---|")
    for layer, (rate, _) in portable.items():
        theirs, scratch = with_cmsis.get(layer, (float("nan"), 0))
        print(f"| {layer} | {rate:.1f} | {theirs:.1f} | {scratch} |")
    print(subprocess.getoutput("arm-none-eabi-g++ --version").splitlines()[0])


if __name__ == "__main__":
    main()
