# SPDX-License-Identifier: Apache-2.0
"""What boards of PlatformIO's registry get: arenas for that TFLM's kernels, and its bits."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.memory.op_list import CASES
from tflsplit.cli import main
from tflsplit.firmware import FirmwareOptions, board_named
from tflsplit.firmware.arenas import kernels_of, required_arena_bytes
from tflsplit.firmware.registry_bits import registry_warnings
from tflsplit.tflite import write_model


def options(**changes: Any) -> FirmwareOptions:
    return FirmwareOptions(**{"tflm_dir": None, **changes})


@pytest.mark.parametrize(
    ("board", "kernels"),
    [
        ("teensy41", ("registry",)),
        ("nucleo_h743zi", ("registry",)),
        ("nano33ble", ("registry",)),
        ("pico", ("registry_plain",)),
        ("esp32s3", ("registry_plain",)),
        ("mps2_an500", ("reference", "cmsis_nn")),
        ("mps2_an505", ("reference", "cmsis_nn")),
        ("mps3_an547", ("reference", "cmsis_nn_mve")),
        ("rp2040", ("reference",)),
    ],
)
def test_kernels_of_boards_without_a_tree(board: str, kernels: tuple[str, ...]):
    assert kernels_of(board_named(board), options()) == kernels


def test_a_tree_and_an_option_come_first(tmp_path: Path):
    teensy = board_named("teensy41")
    assert kernels_of(teensy, options(tflm_dir=tmp_path)) == ("reference",)
    assert kernels_of(teensy, options(kernels="cmsis_nn")) == ("cmsis_nn",)
    vectors = board_named("mps3_an547")
    assert kernels_of(vectors, options(kernels="cmsis_nn")) == ("cmsis_nn_mve",)
    assert kernels_of(vectors, options(kernels="reference")) == ("reference",)


@pytest.mark.parametrize(
    ("board", "kernels"),
    [
        ("rp2040", ("reference", "cmsis_nn")),
        ("host", ("reference", "cmsis_nn")),
        ("stm32f405", ("cmsis_nn",)),
    ],
)
def test_a_tree_with_cmsis_nn_gives_it_to_every_board(
    tmp_path: Path, board: str, kernels: tuple[str, ...]
):
    header = tmp_path / "third_party" / "cmsis_nn" / "Include" / "arm_nnfunctions.h"
    header.parent.mkdir(parents=True)
    header.touch()
    assert kernels_of(board_named(board), options(tflm_dir=tmp_path)) == kernels


def test_scratch_that_only_its_kernels_ask_for_has_room(tmp_path: Path):
    """Its CONV_2D keeps columns also where there is no DSP extension."""
    case, pico = CASES["CONV_2D"](), board_named("pico")
    of_tree = required_arena_bytes(case, pico, options(tflm_dir=tmp_path))
    assert required_arena_bytes(case, pico, options()) > of_tree


def test_kernels_with_other_bits_are_named_by_rank(tmp_path: Path):
    names = ("MEAN", "ADD", "SUM", "MEAN float")
    devices: Any = [SimpleNamespace(graph=CASES[name]()) for name in names]
    (text,) = registry_warnings(devices, ["teensy41"] * 4, None)
    assert "than today's (MEAN on rank 0; SUM on rank 2): a board may give other values" in text
    assert "--tflm-dir names" in text
    assert registry_warnings(devices, ["teensy41"] * 4, tmp_path) == []
    assert registry_warnings(devices, ["rp2040"] * 4, None) == []
    assert registry_warnings(devices[1:2], ["pico"], None) == []
    assert registry_warnings(devices[:1], ["no board"], None) == []


def test_plan_and_rewrite_say_it_before_anything_is_built(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """Of a MEAN only where its own kernel was not wanted."""
    monkeypatch.delenv("TFLSPLIT_TFLM_DIR", raising=False)
    for name in ("SUM", "MEAN"):
        (tmp_path / name).write_bytes(write_model(CASES[name]()))
    to = ["-n", "1", "--force", "-o", str(tmp_path / "out")]
    for command, told in [
        (["plan", str(tmp_path / "SUM"), "-n", "1"], "SUM"),
        (["rewrite", str(tmp_path / "SUM"), *to], "SUM"),
        (["rewrite", str(tmp_path / "MEAN"), *to, "--manual", "stock-kernels"], "MEAN"),
        (["rewrite", str(tmp_path / "MEAN"), *to], ""),
        (["rewrite", str(tmp_path / "SUM"), *to, "--tflm-dir", str(tmp_path)], ""),
    ]:
        main(command)
        said = " ".join(capsys.readouterr().err.split())
        assert (f"round otherwise than today's ({told} on rank 0)" in said) is bool(told), said
