# SPDX-License-Identifier: Apache-2.0
"""The examples do what they say: cluster files, wiring pictures, the notebook."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest

from docs.make_wiring import boards, picture
from tests.splits import needs_tflm, tiny
from tflsplit.cluster import read_cluster
from tflsplit.cluster.banks import without_chip
from tflsplit.firmware import BOARDS
from tflsplit.tflite import write_model

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOK = ROOT / "examples" / "split.ipynb"
REAL = sorted(board.name for board in BOARDS.values() if not board.is_emulated)


@pytest.mark.parametrize("name", REAL)
def test_every_board_has_a_cluster_at_its_own_rate(name: str):
    cluster = read_cluster(ROOT / "examples" / "clusters" / f"{name}.toml")
    assert {device.board for device in cluster.devices} == {name}
    assert cluster.link.bit_rate == BOARDS[name].baud


def test_the_pictures_show_the_pins_that_the_firmware_uses():
    assert sorted(pins.board for pins in boards()) == sorted({without_chip(name) for name in REAL})
    text = " ".join((ROOT / "docs" / "wiring.md").read_text().split())
    for pins in boards():
        file = ROOT / "docs" / f"wiring_{pins.board}.svg"
        assert file.read_text() == picture(pins), "run python -m docs.make_wiring"
        assert f"TX {pins.tx1} of one board to RX" in text
        assert f"({file.name})" in text
        rate = f"{(BOARDS[pins.board].baud or 0) // 1_000_000} Mbaud"
        assert pins.rate == rate


def cells(kind: str) -> list[str]:
    notebook = json.loads(NOTEBOOK.read_text())
    assert notebook["nbformat"] == 4
    return ["".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == kind]


def shown(source: str, names: dict[str, Any]) -> Any:
    """Run a cell as Jupyter does: what its last line is worth, if it is an expression."""
    module = ast.parse(source)
    last = module.body.pop() if isinstance(module.body[-1], ast.Expr) else None
    exec(compile(module, "cell", "exec"), names)
    if last is None:
        return None
    return eval(compile(ast.Expression(last.value), "cell", "eval"), names)  # type: ignore[attr-defined]


@needs_tflm
def test_the_notebook_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    pytest.importorskip("jinja2", reason="needs Jinja2: pip install '.[report]'")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.tflite").write_bytes(write_model(tiny("mobilenet")))
    names: dict[str, Any] = {}
    results = [shown(source, names) for source in cells("code")]
    pages = [result._repr_html_() for result in results if hasattr(result, "_repr_html_")]
    assert len(pages) == 4, "the split model, its verification, its simulation, the saved one"
    assert "the same bits" in pages[1]
    assert re.search(r"one board: +[\d.]+ KiB", capsys.readouterr().out)
    assert (tmp_path / "build" / "four" / "platformio.ini").is_file()
    assert all("outputs" not in cell or not cell["outputs"] for cell in
               json.loads(NOTEBOOK.read_text())["cells"]), "committed without outputs"  # fmt: skip
