# SPDX-License-Identifier: Apache-2.0
"""The table of the seed system's scheme."""

from pathlib import Path

import pytest

from benchmarks.seed_scheme import main
from models.tiny import NETWORKS
from tflsplit.baseline import seed_scheme
from tflsplit.tflite import write_model


def test_the_command_prints_the_figures(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    path = tmp_path / "mobilenet.tflite"
    path.write_bytes(write_model(NETWORKS["mobilenet"]()))
    assert main([str(path), "-n", "1", "3"]) == 0
    printed = capsys.readouterr().out
    cost = seed_scheme(NETWORKS["mobilenet"](), 3)
    assert f"{cost.peak_bytes:,}" in printed
    assert f"{cost.traffic_bytes:,}" in printed


def test_the_command_says_what_is_wrong_in_one_line(capsys: pytest.CaptureFixture[str]):
    assert main(["none.tflite"]) == 2
    assert capsys.readouterr().err.startswith("error: ")
