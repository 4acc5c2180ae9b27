# SPDX-License-Identifier: Apache-2.0
"""``tflsplit emulate`` that is ended leaves no emulator behind: one stands in for QEMU here."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.bundles import bundle_of
from tests.emulate.test_builders import is_there
from tflsplit.bundle import read_bundle
from tflsplit.emulate.firmware_build import write_sources
from tflsplit.firmware import FirmwareOptions

DEVICES, BOARD = 2, "mps2_an500"
MOST_SECONDS = 15.0
QEMU = """#!{python}
import os, signal, sys, time
from pathlib import Path
if "-M" in sys.argv:
    if {is_deaf}:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    file = Path("{folder}", f"{{os.getpid()}}.new")
    file.touch()
    file.rename(file.with_suffix(".pid"))
    time.sleep(600)
"""


def firmware_in(folder: Path) -> Path:
    """As a build leaves it; nobody looks into the programs."""
    bundle = read_bundle(bundle_of(folder, "ds_cnn", DEVICES))
    built = write_sources(bundle, FirmwareOptions(boards=(BOARD,), tflm_dir=None))
    (built / "programs").mkdir(parents=True)
    for rank in range(DEVICES):
        (built / "programs" / f"node{rank}.elf").touch()
    return built


@pytest.mark.parametrize("is_deaf", [False, True], ids=["", "boards that take no SIGTERM"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_no_board_outlives_the_command(tmp_path: Path, number: signal.Signals, is_deaf: bool):
    built = firmware_in(tmp_path / "plan")
    tools, boards = tmp_path / "tools", tmp_path / "boards"
    for folder in (tools, boards):
        folder.mkdir()
    qemu = tools / "qemu-system-arm"
    qemu.write_text(QEMU.format(python=sys.executable, folder=boards, is_deaf=is_deaf))
    qemu.chmod(0o755)
    words = ["-m", "tflsplit", "emulate", str(tmp_path / "plan"), "--firmware", str(built)]
    command = subprocess.Popen(
        [sys.executable, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"},
    )  # fmt: skip
    try:
        while len(found := list(boards.glob("*.pid"))) < DEVICES:
            assert command.poll() is None, command.communicate()
            time.sleep(0.02)
        begun = time.monotonic()
        command.send_signal(number)
        _, errors = command.communicate(timeout=60)
        assert time.monotonic() - begun < MOST_SECONDS
        assert command.returncode == (130 if number == signal.SIGINT else -number), errors
        assert "Traceback" not in errors
        assert not any(is_there(int(file.stem)) for file in found)
    finally:
        command.kill()
        command.wait()
