# SPDX-License-Identifier: Apache-2.0
"""``tflsplit compare``: tables, JSON, exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.bundles import bundle_of, plan_of
from tflsplit.cli import main


@pytest.fixture
def folders(tmp_path: Path) -> tuple[str, str]:
    a = bundle_of(tmp_path / "a", "ds_cnn", 2)
    b = bundle_of(tmp_path / "b", "ds_cnn", 2, "rows")
    return str(a), str(b)


def test_table(folders: tuple[str, str], capsys: pytest.CaptureFixture[str]):
    assert main(["compare", *folders]) == 0
    text = capsys.readouterr().out
    before, after = (plan_of(Path(folder))["devices"][0]["arena_bytes"] for folder in folders)
    assert f"{before:,} → {after:,}" in text
    assert "split otherwise" in text


def test_exit_codes(folders: tuple[str, str], capsys: pytest.CaptureFixture[str]):
    """Rows repeat the weights on every device: more of them, and fewer bytes moved."""
    assert main(["compare", *folders, "--fail-on", "weights_bytes+2%"]) == 1
    assert "REGRESSION: max of weights_bytes" in capsys.readouterr().out
    assert main(["compare", *folders[::-1], "--fail-on", "weights_bytes+2%"]) == 0
    assert "nothing got worse" in capsys.readouterr().out
    assert main(["compare", *folders, "--fail-on", "arena"]) == 2
    assert main(["compare", folders[0], "none"]) == 2


def test_json(folders: tuple[str, str], capsys: pytest.CaptureFixture[str]):
    assert main(["compare", *folders, "--json", "--fail-on", "weights_bytes+0"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert not found["passed"]
    assert len(found["regressions"]) == 1
    figures = {(f["key"], f["what"]): f for f in found["figures"]}
    plans = [plan_of(Path(folder)) for folder in folders]
    for rank in range(2):
        figure = figures["macs", f"rank {rank}"]
        assert figure["before"] == plans[0]["devices"][rank]["macs"]
        assert figure["after"] == plans[1]["devices"][rank]["macs"]
        assert figure["change"] == figure["after"] - figure["before"]
