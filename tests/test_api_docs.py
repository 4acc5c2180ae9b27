# SPDX-License-Identifier: Apache-2.0
"""docs/api.md: its example runs, and `make docs` makes a page of every public module."""

from __future__ import annotations

import importlib.util
import pkgutil
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tflsplit
from tests.splits import needs_tflm, tiny
from tflsplit.tflite import write_model

ROOT = Path(__file__).resolve().parents[1]
COMMAND = re.compile(r"^\t\$\(BIN\)/pdoc (.*)$", re.MULTILINE)
EXAMPLE = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
LEFT_OUT = {"__main__", "cli"}  # the command line: its reference is --help


def pdoc_arguments(folder: Path) -> list[str]:
    """What the Makefile gives to pdoc, but for the output folder."""
    found = COMMAND.search((ROOT / "Makefile").read_text())
    assert found is not None, "the Makefile calls pdoc no longer"
    return shlex.split(found[1].replace("build/api", str(folder)))


@pytest.mark.skipif(
    importlib.util.find_spec("pdoc") is None, reason="needs pdoc: pip install '.[docs]'"
)
def test_make_docs_makes_a_page_of_every_module(tmp_path: Path):
    result = subprocess.run(
        [sys.executable, "-m", "pdoc", *pdoc_arguments(tmp_path)],
        cwd=ROOT / "rewriter",
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "Warn" not in result.stderr, "an annotation or docstring that pdoc cannot read"
    modules = {module.name for module in pkgutil.iter_modules(tflsplit.__path__)} - LEFT_OUT
    pages = {path.stem for path in (tmp_path / "tflsplit").glob("*.html")}
    assert pages == modules
    page = tmp_path / "tflsplit" / "rewriting" / "rewrite.html"
    assert "divide a model as wished" in page.read_text().lower()


@needs_tflm
def test_the_example_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "model.tflite").write_bytes(write_model(tiny("mobilenet")))
    monkeypatch.chdir(tmp_path)
    facade, packages = EXAMPLE.findall((ROOT / "docs" / "api.md").read_text())
    (shape,) = (value.shape for value in tiny("mobilenet").inputs)
    exec(compile(facade, "docs/api.md", "exec"), {"x": np.zeros(shape, np.int8)})
    assert (tmp_path / "report.html").is_file()
    assert (tmp_path / "build" / "four" / "plan.json").is_file()
    capsys.readouterr()
    exec(compile(packages, "docs/api.md", "exec"), {})
    assert 1 < capsys.readouterr().out.count(" MACs") <= 4
