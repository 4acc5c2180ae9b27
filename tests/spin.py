# SPDX-License-Identifier: Apache-2.0
"""The model checker spin: all runs of a model, within its bounds."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

NEEDS_SPIN = pytest.mark.skipif(
    not shutil.which("spin") or not shutil.which("cc"),
    reason="needs the model checker spin and a C compiler: apt install spin gcc",
)


def first_error(folder: Path, model: str, kind: str, **bounds: int) -> str:
    """What spin's verifier finds first, "" if nothing; kind: SAFETY, or NP for endless runs."""
    (folder / "model.pml").write_text(model)
    defines = [f"-D{name.upper()}={bound}" for name, bound in bounds.items()]
    compiler = ["cc", "-w", "-O2", f"-D{kind}", "-DCOLLAPSE", "-DMEMLIM=1500", "-o", "pan", "pan.c"]
    verifier = ["./pan", *(["-l"] if kind == "NP" else []), "-m300000"]
    for words in (["spin", *defines, "-a", "model.pml"], compiler):
        subprocess.run(words, cwd=folder, check=True, capture_output=True, timeout=60)
    run = subprocess.run(verifier, cwd=folder, capture_output=True, text=True, timeout=300)
    assert "errors: " in run.stdout, run.stdout[-2000:]
    # Neither the bound of the depth nor that of memory may end the search.
    found = re.search(r"^pan:\d+: (.+) \(at depth", run.stdout, re.MULTILINE)
    assert found or ("errors: 0" in run.stdout and "Search not completed" not in run.stdout)
    return found[1] if found else ""
