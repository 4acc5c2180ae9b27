# SPDX-License-Identifier: Apache-2.0
"""The soak, in short: every kind of fault once or twice, resets at phases that are enumerated."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from random import Random

import pytest

from benchmarks import soak, soak_faults
from benchmarks.soak_desk import Kit, Outcome, make_kit
from tests.native import needs_cxx, needs_wheel_reader
from tests.splits import tiny
from tflsplit.tflite import write_model

pytestmark = [needs_wheel_reader, needs_cxx]


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Kit:
    folder = tmp_path_factory.mktemp("soak")
    model = folder / "mobilenet.tflite"
    model.write_bytes(write_model(tiny("mobilenet")))
    return make_kit(model, 3, folder)


@pytest.mark.parametrize("name", ["none", "0.0001 of each a byte", "stalls, 1e-4 a byte"])
def test_noise_costs_no_bit(kit: Kit, name: str):
    row = soak.noisy(kit, name, 20, seed=1, until=math.inf)
    assert (row.right, row.inferences) == (20, 20)
    assert row.is_sound
    assert (row.injected > 0) == (name != "none")


def test_a_rank_is_reset_at_every_phase(kit: Kit, monkeypatch: pytest.MonkeyPatch):
    """Each port's traffic in three parts: inputs, SENDs and RECVs, outputs."""
    monkeypatch.setattr(soak_faults, "_PHASES", 3)
    ports = 2 * (3 + 1) - 1  # a ring of three, and the gateway's host port
    phases = itertools.islice(soak_faults.resets(kit, Random(2)), 3 * ports)
    row = soak.injured(kit, "resets", phases, 1000, seed=2, until=math.inf)
    assert (row.injected, row.inferences) == (3 * ports, 6 * ports)
    assert row.is_sound
    assert row.errors  # some of them meet an inference that has begun
    assert set(row.errors) <= {"reset", "silent"}


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("a rank reset between two inferences", set()),
        ("a cable cut and joined", {"cut cable"}),
        ("cables of a rank swapped", {"swapped cables"}),
        ("a rank silent", {"silent"}),
        ("another plan's firmware", {"another plan"}),
        ("the host gone and back", {"host gone"}),
    ],
)
def test_a_fault_is_named_and_healed(kit: Kit, kind: str, told: set[str]):
    injuries = soak_faults.all_injuries(kit, Random(3))[kind]
    row = soak.injured(kit, kind, injuries, 4, seed=3, until=math.inf)
    assert row.is_sound
    assert row.right >= 2
    assert set(row.errors) <= told


def test_a_soak_that_finds_something_says_so():
    row = soak.Row("some")
    row.add(Outcome(0.1, is_right=True))
    assert row.is_sound
    row.add(Outcome(0.1))
    assert (row.wrong, row.is_sound) == (1, False)
    slow = soak.Row("slow")
    slow.add(Outcome(1e3, is_right=True))
    assert not slow.is_sound
    assert soak_faults.Injury("x", (1,), lambda _: Outcome(0), lambda _: None).is_named_by(
        "rank 1 was reset"
    )
    assert not soak_faults.Injury("x", (1,), lambda _: Outcome(0), lambda _: None).is_named_by(
        "rank 12 was reset"
    )


def test_bad_input_is_told(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    assert soak.main([str(tmp_path / "none.tflite"), "--build", str(tmp_path)]) == 2
    assert "none.tflite" in capsys.readouterr().err
