# SPDX-License-Identifier: Apache-2.0
"""``tflsplit report``: the file, JSON, errors."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.bundles import bundle_of
from tests.splits import tiny
from tflsplit.cli import main
from tflsplit.report.documents import read_document
from tflsplit.tflite import write_model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return bundle_of(tmp_path / "out", "ds_cnn", 2)


def test_report(folder: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["report", str(folder), "--beside", "1"]) == 0
    assert "everything fits" in capsys.readouterr().out
    page = folder / "report.html"
    assert page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert read_document(page)["world_size"] == 2
    # The folder is still one that every other command takes.
    assert main(["compare", str(folder), str(page), "--fail-on", "each:arena_bytes+0"]) == 0


def test_devices_without_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """As `rewrite` leaves them where fewer are faster."""
    model, folder = tmp_path / "m.tflite", tmp_path / "out"
    model.write_bytes(write_model(tiny("ds_cnn")))
    arguments = ["rewrite", str(model), "-n", "3", "--manual", "shares=1,0,0", "-o", str(folder)]
    assert main(arguments) == 0
    assert main(["report", str(folder), "--beside", "none"]) == 0
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert page.count("The plan gives this device nothing to do.") == 2


def test_json_and_cluster(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    cluster = tmp_path / "cluster.toml"
    cluster.write_text('[[device]]\nboard = "pico"\ncount = 2\narena_limit_bytes = 1024\n')
    page = tmp_path / "pages" / "r.html"
    arguments = ["--cluster", str(cluster), "-o", str(page), "--beside", "none", "--json"]
    assert main(["report", str(folder), *arguments]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["report"] == str(page)
    assert found["size_bytes"] == page.stat().st_size
    assert not found["fits"]
    assert found["latency_us"] > 0
    assert "pico" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--beside", "0"], "--beside '0' is not a list of numbers from 1 to 64"),
        (["--beside", "two"], "--beside 'two' is not a list"),
        (["--cluster", "none.toml"], "none.toml"),
        (["-o", "{folder}/plan.json/report.html", "--beside", "none"], "cannot write"),
    ],
)
def test_errors(
    folder: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
):
    before = sorted(folder.iterdir())
    assert main(["report", str(folder), *[a.format(folder=folder) for a in arguments]]) == 2
    assert message in capsys.readouterr().err
    assert sorted(folder.iterdir()) == before


def test_without_jinja(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    assert main(["report", str(folder)]) == 2
    assert "pip install 'tflsplit[report]'" in capsys.readouterr().err


def test_of_a_mixed_cluster_there_is_no_other_number(folder: Path, tmp_path: Path):
    cluster = tmp_path / "cluster.toml"
    cluster.write_text('[[device]]\nboard = "pico"\n[[device]]\nboard = "teensy41"\n')
    page = tmp_path / "r.html"
    arguments = ["--cluster", str(cluster), "-o", str(page), "--beside", "1"]
    assert main(["report", str(folder), *arguments]) == 0
    assert "no other number of the same" in page.read_text(encoding="utf-8")
