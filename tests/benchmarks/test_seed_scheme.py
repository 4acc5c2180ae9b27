# SPDX-License-Identifier: Apache-2.0
"""The table of the seed system's scheme."""

from pathlib import Path

import pytest

from benchmarks.seed_scheme import main, slowed
from models.tiny import NETWORKS
from tflsplit.baseline import seed_scheme
from tflsplit.cluster import default_cluster
from tflsplit.sim import simulate_seed
from tflsplit.tflite import write_model


def test_the_command_prints_the_figures(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    path = tmp_path / "mobilenet.tflite"
    path.write_bytes(write_model(NETWORKS["mobilenet"]()))
    assert main([str(path), "-n", "1", "3"]) == 0
    printed = capsys.readouterr().out
    cost = seed_scheme(NETWORKS["mobilenet"](), 3)
    quick = default_cluster(3, "ethernet")
    run, slow = (simulate_seed(NETWORKS["mobilenet"](), c) for c in (quick, slowed(quick, 2)))
    assert f"| {slow.latency_us / 1000:,.0f} |" in printed
    assert slow.compute_us > 1.9 * run.compute_us
    assert f"{cost.peak_bytes:,}" in printed
    assert f"{cost.traffic_bytes:,}" in printed


def test_the_command_says_what_is_wrong_in_one_line(capsys: pytest.CaptureFixture[str]):
    assert main(["none.tflite"]) == 2
    assert capsys.readouterr().err.startswith("error: ")
