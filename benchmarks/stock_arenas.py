# SPDX-License-Identifier: Apache-2.0
"""Predicted arenas of TFLM's own kernels against what TFLM takes on an emulated core, to the byte.

Graphs of one operator (``tests/memory/op_list.py``) and networks; an arena as small as predicted
must do, too.

    python -m benchmarks.stock_arenas [MODEL.tflite …] [--board mps3_an547]

Needs TFLM's sources (``TFLSPLIT_TFLM_DIR``), the Arm compiler, QEMU, and the board's library below
``.pio/tflm``, which any build of its firmware makes.
"""

from __future__ import annotations

import argparse
import os
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.kernels.cortex_m import COMPILER, bare_board, board, emulate
from tests.kernels.kernel_driver import ROOT
from tests.memory.op_cases import row_convolution, widened
from tests.memory.op_list import CASES
from tflsplit.errors import ClusterError, UserError
from tflsplit.firmware import FirmwareOptions, board_named
from tflsplit.firmware.arenas import abi_of, kernels_of
from tflsplit.ir import Graph
from tflsplit.memory import predict_arena
from tflsplit.tflite import read_model, write_model

SOURCE = ROOT / "benchmarks" / "stock_arenas.cc"
_THIRD_PARTY = ("flatbuffers/include", "gemmlowp", "ruy", "kissfft")
_LIBRARIES = ("split_core", "split_device", "split_kernels", "split_tflm")

ROWS = ((16, 3, 4, 1, 0), (16, 4, 4, 1, 0), (16, 4, 4, 1, 1), (16, 3, 4, 2, 0), (2, 9, 4, 1, 0))
"""Convolutions over one row: width, taps, channels, stride, padding."""


@dataclass(frozen=True)
class Row:
    """One graph: bytes predicted and taken (0: refused), and whether the least arena does."""

    name: str
    predicted_bytes: int
    taken_bytes: int
    least_does: bool
    notes: tuple[str, ...]

    @property
    def verdict(self) -> str:
        """``equal``, ``refused``, or what is wrong."""
        if not self.taken_bytes:
            return "refused"
        if self.predicted_bytes != self.taken_bytes:
            return f"WRONG: {self.predicted_bytes} predicted, {self.taken_bytes} taken"
        return "equal" if self.least_does else "WRONG: the least arena is too small"


def library_of(name: str) -> Path:
    """The folder of a board's libraries; ClusterError where none was built."""
    found = sorted((ROOT / ".pio" / "tflm").glob(f"{name}-*/tflm/libtflm.a"))
    if not found:
        raise ClusterError(
            f"no library of TFLM for {name} below .pio/tflm: `tflsplit emulate DIR --board {name}` "
            "with any plan of this project builds it"
        )
    return max(found, key=lambda path: path.stat().st_mtime).parent.parent


def build(name: str, tree: Path, output: Path) -> None:
    """The program; ClusterError with the compiler's words."""
    library, third = library_of(name), tree / "third_party"
    includes = [f"-isystem{path}" for path in (tree, *(third / each for each in _THIRD_PARTY))]
    includes += [f"-I{ROOT / 'tflm_app' / 'lib' / each / 'include'}" for each in _LIBRARIES]
    defines = ["-DTF_LITE_STATIC_MEMORY", "-DNDEBUG", "-DTF_LITE_STRIP_ERROR_STRINGS"]
    flags = [*board(name)["cpu_flags"], "-std=c++17", "-O2", "-fno-rtti", "-fno-exceptions"]
    archives = [str(library / "split" / "libsplit.a"), str(library / "tflm" / "libtflm.a")]
    start, *linking = bare_board(name)
    command = [COMPILER, *flags, *defines, *includes, str(SOURCE), start, *linking]
    # Nothing is thrown and nothing ends: no tables to unwind by, no object that is destroyed.
    linked = [f"-Wl,--defsym={each}=0" for each in ("__exidx_start", "__exidx_end", "__dso_handle")]
    linked += ["-Wl,--start-group", *archives, "-Wl,--end-group", "-lm", "-o", str(output)]
    done = subprocess.run([*command, *linked], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ClusterError(f"{SOURCE.name} does not compile for {name}:\n{done.stderr[-3000:]}")


def measure(name: str, program: Path, label: str, graph: Graph, tree: Path) -> Row:
    """One graph on the emulated core."""
    options, kind = FirmwareOptions(boards=(name,), tflm_dir=tree), board_named(name)
    (kernels,) = kernels_of(kind, options)
    estimate = predict_arena(graph, abi_of(kind, options), kernels)
    stdin = struct.pack("<i", estimate.required_bytes) + write_model(graph)
    try:
        status, taken, tight = struct.unpack("<3i", emulate(name, program, stdin))
    except subprocess.CalledProcessError:
        status, taken, tight = 1, 0, 1
    used = 0 if status else taken
    return Row(label, estimate.total_bytes, used, tight == 0, estimate.notes)


def graphs(models: Sequence[Path]) -> Iterator[tuple[str, Graph]]:
    """All that is measured, by name."""
    for name, case in CASES.items():
        yield name, case()
    for row in ROWS:
        yield f"CONV_2D of a row {row}", row_convolution(*row)
    for channels in (1, 9):
        yield f"DEPTHWISE_CONV_2D of one channel to {channels}", widened(channels)
    for model in models:
        yield model.stem, read_model(model)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the graphs that are not equal, and how many are; 1 if a prediction is wrong."""
    raw = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("models", nargs="*", type=Path)
    parser.add_argument("--board", default="mps3_an547")
    given = parser.parse_args(arguments)
    tree = Path(os.environ.get("TFLSPLIT_TFLM_DIR", ""))
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "arenas.elf"
        try:
            build(given.board, tree, program)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        rows = [
            measure(given.board, program, label, graph, tree)
            for label, graph in graphs(given.models)
        ]
    for row in rows:
        if row.verdict != "equal":
            print(f"{row.name}: {row.verdict} {'; '.join(row.notes)}")
    print(f"{given.board}: {sum(row.verdict == 'equal' for row in rows)} of {len(rows)} equal")
    return int(any(row.verdict.startswith("WRONG") for row in rows))


if __name__ == "__main__":
    sys.exit(main())
