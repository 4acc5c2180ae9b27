# SPDX-License-Identifier: Apache-2.0
"""Builds split_device with its C++ tests under ASan and UBSan, and runs each of them by name."""

from __future__ import annotations

import pytest

from tests.native_build import build, cpp_tests, passed_on_32_bits, run_cpp_tests

NAMES = cpp_tests("device")


@pytest.fixture(scope="session")
def output() -> str:
    """What the program printed."""
    return run_cpp_tests(build("device") / "split_device_tests")


@pytest.mark.parametrize("name", NAMES)
def test_cpp(name: str, output: str) -> None:
    assert f"PASS {name}\n" in output, output


@pytest.mark.slow
def test_cpp_on_32_bits() -> None:
    passed, output = passed_on_32_bits("device")
    assert passed == NAMES, output
