# SPDX-License-Identifier: Apache-2.0
"""``tflsplit evaluate``: tables, JSON, exit codes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.bundles import bundle_of, replace_value, rewrite_node
from tests.splits import needs_tflm
from tflsplit.cli import main
from tflsplit.ir import DType, Graph

pytestmark = needs_tflm


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return bundle_of(tmp_path / "out", "ds_cnn", 2)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    random = np.random.default_rng(2)
    x = random.integers(-128, 128, (5, 49, 10, 1)).astype(np.int8)
    np.savez(tmp_path / "x.npz", x=x, y=np.array([0, 1, 2, 3, 4]))
    return tmp_path / "x.npz"


def evaluated(*arguments: object) -> int:
    return main(["evaluate", *map(str, arguments)])


def test_table(folder: Path, data: Path, capsys: pytest.CaptureFixture[str]):
    assert evaluated(folder, "--data", data, "--jobs", 1) == 0
    text = capsys.readouterr().out
    assert "5 samples on tflm" in text
    rows = {line.split()[0]: line.split() for line in text.splitlines() if "split" in line}
    assert rows["unsplit"][1:] == rows["split"][3:]
    assert "every output of 5 samples was equal, bit for bit" in text


def test_json_and_limit(folder: Path, data: Path, capsys: pytest.CaptureFixture[str]):
    assert evaluated(folder, "--data", data, "--limit", 2, "--jobs", 2, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["passed"], found["samples"], found["equal"]) == (True, 2, 2)
    assert found["split"] == found["unsplit"]
    assert found["difference"] is None


def test_without_labels(folder: Path, data: Path, capsys: pytest.CaptureFixture[str]):
    np.save(data.with_name("x.npy"), np.load(data)["x"])
    assert evaluated(folder, "--data", data.with_name("x.npy"), "--jobs", 1) == 0
    assert "no labels" in capsys.readouterr().out


def test_a_difference_is_exit_code_1(folder: Path, data: Path, capsys: pytest.CaptureFixture[str]):
    def spoil(graph: Graph) -> None:
        weights = next(v for v in graph.constants() if v.dtype is DType.INT8)
        assert weights.data is not None
        replace_value(graph, weights, replace(weights, data=-weights.data))

    rewrite_node(folder, 0, spoil)
    assert evaluated(folder, "--data", data, "--jobs", 1) == 1
    text = capsys.readouterr().out
    assert "FAILED" in text
    assert "instead of" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "none"], "none: no such file or folder"),
        (["--data", "{data}", "--jobs", "0"], "--jobs must be 1 or more"),
        (["--data", "{data}", "--labels", "none.csv"], "none.csv"),
        (["--data", "{data}", "--label-offset", "8"], "class 12 is none of the output's 12"),
    ],
)
def test_errors(
    folder: Path, data: Path, arguments: list[str], message: str,
    capsys: pytest.CaptureFixture[str],
):  # fmt: skip
    assert evaluated(folder, *[text.format(data=data) for text in arguments]) == 2
    assert message in capsys.readouterr().err
