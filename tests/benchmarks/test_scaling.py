# SPDX-License-Identifier: Apache-2.0
"""What measures commands measures the command, and only it."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.measure import CommandError, Measured, run, seeded_mobilenet
from benchmarks.scaling import Case, extent, markdown, measure
from models.tiny import NETWORKS
from tflsplit.tflite import write_model


def script(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> str:
    """A module of this text; its name."""
    (folder / "measured_module.py").write_text(text)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return "measured_module"


def test_memory_is_the_commands_own_peak(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """300 MB, written and given back: more than a test process has."""
    name = script(tmp_path, monkeypatch, "x = b'1' * 300_000_000\nprint(len(x))\ndel x\n")
    measured = run([name])
    assert measured.output == "300000000\n"
    assert 300e6 < measured.peak_bytes < 1000e6


def test_processor_time_is_not_time_asleep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    name = script(tmp_path, monkeypatch, "import time\ntime.sleep(0.7)\n")
    measured = run([name])
    assert measured.wall_s >= 0.7
    assert measured.cpu_s < measured.wall_s - 0.3


def test_processor_time_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    text = "import time\nwhile time.process_time() < 0.5: pass\n"
    assert run([script(tmp_path, monkeypatch, text)]).cpu_s >= 0.5


def test_a_failure_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(CommandError, match="`measured_module` failed with 3"):
        run([script(tmp_path, monkeypatch, "raise SystemExit(3)\n")])


def test_a_model_is_rewritten_and_verified(tmp_path: Path):
    path = tmp_path / "temporal.tflite"
    path.write_bytes(write_model(NETWORKS["temporal"]()))
    case = measure(path, "N = 2", 2, ["--manual", "split=channels"])
    assert case.rewrite.cpu_s > 0 < case.verify.cpu_s
    assert '"passed": true' in case.verify.output
    assert " ops, " in case.extent


def test_models_are_built_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("benchmarks.measure.MODELS", tmp_path)
    path = seeded_mobilenet(0.35, 32)
    first = path.stat().st_mtime_ns
    assert seeded_mobilenet(0.35, 32).stat().st_mtime_ns == first
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_ratios_are_to_the_first_row():
    slow, fast = Measured(9.0, 6.0, 90_000_000, ""), Measured(3.0, 2.0, 45_000_000, "")
    table = markdown("t", [Case("one", "e", fast, slow), Case("two", "e", slow, fast)])
    assert table.splitlines()[-2] == (
        "| one | e | 3.0 | 2.0 | 1.0 | 45 | 1.0 | 9.0 | 6.0 | 1.0 | 90 | 1.0 |"
    )
    assert table.splitlines()[-1] == (
        "| two | e | 9.0 | 6.0 | 3.0 | 90 | 2.0 | 3.0 | 2.0 | 0.3 | 45 | 0.5 |"
    )


def test_the_extent_is_of_all_devices():
    devices = [{"nodes": 700, "file_bytes": 1_000_000}, {"nodes": 400, "file_bytes": 500_000}]
    assert extent({"devices": devices}) == "1,100 ops, 1.5 MB"
