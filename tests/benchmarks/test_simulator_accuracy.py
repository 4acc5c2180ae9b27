# SPDX-License-Identifier: Apache-2.0
"""How far off the simulator is: from recorded runs, so that no board need be emulated here."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.simulator_accuracy import cluster_of, copies_us, main
from models.tiny import NETWORKS
from tflsplit.bundle import read_bundle
from tflsplit.bundle.runs import write_run
from tflsplit.plan.wishes import Wishes
from tflsplit.rewriting.rewrite import rewrite
from tflsplit.sim import simulate
from tflsplit.tflite import write_model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "ds_cnn.tflite"
    path.write_bytes(write_model(NETWORKS["ds_cnn"]()))
    rewrite(path, tmp_path / "build" / "ds_cnn-2", Wishes(2))
    return path


def record(model: Path, factors: tuple[float, float]) -> list[float]:
    """A run whose devices took ``factors`` times what is simulated; the latter's instructions."""
    bundle = read_bundle(model.parent / "build" / "ds_cnn-2")
    cluster = cluster_of(2, "mps2_an500")
    result = simulate(bundle.devices, cluster)
    simulated = [
        (times.compute_us + copies_us(graph, device)) * device.clock_hz / 1e6
        for graph, device, times in zip(
            bundle.devices, cluster.devices, result.devices, strict=True
        )
    ]
    wires = [
        {"a": a, "b": b, "frames": count.frames + 1, "bytes": count.wire_bytes, "polls": 3.0,
         "resent": 0.0}
        for (a, b), count in result.wires.items()
    ]  # fmt: skip
    devices = [
        {"rank": rank, "compute_instructions": factor * each}
        for rank, (factor, each) in enumerate(zip(factors, simulated, strict=True))
    ]
    fingerprint = bundle.document["fingerprint"]
    write_run(bundle.folder, "emulate", fingerprint, {"devices": devices, "wires": wires})
    return simulated


def test_recorded_runs_are_compared(model: Path, capsys: pytest.CaptureFixture[str]):
    simulated = record(model, (2.0, 1.25))
    options = ["-n", "2", "--recorded", "--build", str(model.parent / "build")]
    assert main([str(model), *options]) == 0
    text = capsys.readouterr().out
    measured = ", ".join(f"{f * s / 1e6:.2f}" for f, s in zip((2.0, 1.25), simulated, strict=True))
    assert f"| ds_cnn | 2 | {measured} |" in text
    assert "| 0.50, 0.80 |" in text
    assert "0.50 to 0.80, geometric mean 0.63" in text
    assert "Between the devices of one plan it differs by at most 60 %." in text
    bundle = read_bundle(model.parent / "build" / "ds_cnn-2")
    wires = simulate(bundle.devices, cluster_of(2, "mps2_an500")).between_devices()
    assert f"| ds_cnn | 2 | {wires.frames + 2:,} | {wires.frames:,} |" in text


def test_without_a_run_it_says_what_to_do(model: Path, capsys: pytest.CaptureFixture[str]):
    options = ["-n", "2", "--recorded", "--build", str(model.parent / "build")]
    assert main([str(model), *options]) == 2
    assert "has no recorded run; leave --recorded out" in capsys.readouterr().err
