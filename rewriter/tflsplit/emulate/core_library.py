# SPDX-License-Identifier: Apache-2.0
"""The firmware's link layer as a shared library of this computer, built when it is first needed."""

from __future__ import annotations

import os
from pathlib import Path

from tflsplit.emulate.compiler import built_once, compile_cxx, digest_of
from tflsplit.firmware.places import build_cache, device_sources

LIBRARY_VARIABLE = "TFLSPLIT_CORE_LIBRARY"
"""Environment variable: a libsplit_core.so that was built already."""

_NAME = "libsplit_core.so"
_FLAGS = ("-std=c++17", "-O2", "-fPIC", "-shared", "-fno-exceptions", "-fno-rtti")


def core_library() -> Path:
    """libsplit_core.so, built from tflm_app/lib/split_core once for the same sources.

    Raises ClusterError if there are no sources or no compiler, or if they do not compile.
    """
    given = os.environ.get(LIBRARY_VARIABLE)
    if given:
        return Path(given)
    sources = device_sources() / "lib" / "split_core"
    files = [path for path in sorted(sources.rglob("*")) if path.is_file()]
    units = [path for path in files if path.suffix == ".cc"]

    def build(fresh: Path) -> None:
        # One translation unit takes a third of the time.
        unit = "".join(f'#include "{file}"\n' for file in units)
        words = [*_FLAGS, "-I", str(sources / "include"), "-x", "c++", "-"]
        words += ["-o", str(fresh / _NAME)]
        compile_cxx(words, f"the links in {sources}", unit)

    return built_once(build_cache() / "core-only" / digest_of(_FLAGS, files), build) / _NAME
