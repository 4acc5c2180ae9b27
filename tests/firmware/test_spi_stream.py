# SPDX-License-Identifier: Apache-2.0
"""The SPI link on its simulated bus (tflm_app/test/test_spi), under ASan and UBSan."""

import re
import subprocess
from pathlib import Path

import pytest

APP = Path(__file__).resolve().parents[2] / "tflm_app"
FOLDERS = ("lib/split_port/src", "lib/split_core/src", "ports/host/src")
INCLUDES = ("test", "lib/split_port/include", "lib/split_core/include", "ports/host/src")
FLAGS = ["-std=gnu++17", "-O1", "-g", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
FLAGS += ["-fno-exceptions", "-fno-rtti", "-fsanitize=address,undefined"]
FLAGS += ["-fno-sanitize-recover=undefined"]


@pytest.fixture(scope="module")
def printed(host_compiler: None, tmp_path_factory: pytest.TempPathFactory) -> str:
    program = tmp_path_factory.mktemp("spi") / "spi"
    sources = [path for folder in FOLDERS for path in sorted((APP / folder).glob("*.cc"))]
    command = ["g++", *FLAGS, *(f"-I{APP / folder}" for folder in INCLUDES)]
    sources.append(APP / "test" / "test_spi" / "main.cc")
    command += [*map(str, sources), "-o", str(program)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr[-4000:]
    run = subprocess.run([program], capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def test_on_a_simulated_bus(printed: str):
    lines = printed.splitlines()
    assert [line for line in lines if line.startswith("FAIL")] == []
    assert sum(line.startswith("PASS") for line in lines) == 20
    assert lines[-1] == "DONE"


def test_the_documented_rates_are_measured(printed: str):
    rates = re.findall(r"^RATE (.*): ([\d.]+) % of 30 MHz$", printed, re.MULTILINE)
    assert len(rates) == 4
    text = (APP.parent / "docs" / "adding_a_board.md").read_text()
    for what, rate in rates:
        assert f"| {what} | {rate} % |" in text
