# SPDX-License-Identifier: Apache-2.0
"""Builds programs with the kernels for the emulated Cortex-M boards, and runs them in QEMU."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.kernels.kernel_driver import DRIVER, ROOT, CmsisNn, compile_driver

PLATFORM = ROOT / "tflm_app" / "platforms" / "mps2"
COMPILER = "arm-none-eabi-g++"
EMULATOR = "qemu-system-arm"


def needs(program: str) -> str:
    """``program``; skips the test where it is not installed."""
    if not shutil.which(program):
        packages = {COMPILER: "gcc-arm-none-eabi libnewlib-arm-none-eabi"}
        pytest.skip(f"needs {program}: apt install {packages.get(program, program)}")
    return program


def board(name: str) -> dict[str, Any]:
    """The board's build settings, ``cpu_flags`` as a list."""
    build = json.loads((PLATFORM / "boards" / f"{name}.json").read_text())["build"]
    return {**build, "cpu_flags": build["cpu_flags"].split()}


def build_for(name: str, cmsis_nn: CmsisNn | None, output: Path, source: Path = DRIVER) -> None:
    """``source`` with the kernels, for a board; stdin and stdout are files (cortex_m.cc)."""
    scripts = PLATFORM / "ldscripts"
    target = board(name)
    more = [
        str(ROOT / "tests" / "kernels" / "cortex_m.cc"),
        "--specs=rdimon.specs",
        "-nostartfiles",
        f"-L{scripts}",
        f"-T{scripts / target['ldscript']}",
        "-Wl,--defsym=end=__bss_end__",
        "-Wl,--gc-sections",
    ]
    command = [needs(COMPILER), *target["cpu_flags"], "-O2", "-ffunction-sections"]
    compile_driver(command, more, cmsis_nn, output, source)


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
