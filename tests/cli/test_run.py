# SPDX-License-Identifier: Apache-2.0
"""``tflsplit run``: outputs, best classes, bytes, engines and processes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.bundles import bundle_of, plan_of, rewrite_plan
from tests.splits import needs_litert, needs_tflm, tiny
from tests.support import run_tflm
from tflsplit.cli import main

pytestmark = needs_tflm


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return bundle_of(tmp_path / "out", "ds_cnn", 2)


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    x = np.random.default_rng(1).integers(-128, 128, (1, 49, 10, 1)).astype(np.int8)
    np.save(tmp_path / "x.npy", x)
    return tmp_path / "x.npy"


def run(*arguments: object) -> int:
    return main(["run", *map(str, arguments)])


def result(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_the_output_is_the_unsplit_models(folder: Path, sample: Path, tmp_path: Path):
    assert run(folder, "--input", sample, "--output", tmp_path / "y.npy") == 0
    (expected,) = run_tflm(tiny("ds_cnn"), [np.load(sample)])
    found = np.load(tmp_path / "y.npy")
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("processes", [[], ["--processes"]], ids=["one process", "processes"])
def test_json(folder: Path, sample: Path, processes: list[str], capsys: pytest.CaptureFixture[str]):
    assert run(folder, "--input", sample, "--json", "--top", 3, *processes) == 0
    found, plan = result(capsys), plan_of(folder)
    assert found["engine"] == "tflm"
    assert found["fingerprint"] == plan["fingerprint"]
    for device, planned in zip(found["devices"], plan["devices"], strict=True):
        for key in ("rank", "arena_bytes", "sent_bytes", "received_bytes"):
            assert device[key] == planned[key]
        assert device["host_arena_bytes"] == planned["host_arena_bytes"] > 0
    (output,) = found["outputs"]
    (expected,) = run_tflm(tiny("ds_cnn"), [np.load(sample)])
    order = np.argsort(-expected[0].astype(int), kind="stable")[:3]
    assert [best["index"] for best in output["top"]] == order.tolist()
    assert [best["stored"] for best in output["top"]] == expected[0][order].tolist()
    assert output["top"][0]["score"] == (int(expected[0][order[0]]) + 128) / 256


@needs_litert
def test_the_other_engine(folder: Path, sample: Path, capsys: pytest.CaptureFixture[str]):
    assert run(folder, "--input", sample, "--engine", "litert", "--json") == 0
    assert result(capsys)["engine"] == "litert"


def test_labels(folder: Path, sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    labels = tmp_path / "labels.txt"
    labels.write_text("\n".join(f"word{i}" for i in range(12)))
    assert run(folder, "--input", sample, "--labels", labels, "--top", 2) == 0
    text = capsys.readouterr().out
    (expected,) = run_tflm(tiny("ds_cnn"), [np.load(sample)])
    assert f"word{int(np.argmax(expected))}" in text
    labels.unlink()
    assert run(folder, "--input", sample, "--labels", labels) == 2


def test_several_inputs_and_outputs(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = bundle_of(tmp_path / "out", "temporal", 3)
    np.save(tmp_path / "a.npy", np.full((1, 8), 5, np.int8))
    np.save(tmp_path / "b.npy", np.full((64, 1, 4), -9, np.int8))
    files = ["--input", tmp_path / "a.npy", "--input", tmp_path / "b.npy"]
    assert run(folder, *files, "--output", tmp_path / "y.npy", "--json") == 0
    assert [output["shape"] for output in result(capsys)["outputs"]] == [[1, 5], [1, 64, 1, 3]]
    graph = tiny("temporal")
    expected = run_tflm(graph, [np.full((1, 8), 5, np.int8), np.full((1, 64, 1, 4), -9, np.int8)])
    for index, array in enumerate(expected):
        np.testing.assert_array_equal(np.load(tmp_path / f"y.{index}.npy"), array)


def test_an_output_that_cannot_be_written(
    folder: Path, sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert run(folder, "--input", sample, "--output", tmp_path / "no" / "y.npy") == 2
    assert "y.npy: No such file or directory" in capsys.readouterr().err


def test_bytes_that_differ_from_the_plan(
    folder: Path, sample: Path, capsys: pytest.CaptureFixture[str]
):
    def edit(document: dict[str, Any]) -> None:
        document["devices"][1]["received_bytes"] += 4

    rewrite_plan(folder, edit)
    assert run(folder, "--input", sample) == 2
    error = capsys.readouterr().err
    assert "rank 1 sent and received" in error
    assert "changed by hand" in error
