# SPDX-License-Identifier: Apache-2.0
"""Builds that are ended with everything that they have started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tflsplit.emulate.builders import run_builder

BUILD = 'sleep 600 & echo $! > "$0.new"; mv "$0.new" "$0"; wait'
PROGRAM = """
import sys
from tflsplit.emulate.builders import ended_by_sigterm, run_builder
with ended_by_sigterm():
    run_builder(["sh", "-c", sys.argv[1], sys.argv[2]])
"""


def is_there(process: int) -> bool:
    """Whether a process runs; one that ended and that nobody has asked about does not."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_what_a_builder_prints_and_reads_and_how_it_ends(tmp_path: Path):
    done = run_builder(["sh", "-c", "cat; pwd; echo $A >&2; exit 3"], text="in ", folder=tmp_path,
                       environment={"A": "b", "PATH": os.environ["PATH"]})  # fmt: skip
    assert done.stdout == f"in {tmp_path}\n"
    assert (done.stderr, done.returncode) == ("b\n", 3)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_build_and_its_children(tmp_path: Path, number: signal.Signals):
    file = tmp_path / "child"
    words = [sys.executable, "-c", PROGRAM, BUILD, str(file)]
    ours = subprocess.Popen(words, stderr=subprocess.DEVNULL)
    try:
        while not file.is_file():
            assert ours.poll() is None
            time.sleep(0.01)
        child = int(file.read_text())
        assert is_there(child)
        ours.send_signal(number)
        assert ours.wait(60) == -number
        while is_there(child):
            time.sleep(0.01)
    finally:
        ours.kill()
        ours.wait()
