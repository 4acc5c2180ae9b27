# SPDX-License-Identifier: Apache-2.0
"""Builds split_core with its C++ tests under ASan and UBSan, and runs each of them by name."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.core_build import build_core
from tests.native_build import build, needs_32_bits

HERE = Path(__file__).parent
TEST_NAME = re.compile(r"^TEST\((\w+)\)", re.MULTILINE)
NAMES = sorted(
    name
    for file in (HERE / "core").glob("*_test.cc")
    for name in TEST_NAME.findall(file.read_text())
)


@pytest.fixture(scope="session")
def results() -> dict[str, str]:
    """Name of a C++ test -> its output, which ends in PASS or FAIL."""
    run = subprocess.run(
        [build_core() / "split_core_tests"], capture_output=True, text=True, timeout=300
    )
    outputs: dict[str, str] = {}
    lines: list[str] = []
    for line in run.stdout.splitlines():
        lines.append(line)
        if found := re.fullmatch(r"(PASS|FAIL) (\w+)", line):
            outputs[found[2]] = "\n".join(lines)
            lines = []
    outputs[""] = run.stdout[-3000:] + run.stderr[-6000:]  # for a sanitizer's last words
    return outputs


@pytest.mark.parametrize("name", NAMES)
def test_cpp(name: str, results: dict[str, str]) -> None:
    output = results.get(name)
    assert output is not None, f"{name} did not run; the program's end:\n{results['']}"
    assert output.endswith(f"PASS {name}"), output


@pytest.mark.slow
def test_cpp_on_32_bits() -> None:
    """All of them where size_t and pointers have the size that they have on the boards."""
    needs_32_bits()
    folder = build("core", "-DCMAKE_CXX_FLAGS=-m32", folder="core-32")
    program = folder / "split_core_tests"
    assert program.read_bytes()[4] == 1  # ELF's class: 32 bits
    run = subprocess.run([program], capture_output=True, text=True, timeout=300)
    passed = re.findall(r"^PASS (\w+)$", run.stdout, re.MULTILINE)
    assert sorted(passed) == NAMES, run.stdout[-3000:] + run.stderr[-6000:]


def test_core_has_no_heap_no_runtime_and_no_foreign_headers() -> None:
    allowed = {"cstddef", "cstdint", "cstring", "new", "stddef.h", "stdint.h"}
    core = HERE.parent / "tflm_app" / "lib" / "split_core"
    files = [*core.rglob("*.h"), *core.rglob("*.cc")]
    assert files
    for file in files:
        text = file.read_text()
        for header in re.findall(r"^#include [<\"](.+?)[>\"]", text, re.MULTILINE):
            assert header in allowed or header.startswith("split_core/"), f"{file}: {header}"
        # `new (place) T` only: placement.
        code = re.sub(r"//.*|/\*.*?\*/", "", text, flags=re.DOTALL if file.suffix == ".h" else 0)
        for word in re.findall(
            r"\b(new [^(\n]\w*|malloc|std::function|throw|dynamic_cast)\b", code
        ):
            pytest.fail(f"{file.name} uses {word}")


def test_code_and_ram_fit_a_cortex_m7(tmp_path: Path) -> None:
    """Flash <= 22 KB; RAM beside the frame buffers <= 4 KB for a ring node with a host link."""
    if shutil.which("arm-none-eabi-g++") is None:
        pytest.skip(
            "needs arm-none-eabi-g++: apt install gcc-arm-none-eabi libnewlib-arm-none-eabi "
            "libstdc++-arm-none-eabi-newlib"
        )
    run = subprocess.run(
        [sys.executable, HERE / "core" / "measure_size.py", "--json"],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    sizes = json.loads(run.stdout)
    assert 4_000 < sizes["flash_bytes"] <= 22 * 1024, sizes
    assert 500 < sizes["ram_bytes"] <= 4 * 1024, sizes
