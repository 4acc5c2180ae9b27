# SPDX-License-Identifier: Apache-2.0
"""`pio test`: the programs of tflm_app/test on this computer and on emulated boards."""

from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
BROKEN = """
#include "check.h"
int split_app_main() {
  return check::run_all({{"good", [] {}}, {"bad", [] { CHECK(1 == 2); }}});
}
"""
CRASHING = """
#include "check.h"
int split_app_main() { return check::run_all({{"crash", [] { __builtin_trap(); }}}); }
"""


def pio_test(platformio: Any, board: str, **environment: str) -> tuple[int, str]:
    # A test program is built in the place of the environment's own: keep it apart from those that
    # other tests run.
    workspace = str(platformio.folder / "test-workspace")
    environment = {"PLATFORMIO_WORKSPACE_DIR": workspace, **environment}
    result = platformio.run("test", "-e", f"uart_ring_{board}", **environment)
    return result.returncode, result.stdout + result.stderr


@pytest.mark.usefixtures("host_compiler")
def test_on_this_computer(platformio: Any):
    status, output = pio_test(platformio, "host")
    assert status == 0, output
    assert "33 succeeded" in output
    assert "hangs, until it is reset" in output


@pytest.mark.usefixtures("arm_compiler", "qemu")
@pytest.mark.parametrize(
    ("board", "passed"), [("mps2_an500", 33), ("mps3_an547", 33), ("stm32f405", 13)]
)
def test_on_an_emulated_board(platformio: Any, board: str, passed: int):
    status, output = pio_test(platformio, board)
    assert status == 0, output
    assert f"{passed} succeeded" in output
    assert ("hangs, until it is reset" in output) == board.startswith("mps")


@pytest.mark.usefixtures("arm_compiler", "rp2040js")
def test_on_an_emulated_rp2040(platformio: Any):
    status, output = pio_test(platformio, "rp2040")
    assert status == 0, output
    assert "13 succeeded" in output
    assert "hangs, until it is reset" in output


def failing_test(tmp_path: Path, source: str) -> str:
    """A test folder whose only program is ``source``."""
    folder = tmp_path / "programs"  # PlatformIO would take a folder named test_... for a test
    (folder / "test_it").mkdir(parents=True)
    for name in ("check.h", "test_custom_runner.py"):
        (folder / name).write_bytes((ROOT / "tflm_app" / "test" / name).read_bytes())
    (folder / "test_it" / "main.cc").write_text(source)
    return str(folder)


@pytest.mark.usefixtures("host_compiler")
def test_a_failure_is_reported(platformio: Any, tmp_path: Path):
    folder = failing_test(tmp_path, BROKEN)
    status, output = pio_test(platformio, "host", PLATFORMIO_TEST_DIR=folder)
    assert status != 0
    assert "1 failed, 1 succeeded" in output
    assert "bad: main.cc:4: not true: 1 == 2" in output


@pytest.mark.usefixtures("arm_compiler", "qemu")
def test_a_crash_is_reported(platformio: Any, tmp_path: Path):
    folder = failing_test(tmp_path, CRASHING)
    status, output = pio_test(platformio, "mps2_an500", PLATFORMIO_TEST_DIR=folder)
    assert status != 0
    assert "FAULT exception" in output
    assert "ERRORED" in output
