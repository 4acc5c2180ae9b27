# SPDX-License-Identifier: Apache-2.0
"""Damaged folders, clusters, graphs and names through the commands that read them (damaged.py).

TFLSPLIT_DAMAGED sets how many of each (default 20), TFLSPLIT_DAMAGED_SEED the seed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.damaged import BOARD, CLUSTER, TARGETS, BrokenError, fresh, run

COUNT = os.environ.get("TFLSPLIT_DAMAGED", "20")
SEED = os.environ.get("TFLSPLIT_DAMAGED_SEED", "1")
ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_mutants_end_in_a_result_or_a_message(target: str) -> None:
    """In a process of its own: what ends an engine without a word is not the end of the tests."""
    command = [sys.executable, "-m", "tests.damaged", target, "--count", COUNT, "--seed", SEED]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, f"exit code {done.returncode}\n{done.stderr[-6000:]}"
    fates = {fate.split()[-1] for fate in json.loads(done.stdout)}
    assert {"0", "2"} <= fates  # of both kinds, or half of the program is not tested


def test_what_is_mutated_is_sound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder, other = fresh(tmp_path)
    (tmp_path / "cluster.toml").write_text(CLUSTER + BOARD)
    assert run("simulate", folder, "--cluster", "cluster.toml") == 0
    assert run("firmware", folder, "--cluster", "cluster.toml", "--force") == 0
    assert run("plan", other / "model.tflite", "--plan", other / "plan.json") == 0
    assert run("run", folder, "--input", "input.npy") == 0


def test_a_traceback_or_a_terminals_letter_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_arguments: object) -> int:
        raise KeyError("a bug")

    def shout(_arguments: object) -> int:
        print("\x1b[2J")
        return 0

    for bug, words in ((fail, "KeyError"), (shout, "unprintable")):
        monkeypatch.setattr("tests.damaged.tflsplit", bug)
        with pytest.raises(BrokenError, match=words):
            run("inspect", tmp_path)
