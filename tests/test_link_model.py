# SPDX-License-Identifier: Apache-2.0
"""The link's states in the model checker spin (tests/model/link.pml): every order of events.

Nothing arrives twice, out of order or not at all; nobody waits for ever; no run goes on for ever
without an end: after losses, and after resets of either side, all frames arrive.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

MODEL = Path(__file__).with_name("model") / "link.pml"
pytestmark = pytest.mark.skipif(
    not shutil.which("spin") or not shutil.which("cc"),
    reason="needs the model checker spin and a C compiler: apt install spin gcc",
)


def check(folder: Path, model: str, losses: int, resets: int, frames: int, kind: str) -> str:
    """What spin's verifier finds first, "" if nothing; kind: SAFETY, or NP for endless runs."""
    (folder / "link.pml").write_text(model)
    bounds = [f"-DLOSSES={losses}", f"-DRESETS={resets}", f"-DFRAMES={frames}"]
    compiler = ["cc", "-w", "-O2", f"-D{kind}", "-DCOLLAPSE", "-DMEMLIM=1500", "-o", "pan", "pan.c"]
    verifier = ["./pan", *(["-l"] if kind == "NP" else []), "-m300000"]
    for words in (["spin", *bounds, "-a", "link.pml"], compiler):
        subprocess.run(words, cwd=folder, check=True, capture_output=True, timeout=60)
    run = subprocess.run(verifier, cwd=folder, capture_output=True, text=True, timeout=300)
    assert "errors: " in run.stdout, run.stdout[-2000:]
    # Neither the bound of the depth nor that of memory may end the search.
    found = re.search(r"^pan:\d+: (.+) \(at depth", run.stdout, re.MULTILINE)
    assert found or ("errors: 0" in run.stdout and "Search not completed" not in run.stdout)
    return found[1] if found else ""


@pytest.mark.parametrize("kind", ["SAFETY", "NP"])
@pytest.mark.parametrize(("losses", "resets", "frames"), [(2, 0, 3), (1, 1, 2)])
def test_all_runs_end_well(tmp_path: Path, losses: int, resets: int, frames: int, kind: str):
    assert check(tmp_path, MODEL.read_text(), losses, resets, frames, kind) == ""


ERRORS = {
    "a POLL's answer tells of no loss": (
        "has_arrived(marked); find_lost()", "skip", (1, 0, 2), "NP", "non-progress cycle",
    ),
    "another boot's session is taken for the old one": (
        "peer_boot != ack ||", "", (0, 1, 3), "NP", "non-progress cycle",
    ),
    "a WELCOME of before the reset counts": (
        "ack == resets &&", "", (0, 1, 2), "SAFETY", "assertion violated",
    ),
    "the boot in a WELCOME is forgotten": (
        "is_open = true; peer_boot = bits", "is_open = true", (0, 1, 2), "NP", "non-progress cycle",
    ),
    "what was kept is taken twice": (
        "bits = kept[expected]", "bits = kept[expected] - 1", (1, 0, 2), "SAFETY",
        "assertion violated",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_the_model_shows_errors(tmp_path: Path, name: str):
    old, new, bounds, kind, wanted = ERRORS[name]
    model = MODEL.read_text()
    assert model.count(old) == 1
    assert check(tmp_path, model.replace(old, new), *bounds, kind).startswith(wanted)
