# SPDX-License-Identifier: Apache-2.0
"""The corpus of the fuzz harnesses, replayed without a fuzzer, under ASan and UBSan.

``make fuzz`` looks for more (tests/fuzz/run.py).
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.core.mutate import CORE, MUTATIONS
from tests.fuzz.make_corpus import CORPUS, all_seeds
from tests.fuzz.plant import BUGS, LIBRARIES
from tests.fuzz.run import HARNESSES
from tests.native_build import build, needs_32_bits


def replay(program: Path, files: list[Path]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program, *files], capture_output=True, text=True, errors="replace", timeout=300
    )


@pytest.mark.parametrize("bits", [64, 32])
@pytest.mark.parametrize("harness", HARNESSES)
def test_no_input_of_the_corpus_breaks_anything(harness: str, bits: int) -> None:
    flags = []
    if bits == 32:
        needs_32_bits()
        flags = ["-DCMAKE_CXX_FLAGS=-m32"]
    folder = build("fuzz", *flags, folder=f"replay-{bits}")
    files = sorted((CORPUS / harness).iterdir())
    assert files
    run = replay(folder / f"{harness}_fuzz", files)
    assert run.returncode == 0, run.stdout[-200:] + run.stderr[-6000:]
    assert run.stdout.splitlines() == [str(file) for file in files]


def test_the_seeds_are_those_of_the_script() -> None:
    """python -m tests.fuzz.make_corpus"""
    wanted = dict(all_seeds())
    assert {path: path.read_bytes() for path in CORPUS.glob("*/seed-*")} == wanted
    assert all(len(content) <= HARNESSES[path.parent.name] for path, content in wanted.items())


def test_a_replay_that_breaks_something_fails(tmp_path: Path) -> None:
    """An input that is no file is no success, either."""
    program = build("fuzz", folder="replay-64") / "frame_fuzz"
    assert replay(program, [tmp_path / "missing"]).returncode == 2


@pytest.mark.parametrize(("source", "old"), [
    *((CORE / "src" / file, old) for file, old, _ in MUTATIONS.values()),
    *((LIBRARIES / file, old) for _, file, old, _ in BUGS.values()),
])  # fmt: skip
def test_an_error_to_plant_still_has_its_place(source: Path, old: str) -> None:
    """``tests/core/mutate.py`` and ``tests.fuzz.plant`` take minutes for what they show."""
    assert source.read_text().count(old) == 1
