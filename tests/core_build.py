# SPDX-License-Identifier: Apache-2.0
"""Builds split_core for the host once, for all tests that need it."""

import fcntl
import functools
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@functools.cache
def build_core() -> Path:
    """Folder with `split_core_tests` (sanitized) and `libsplit_core.so`, built from tests/core."""
    for tool in ("cmake", "g++"):
        if shutil.which(tool) is None:
            pytest.skip(f"needs {tool}: apt install cmake g++")
    folder = ROOT / "build" / "core"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:  # pytest -n 2 comes here twice at once
        fcntl.flock(lock, fcntl.LOCK_EX)
        commands: tuple[list[str | Path], ...] = (
            ["cmake", "-S", ROOT / "tests" / "core", "-B", folder, "-DCMAKE_CXX_COMPILER=g++"],
            ["cmake", "--build", folder, "-j", "2"],
        )
        for command in commands:
            run = subprocess.run(command, capture_output=True, text=True, check=False)
            assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-6000:]
    return folder
