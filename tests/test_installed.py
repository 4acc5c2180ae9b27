# SPDX-License-Identifier: Apache-2.0
"""tflsplit as it is installed from its wheel: away from any checkout, in an empty folder."""

from __future__ import annotations

import importlib.util
import os
import shutil
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
        timeout=1800,
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


def pio(project: Path, *words: str, **environment: str) -> str:
    """What PlatformIO prints about a project; it needs nothing from its registry."""
    core = project.parent / "core"
    run(
        sys.executable, project / "tflm_app/tools/setup_offline.py", "--core-dir", core, folder=core
    )
    settings = {"PLATFORMIO_CORE_DIR": str(core), "PLATFORMIO_SETTING_ENABLE_TELEMETRY": "no"}
    command = [sys.executable, "-m", "platformio", "run", *words]
    return run(*command, folder=project, **settings, **environment)


def needs_platformio() -> None:
    if any(importlib.util.find_spec(name) is None for name in ("platformio", "SCons")):
        pytest.skip("needs PlatformIO: python -m pip install '.[firmware]'")


@pytest.mark.slow
@needs_wheel_reader
@needs_cxx
def test_an_output_folder_is_a_project(tflsplit: Path, tmp_path: Path):
    """Written by the installed package, moved, built by PlatformIO; the same bits as unsplit."""
    needs_platformio()
    (tmp_path / "core").mkdir()
    cache = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    (tmp_path / "model.tflite").write_bytes(write_model(tiny("resnet")))
    words = ("-n", "2", "--manual", "split=rows", "--board", "host", "-o", "first")
    said = run(tflsplit, "rewrite", "model.tflite", *words, folder=tmp_path, **cache)
    assert "firmware: pio run -d first -e node0" in said
    project = (tmp_path / "first").rename(tmp_path / "second")
    assert not [
        p for p in project.rglob("*") if p.is_file() and str(tmp_path).encode() in p.read_bytes()
    ]
    assert "SUCCESS" in pio(project, "-e", "node0", "-e", "node1", **cache)
    # The programs that PlatformIO built, in the place of those that `emulate` builds itself.
    said = run(tflsplit, "emulate", project, "--native", "--runs", "1", folder=tmp_path, **cache)
    assert "the same bits: 2 devices and the unsplit model" in said
    emulated = project / "emulated" / "host"
    for rank in range(2):
        built = project / ".pio" / "build" / f"node{rank}" / "program"
        shutil.copy2(built, emulated / "programs" / f"node{rank}.elf")
    taken = ("--native", "--firmware", str(emulated), "--runs", "2")
    said = run(tflsplit, "emulate", project, *taken, folder=tmp_path, **cache)
    assert "the same bits: 2 devices and the unsplit model" in said


@pytest.mark.slow
def test_an_emulated_boards_firmware_builds_in_an_empty_folder(tflsplit: Path, tmp_path: Path):
    needs_platformio()
    tree = os.environ.get("TFLSPLIT_TFLM_DIR", "")
    if not tree:
        pytest.skip(
            "needs TFLM's sources, which no package of PyPI, Debian or npm brings: a tree of its "
            "create_tflm_tree.py in TFLSPLIT_TFLM_DIR (docs/firmware.md, 'Getting TFLM')"
        )
    if shutil.which("arm-none-eabi-g++") is None:
        pytest.skip("needs a compiler: apt install gcc-arm-none-eabi libnewlib-arm-none-eabi")
    (tmp_path / "core").mkdir()
    (tmp_path / "model.tflite").write_bytes(write_model(tiny("resnet")))
    for_board = ("-n", "1", "--board", "mps2_an500", "-o", "out")
    run(tflsplit, "rewrite", "model.tflite", *for_board, folder=tmp_path)
    assert "SUCCESS" in pio(tmp_path / "out", "-e", "node0", TFLSPLIT_TFLM_DIR=tree)
