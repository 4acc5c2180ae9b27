# SPDX-License-Identifier: Apache-2.0
"""The comparison counts what plan.json says, and both schemes see the same network."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.versus_seed import WAYS, balance, main, of_plan, of_rewrite
from models.tiny import NETWORKS
from tflsplit.baseline import seed_scheme
from tflsplit.cluster import default_cluster
from tflsplit.sim import simulate_seed
from tflsplit.tflite import write_model

DOCUMENT = {
    "inputs": [{"tensor": "x", "dtype": "int8"}],
    "outputs": [{"tensor": "y", "dtype": "int32"}],
    "devices": [
        {
            "peak_live_bytes": 50, "arena_bytes": 80, "weights_bytes": 9, "received_bytes": 7,
            "macs": 30, "inputs": [{"tensor": "x", "box": [0, 1, 0, 4]}], "outputs": [],
        },
        {
            "peak_live_bytes": 60, "arena_bytes": 70, "weights_bytes": 8, "received_bytes": 5,
            "macs": 10, "inputs": [], "outputs": [{"tensor": "y", "box": [0, 1, 0, 10]}],
        },
    ],
}  # fmt: skip


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "mobilenet.tflite"
    path.write_bytes(write_model(NETWORKS["mobilenet"]()))
    return path


def test_figures_are_of_the_fullest_device_and_bytes_of_all():
    figures = of_plan(DOCUMENT)
    assert (figures.peak_bytes, figures.arena_bytes, figures.weights_bytes) == (60, 80, 9)
    assert figures.moved_bytes == 7 + 5 + 4 + 10 * 4  # between devices, image, result
    assert figures.balance == pytest.approx(20 / 30)


def test_idle_devices_are_balanced():
    assert balance([0, 0]) == balance([3, 3]) == 1.0


def test_one_device_moves_the_image_and_the_result_only(model: Path):
    graph = NETWORKS["mobilenet"]()
    ends = sum(value.size_bytes for value in (*graph.inputs, *graph.outputs))
    assert of_rewrite(model, 1, WAYS["channels only"]).moved_bytes == ends


def test_the_command_prints_both(model: Path, capfd: pytest.CaptureFixture[str]):
    assert main([str(model), "-n", "3", "--ways", "channels only"]) == 0
    printed = capfd.readouterr().out
    assert f"{seed_scheme(NETWORKS['mobilenet'](), 3).traffic_bytes:,}" in printed
    ours = of_rewrite(model, 3, WAYS["channels only"])
    seed = seed_scheme(NETWORKS["mobilenet"](), 3)
    assert f"| 3 | {seed.peak_bytes:,} | {ours.peak_bytes:,} |" in printed
    run = simulate_seed(NETWORKS["mobilenet"](), default_cluster(3))
    assert ours.uart_ms is not None
    assert f"| 3 | {run.latency_us / 1000:,.0f} | {ours.uart_ms:,.0f} |" in printed


def test_a_failing_command_is_one_clear_error(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    assert main([str(tmp_path / "none.tflite"), "-n", "2"]) == 2
    assert "none.tflite" in capfd.readouterr().err
