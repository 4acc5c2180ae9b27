# SPDX-License-Identifier: Apache-2.0
"""Recorded runs: what is written is read again, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tflsplit.bundle.runs import RUNS, read_runs, write_run
from tflsplit.errors import PlanError

FIGURES = {"inferences": 2, "seconds": [0.5, 0.7], "devices": [{"rank": 0}], "wires": []}


def test_written_runs_are_read_in_order(tmp_path: Path):
    write_run(tmp_path, "emulate", "f1", FIGURES, same_bits=True)
    write_run(tmp_path, "cluster", "f1", {})
    runs, left_out = read_runs(tmp_path, "f1")
    assert not left_out
    assert [run["kind"] for run in runs] == ["emulate", "cluster"]
    assert runs[0]["same_bits"] is True
    assert runs[1]["same_bits"] is None
    assert {key: runs[0][key] for key in FIGURES} == FIGURES
    assert runs[0]["name"].endswith("-emulate")
    assert len(list((tmp_path / RUNS).iterdir())) == 2


def test_no_runs(tmp_path: Path):
    assert read_runs(tmp_path, "f1") == ([], [])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fingerprint": "f2"}, "of another plan"),
        ({"version": 9}, "of version 9"),
        ({"format": "other"}, "no recorded run"),
        ({"devices": 3}, "devices: 3 is not a list"),
        ({"wires": [1]}, "wires[0]: 1 is not an object"),
        ({"seconds": [[]]}, "seconds[0]: a list is not a number"),
        ({"inferences": "2"}, "inferences: '2' is not a whole number"),
        ({"devices": [{"rank": 0, "graph_us": "1"}]}, "devices[0].graph_us: '1' is not a number"),
    ],
)
def test_what_does_not_belong_is_left_out(tmp_path: Path, change: dict[str, object], message: str):
    path = write_run(tmp_path, "run", "f1", FIGURES)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    runs, left_out = read_runs(tmp_path, "f1")
    assert not runs
    assert message in left_out[0]


def test_what_is_not_json_is_left_out(tmp_path: Path):
    (tmp_path / RUNS).mkdir()
    (tmp_path / RUNS / "x.json").write_text("{")
    (tmp_path / RUNS / "y.json").write_text("[]")
    runs, left_out = read_runs(tmp_path, "f1")
    assert not runs
    assert len(left_out) == 2


def test_a_folder_that_is_not_there(tmp_path: Path):
    with pytest.raises(PlanError, match="cannot record the run"):
        write_run(tmp_path / "none", "run", "f1", {})
