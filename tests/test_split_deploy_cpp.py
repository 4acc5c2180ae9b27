# SPDX-License-Identifier: Apache-2.0
"""Builds split_deploy with its C++ tests under ASan and UBSan, and runs each of them by name."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.native_build import build, needs_32_bits

HERE = Path(__file__).parent
NAMES = sorted(
    name
    for file in (HERE / "deploy").glob("*_test.cc")
    for name in re.findall(r"^TEST\((\w+)\)", file.read_text(), re.MULTILINE)
)


@pytest.fixture(scope="session")
def output() -> str:
    """What the program printed."""
    program = build("deploy") / "split_deploy_tests"
    run = subprocess.run([program], capture_output=True, text=True, timeout=300)
    return run.stdout + run.stderr[-6000:]


@pytest.mark.parametrize("name", NAMES)
def test_cpp(name: str, output: str) -> None:
    assert f"PASS {name}\n" in output, output


@pytest.mark.slow
def test_cpp_on_32_bits() -> None:
    needs_32_bits()
    folder = build("deploy", "-DCMAKE_CXX_FLAGS=-m32", folder="deploy-32")
    run = subprocess.run(
        [folder / "split_deploy_tests"], capture_output=True, text=True, timeout=300
    )
    passed = re.findall(r"^PASS (\w+)$", run.stdout, re.MULTILINE)
    assert sorted(passed) == NAMES, run.stdout[-3000:] + run.stderr[-6000:]
