# SPDX-License-Identifier: Apache-2.0
"""C++ tests that a CMakeLists.txt of tests/ describes, built once for all that need them."""

from __future__ import annotations

import fcntl
import functools
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


class BuildError(Exception):
    """The compiler's or CMake's last words."""


def cmake(
    source: Path, folder: Path, *definitions: str, compiler: str = "g++", target: str = "all"
) -> None:
    """Build what ``source/CMakeLists.txt`` lists, or one target of it; BuildError if not."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:  # pytest -n 2 comes here twice at once
        fcntl.flock(lock, fcntl.LOCK_EX)
        options = [f"-DCMAKE_CXX_COMPILER={compiler}", *definitions]
        for command in (
            ["cmake", "-S", str(source), "-B", str(folder), *options],
            ["cmake", "--build", str(folder), "-j", "2", "--target", target],
        ):
            run = subprocess.run(command, capture_output=True, text=True, check=False)
            if run.returncode != 0:
                raise BuildError(run.stdout[-3000:] + run.stderr[-6000:])


@functools.cache
def build(name: str, *definitions: str, folder: str | None = None) -> Path:
    """The folder of a test's build of ``tests/<name>``; skips the test without tools."""
    for tool in ("cmake", "g++"):
        if shutil.which(tool) is None:
            pytest.skip(f"needs {tool}: apt install cmake g++")
    target = ROOT / "build" / (folder or name)
    cmake(ROOT / "tests" / name, target, *definitions)
    return target


@functools.cache
def needs_32_bits() -> None:
    """Skips the test where the compiler cannot build for a computer of 32 bits."""
    source = "#include <vector>\nint main() { return std::vector<int>(1)[0]; }"
    command = ["g++", "-m32", "-fsanitize=address,undefined", "-x", "c++", "-", "-o", "/dev/null"]
    if shutil.which("g++") is None:
        pytest.skip("needs g++: apt install g++")
    run = subprocess.run(command, input=source, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        pytest.skip("needs a g++ that builds for 32 bits: apt install g++-multilib")


def cpp_tests(name: str) -> list[str]:
    """The names of the C++ tests in ``tests/<name>``."""
    files = (ROOT / "tests" / name).glob("*_test.cc")
    return sorted(
        found
        for file in files
        for found in re.findall(r"^TEST\((\w+)\)", file.read_text(), re.MULTILINE)
    )


def run_cpp_tests(program: Path) -> str:
    """What the program printed, and a sanitizer's last words."""
    run = subprocess.run([program], capture_output=True, text=True, timeout=300, check=False)
    return run.stdout + run.stderr[-6000:]


def passed_on_32_bits(name: str) -> tuple[list[str], str]:
    """The C++ tests of ``tests/<name>`` that pass on 32 bits, and what was printed."""
    needs_32_bits()
    folder = build(name, "-DCMAKE_CXX_FLAGS=-m32", folder=f"{name}-32")
    output = run_cpp_tests(folder / f"split_{name}_tests")
    return sorted(re.findall(r"^PASS (\w+)$", output, re.MULTILINE)), output[-9000:]
