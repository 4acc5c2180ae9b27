# SPDX-License-Identifier: Apache-2.0
"""Cycles of the kernels' inner loops by llvm-mca's model of a core, beside their instructions.

A core that issues two instructions at once is not described by a count of them alone.  Innermost
loops with multiply-accumulates are taken from what the assembler made of the DSP schedule (and,
where its sources are, of CMSIS-NN's matrix product), and llvm-mca runs each a hundred times.  Its
model has no caches, no flash and no mispredicted branches: it tells schedules apart, nothing more.

    python -m benchmarks.inner_loops [--core cortex-m7] [--json]

Needs the Arm compiler and llvm-mca (Debian: llvm); exits with 2 and says so where one is missing.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.cmsis_nn import sources
from tests.kernels.cortex_m import COMPILER, SCHEDULES
from tests.kernels.kernel_driver import FLAGS, KERNELS
from tflsplit.errors import UserError

CORES = ("cortex-m4", "cortex-m7", "cortex-m33")
DUAL_ISSUE = ("cortex-m7",)
ROUNDS = 100
_MACS = {"smlad": 2, "smladx": 2, "smlabb": 1, "smlabt": 1, "smlatb": 1, "smlatt": 1, "mla": 1}
_FUNCTION = re.compile(r"^[0-9a-f]+ <(.+)>:$")
_LINE = re.compile(r"^\s*([0-9a-f]+):\s+(\S+)\s*(.*?)\s*(?:@.*)?$")
_BRANCH = re.compile(r"^b(?:eq|ne|hi|ls|cs|cc|gt|lt|ge|le|pl|mi)(?:\.[nw])?$")


@dataclass(frozen=True)
class Loop:
    """One innermost loop; cycles are those of one round in the steady state."""

    kernels: str
    function: str
    instructions: int
    macs: int
    cycles: float

    @property
    def instructions_per_mac(self) -> float:
        """Of the loop alone."""
        return self.instructions / self.macs

    @property
    def cycles_per_mac(self) -> float:
        """Of the loop alone, by llvm-mca."""
        return self.cycles / self.macs


def _tool(*names: str) -> str:
    for name in names:
        if found := shutil.which(name):
            return found
    raise UserError(f"needs {names[0]}: apt install llvm gcc-arm-none-eabi")


def loops(core: str, folder: Path) -> Iterator[Loop]:
    """Of the DSP schedule, and of CMSIS-NN; UserError if a tool is missing."""
    mca = _tool("llvm-mca", "llvm-mca-19", "llvm-mca-16", "llvm-mca-15", "llvm-mca-14")
    ours = KERNELS / "src" / "dsp_asm.cc"
    flags = [f"-I{KERNELS / 'include'}", *FLAGS]
    files = [("ours", ours, flags)]
    if core in DUAL_ISSUE:
        files.append(("ours, dual issue", ours, [*flags, *SCHEDULES["dual issue"]]))
    if (tree := sources()) is not None:
        product = tree / "Source" / "NNSupportFunctions" / "arm_nn_mat_mult_nt_t_s8.c"
        files.append(("cmsis_nn", product, [f"-I{tree / 'Include'}"]))
    for kernels, source, more in files:
        compiler = _tool(COMPILER if source.suffix == ".cc" else COMPILER.replace("g++", "gcc"))
        made = folder / "loops.o"
        compiled = [f"-mcpu={core}", "-mthumb", "-O2", "-w", *more]
        subprocess.run([compiler, *compiled, "-c", str(source), "-o", str(made)], check=True)
        dump = [_tool("arm-none-eabi-objdump"), "-d", "--no-show-raw-insn", str(made)]
        text = subprocess.run(dump, capture_output=True, text=True, check=True).stdout
        for function, body in innermost(text):
            macs = sum(_MACS.get(line.split()[0].removesuffix(".w"), 0) for line in body)
            if macs:
                cycles = simulated(mca, core, body)
                yield Loop(kernels, function, len(body), macs, cycles)


def innermost(listing: str) -> Iterator[tuple[str, list[str]]]:
    """Name and instructions of every loop of a listing that has no other loop inside."""
    function, lines = "", list[tuple[int, str]]()
    for text in [*listing.splitlines(), "0 <end>:"]:
        if name := _FUNCTION.match(text):
            yield from ((function, body) for body in _loops_of(lines))
            function, lines = name[1], []
        elif line := _LINE.match(text):
            lines.append((int(line[1], 16), f"{line[2]} {line[3]}".strip()))


def _loops_of(lines: Sequence[tuple[int, str]]) -> Iterator[list[str]]:
    spans = []
    for address, text in lines:
        name, _, rest = text.partition(" ")
        if _BRANCH.match(name) and (target := int(rest.split()[0], 16)) < address:
            spans.append((target, address))
    for first, last in spans:
        inside = [span for span in spans if span != (first, last)]
        if not any(first <= a and b <= last for a, b in inside):
            yield [text for address, text in lines if first <= address <= last]


def simulated(mca: str, core: str, body: Sequence[str]) -> float:
    """Cycles of a round; the branch's target is a label, as an assembler wants one."""
    # llvm-mca takes "ldr.w r2, [r0], #4" for something that it cannot simulate.
    *straight, branch = [re.sub(r"^([a-z0-9]+)\.[nw]\b", r"\1", text) for text in body]
    text = "\n".join(["loop:", *straight, f"{branch.split()[0]} loop"]) + "\n"
    command = [mca, "-mtriple=thumbv7em-none-eabi", f"-mcpu={core}", f"-iterations={ROUNDS}"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    found = re.search(r"Total Cycles:\s+(\d+)", done.stdout)
    if not found:
        raise UserError(f"llvm-mca does not take a loop: {done.stderr[:300]}")
    return int(found[1]) / ROUNDS


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 2 if something is missing."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--core", nargs="+", choices=CORES, default=["cortex-m7"])
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args(arguments)
    try:
        with tempfile.TemporaryDirectory() as folder:
            found = {core: list(loops(core, Path(folder))) for core in chosen.core}
    except (UserError, subprocess.SubprocessError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if chosen.json:
        print(json.dumps({core: [_row(x) for x in each] for core, each in found.items()}, indent=1))
        return 0
    print("| core | kernels | function | instructions | MACs | per MAC | cycles per MAC |")
    print("|---|---|---|--:|--:|--:|--:|")
    for core, each in found.items():
        for loop in each:
            print(
                f"| {core} | {loop.kernels} | {loop.function} | {loop.instructions} | {loop.macs} "
                f"| {loop.instructions_per_mac:.2f} | {loop.cycles_per_mac:.2f} |"
            )
    return 0


def _row(loop: Loop) -> dict[str, object]:
    ratios = {name: getattr(loop, name) for name in ("instructions_per_mac", "cycles_per_mac")}
    return {**asdict(loop), **ratios}


if __name__ == "__main__":
    sys.exit(main())
