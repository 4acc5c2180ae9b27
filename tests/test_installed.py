# SPDX-License-Identifier: Apache-2.0
"""tflsplit as it is installed from its wheel: away from any checkout, in an empty folder."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.native import needs_cxx, needs_wheel_reader
from tests.splits import tiny
from tflsplit.tflite import write_model

ROOT = Path(__file__).resolve().parents[1]


def run(*words: str | Path, folder: Path, **environment: str) -> str:
    """What a command prints; it must end with exit code 0."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("TFLSPLIT_")}
    kept.pop("PYTHONPATH", None)
    done = subprocess.run(
        [str(word) for word in words],
        cwd=folder,
        env={**kept, "COLUMNS": "200", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def tflsplit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command in an environment of its own, which borrows the requirements of this one."""
    folder = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    run(*pip, "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", folder, ROOT, folder=folder)
    (wheel,) = folder.glob("tflsplit-*.whl")
    python = folder / "venv" / "bin" / "python"
    run(sys.executable, "-m", "venv", "--without-pip", folder / "venv", folder=folder)
    run(*pip, "--python", python, "install", "-q", "--no-deps", wheel, folder=folder)
    query = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = Path(run(python, "-c", query, folder=folder).strip())
    # A folder named in a .pth file is searched; the .pth files in it, the checkout's too, are not.
    (packages / "requirements.pth").write_text(sysconfig.get_path("purelib") + "\n")
    where = run(python, "-c", "import tflsplit; print(tflsplit.__file__)", folder=folder)
    assert Path(where.strip()).is_relative_to(packages)
    return python.with_name("tflsplit")


@pytest.mark.slow
@needs_wheel_reader
@needs_cxx
@pytest.mark.parametrize("how", ["--native", "--core-only"])
def test_the_firmware_runs_in_an_empty_folder(tflsplit: Path, tmp_path: Path, how: str):
    cache = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    (tmp_path / "model.tflite").write_bytes(write_model(tiny("resnet")))
    by_hand = ("-n", "2", "--manual", "split=rows")  # a search would take one device
    run(tflsplit, "rewrite", "model.tflite", *by_hand, "-o", "out", folder=tmp_path, **cache)
    said = run(tflsplit, "emulate", "out", how, "--runs", "2", folder=tmp_path, **cache)
    assert "the same bits: 2 devices and the unsplit model" in said
    assert {path.name for path in tmp_path.iterdir()} == {"cache", "model.tflite", "out"}
    assert list((tmp_path / "cache" / "tflsplit").iterdir()), "not built here, but in a checkout"
