# SPDX-License-Identifier: Apache-2.0
"""Emulated boards from one program: two plans over their wires, a death, a return."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.from_blank import Story
from benchmarks.survive_desk import desk
from tests.splits import tiny
from tflsplit.serving import ServeOptions
from tflsplit.tflite import write_model

DEVICES, LOST = 4, 2
PATIENT = ServeOptions(patience_seconds=5.0, look_seconds=0.5, infer_seconds=120.0, objective="ram")


@pytest.mark.parametrize("board", ["mps2_an500", "stm32f405"])
def test_from_blank_boards_to_a_death_in_an_inference_and_back(
    board: str, platformio: Any, tflm_tree: Path, arm_compiler: None, qemu: None, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):  # fmt: skip
    monkeypatch.setenv("PLATFORMIO_CORE_DIR", str(platformio.folder / "core"))
    models = []
    for name in ("ds_cnn", "resnet"):
        models.append(tmp_path / f"{name}.tflite")
        models[-1].write_bytes(write_model(tiny(name)))
    story = Story(models[0], models[1], LOST, tmp_path / "plans", PATIENT, runs=1)
    with desk(tmp_path, DEVICES, board) as boards:
        steps = list(story.tell(boards))
        assert boards.said("lost") == [f"board C ({board} 6368697032) does not answer any more"]
    outcomes = [step.outcome for step in steps]
    assert outcomes[:4] == ["all", "right", "right", "right, 4 boards"]
    assert outcomes[4] == outcomes[5] != "right, 4 boards"
    assert outcomes[6:] == ["right, 4 boards"] * 2
