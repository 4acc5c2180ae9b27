# SPDX-License-Identifier: Apache-2.0
"""Builds tests/kernels/tflm_driver.cc for this host, with a tree of TFLM or its wheel."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.kernels.kernel_driver import ROOT, SANITIZERS, WARNINGS, compiler
from tflsplit.emulate.wheel_file import installed_wheel
from tflsplit.emulate.wheel_tree import wheel_tree
from tflsplit.errors import ClusterError

LIBRARIES = ROOT / "tflm_app" / "lib"
DRIVER = ROOT / "tests" / "kernels" / "tflm_driver.cc"
# Without TFLM's own kernels: the driver registers ours only.
PARTS = (
    "tensorflow/lite/micro/*.cc", "tensorflow/lite/micro/arena_allocator/*.cc",
    "tensorflow/lite/micro/memory_planner/*.cc", "tensorflow/lite/micro/tflite_bridge/*.cc",
    "tensorflow/lite/micro/kernels/kernel_util.cc", "tensorflow/lite/core/*/*.cc",
    "tensorflow/lite/kernels/*.cc", "tensorflow/lite/kernels/internal/*.cc",
    "tensorflow/compiler/mlir/lite/*/*.cc", "tensorflow/compiler/mlir/lite/*/*/*.cc",
)  # fmt: skip
LEFT_OUT = ("test_helper", "fake_micro", "mock_micro", "debug_log.cc", "micro_time.cc")
FLAGS = ["-std=gnu++17", "-fno-exceptions", "-fno-rtti", "-DTF_LITE_STATIC_MEMORY"]


def tflm() -> tuple[list[str], list[Path]]:
    """Compiler options for TFLM's headers, and its libraries: a tree's, or else the wheel's."""
    folder = os.environ.get("TFLSPLIT_TFLM_DIR", "")
    if folder:
        return includes(Path(folder)), [tflm_library(Path(folder))]
    try:
        wheel = wheel_tree(*installed_wheel())
    except ClusterError as error:
        pytest.skip(f"needs TFLM's wheel, or its sources in TFLSPLIT_TFLM_DIR: {error}")
    return [f"-isystem{path}" for path in wheel.includes], list(wheel.libraries)


def includes(folder: Path) -> list[str]:
    """Compiler options for the tree's headers."""
    parts = (".", "third_party/flatbuffers/include", "third_party/gemmlowp", "third_party/ruy")
    return [f"-isystem{folder / part}" for part in parts]


def tflm_library(folder: Path) -> Path:
    """TFLM without kernels and sanitizers, built once for a tree (about a minute of work)."""
    sources = sorted(path for part in PARTS for path in folder.glob(part))
    sources = [path for path in sources if not any(name in path.name for name in LEFT_OUT)]
    told = [f"{path} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in sources]
    key = hashlib.sha256("\n".join([compiler(), *FLAGS, *told]).encode()).hexdigest()[:12]
    target = ROOT / "build" / f"tflm-{key}"
    target.mkdir(parents=True, exist_ok=True)
    library = target / "libtflm.a"
    with (target / "lock").open("w") as lock:  # pytest -n 2 comes here twice at once
        fcntl.flock(lock, fcntl.LOCK_EX)
        if library.is_file():
            return library

        def compiled(numbered: tuple[int, Path]) -> str:
            number, source = numbered
            output = target / f"{number}_{source.stem}.o"
            options = [*FLAGS, "-O0", "-w", *includes(folder), "-c", str(source)]
            run([compiler(), *options, "-o", str(output)])
            return str(output)

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            objects = list(pool.map(compiled, enumerate(sources)))
        unfinished = target / "unfinished.a"
        run(["ar", "rcs", str(unfinished), *objects])
        unfinished.rename(library)
    return library


def build_tflm_driver(output: Path) -> None:
    """The driver, our libraries with the sanitizers, and TFLM."""
    headers, libraries = tflm()
    names = ("split_core", "split_device", "split_kernels")
    sources = [path for name in names for path in sorted((LIBRARIES / name / "src").glob("*.cc"))]
    sources = [path for path in sources if path.stem != "split_core_c"]  # the host runtime's
    operators = [LIBRARIES / "split_tflm" / "src" / f"{name}.cc" for name in OPERATORS]
    ours = [f"-I{LIBRARIES / name / 'include'}" for name in (*names, "split_tflm")]
    warnings = [flag for flag in WARNINGS if flag != "-Wconversion"]  # TFLM's types are int
    run(
        [
            *(compiler(), *FLAGS, "-O1", *SANITIZERS, *warnings, *ours, *headers),
            *map(str, (DRIVER, *operators, *sources, *libraries)),
            *("-o", str(output)),
        ]
    )


OPERATORS = (
    "chain", "compute_op", "convolutions", "dense", "fused_block", "op_support", "partial_sum",
    "unweighted",
)  # fmt: skip


def run(command: list[str]) -> None:
    """Runs a command that must succeed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-6000:]
