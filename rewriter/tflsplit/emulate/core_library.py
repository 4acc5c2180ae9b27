# SPDX-License-Identifier: Apache-2.0
"""The firmware's link layer as a shared library of this computer, built when it is first needed."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

from tflsplit.errors import ClusterError

LIBRARY_VARIABLE = "TFLSPLIT_CORE_LIBRARY"
"""Environment variable: a libsplit_core.so that was built already."""

_ROOT = Path(__file__).resolve().parents[3]
_FLAGS = ("-std=c++17", "-O2", "-fPIC", "-shared", "-fno-exceptions", "-fno-rtti")


def core_library() -> Path:
    """libsplit_core.so, built from tflm_app/lib/split_core unless it is newer than its sources.

    Raises ClusterError if there are no sources or no compiler, or if they do not compile.
    """
    given = os.environ.get(LIBRARY_VARIABLE)
    if given:
        return Path(given)
    sources = _ROOT / "tflm_app" / "lib" / "split_core"
    if not sources.is_dir():
        raise ClusterError(
            f"the links are built from a checkout of tflsplit, and {sources} is not there; "
            f"run from one, or point {LIBRARY_VARIABLE} at a libsplit_core.so"
        )
    library = _ROOT / "build" / "core-only" / "libsplit_core.so"
    library.parent.mkdir(parents=True, exist_ok=True)
    with (library.parent / "lock").open("w") as lock:  # two programs may come here at once
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _is_current(library, sources):
            _build(library, sources)
    return library


def _is_current(library: Path, sources: Path) -> bool:
    if not library.is_file():
        return False
    newest = max(path.stat().st_mtime for path in sources.rglob("*") if path.is_file())
    return library.stat().st_mtime > newest


def _build(library: Path, sources: Path) -> None:
    compiler = os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        raise ClusterError("no C++ compiler: install g++ (Debian, Ubuntu: apt install g++)")
    files = sorted((sources / "src").glob("*.cc"))
    # One translation unit takes a third of the time.
    unit = "".join(f'#include "{file}"\n' for file in files)
    fresh = library.with_suffix(f".{os.getpid()}")
    result = subprocess.run(
        [*compiler.split(), *_FLAGS, f"-I{sources / 'include'}", "-x", "c++", "-", "-o", fresh],
        input=unit,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        raise ClusterError(f"{compiler} cannot compile {sources}: {result.stderr[-800:]}")
    fresh.replace(library)
