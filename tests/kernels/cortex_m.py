# SPDX-License-Identifier: Apache-2.0
"""Builds programs with the kernels for the emulated Cortex-M boards, and runs them in QEMU."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.kernels.kernel_driver import DRIVER, ROOT, compile_driver

PLATFORM = ROOT / "tflm_app" / "platforms" / "mps2"
COMPILER = "arm-none-eabi-g++"
EMULATOR = "qemu-system-arm"


def needs(program: str) -> str:
    """``program``; skips the test where it is not installed."""
    if not shutil.which(program):
        packages = {COMPILER: "gcc-arm-none-eabi libnewlib-arm-none-eabi"}
        pytest.skip(f"needs {program}: apt install {packages.get(program, program)}")
    return program


CORTEX_M0PLUS = "cortex_m0plus"
"""ARMv6-M code on the Cortex-M4's board: what a Cortex-M0+ executes, other cores do, too, and QEMU
has no board with one and enough RAM."""


def board(name: str) -> dict[str, Any]:
    """The board's build settings, ``cpu_flags`` as a list; or those of ``CORTEX_M0PLUS``."""
    if name == CORTEX_M0PLUS:
        flags = ["-mcpu=cortex-m0plus", "-mthumb", "-mfloat-abi=soft"]
        return {**board("mps2_an386"), "cpu_flags": flags}
    build = json.loads((PLATFORM / "boards" / f"{name}.json").read_text())["build"]
    return {**build, "cpu_flags": build["cpu_flags"].split()}


def bare_board(name: str) -> list[str]:
    """Source and options of GCC beside a ``main`` that runs on a bare board."""
    scripts = PLATFORM / "ldscripts"
    sections = ROOT / "tflm_app" / "ports" / "cortex_m" / "ldscripts"
    return [
        str(ROOT / "tests" / "kernels" / "cortex_m.cc"),
        "--specs=rdimon.specs",
        "-nostartfiles",
        f"-L{scripts}",
        f"-L{sections}",
        f"-T{scripts / board(name)['ldscript']}",
        "-Wl,--defsym=end=__bss_end__",
        "-Wl,--gc-sections",
    ]


TICKS = {
    "mps2_an500": 40,
    "mps2_an386": 40,
    CORTEX_M0PLUS: 40,
    "mps2_an505": 50,
    "mps3_an547": 31.25,
}
"""Instructions to a tick of SysTick with ``COUNTING``: nanoseconds at the board's clock."""
COUNTING = ("-icount", "shift=0")


SCHEDULES = {
    "own": [],
    "portable": ["-DSPLIT_KERNELS_PORTABLE_SCHEDULE"],
    "dual issue": ["-DSPLIT_KERNELS_DUAL_ISSUE"],
}
"""What a build defines for a schedule that is not the core's own."""


def build_for(
    name: str, output: Path, source: Path = DRIVER, schedule: str = "own", counts: bool = False
) -> None:
    """``source`` with the kernels, for a board; stdin and stdout are files (cortex_m.cc).

    schedule: of SCHEDULES.
    counts: answers say how many instructions a kernel took; run it with ``COUNTING``.
    """
    command = [needs(COMPILER), *board(name)["cpu_flags"], "-O2", "-ffunction-sections"]
    command += SCHEDULES[schedule]
    command += [f"-DSPLIT_KERNELS_TICK={TICKS[name]}"] if counts else []
    compile_driver(command, bare_board(name), output, source)


def emulate(name: str, program: Path, stdin: bytes, *options: str) -> bytes:
    """What ``program`` wrote to stdout; raises CalledProcessError if it failed or crashed."""
    (program.parent / "cases.bin").write_bytes(stdin)
    subprocess.run(
        [
            *(needs(EMULATOR), "-machine", board(name)["qemu_machine"], "-display", "none"),
            *("-monitor", "none", "-serial", "null", "-kernel", program.name),
            *("-semihosting-config", "enable=on,target=native", *options),
        ],
        cwd=program.parent,
        timeout=120,
        check=True,
    )
    return (program.parent / "answers.bin").read_bytes()
