# SPDX-License-Identifier: Apache-2.0
"""Line coverage of the libraries that talk to a wire, by their C++ tests and the fuzz corpus.

    make coverage

Exit code 1 below the least that is asked for, in any of them. Needs g++, CMake and gcovr.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

from tests.fuzz.make_corpus import CORPUS
from tests.fuzz.run import HARNESSES
from tests.native_build import ROOT, cmake

BUILD = ROOT / "build" / "coverage"
LIBRARIES = ("split_core", "split_device", "split_deploy")
FLAGS = "-DCMAKE_CXX_FLAGS=--coverage"


def run_everything() -> None:
    """Builds and runs; the counters lie beside the objects."""
    cmake(ROOT / "tests" / "core", BUILD / "core", FLAGS, "-DSPLIT_CORE_SANITIZE=OFF")
    cmake(ROOT / "tests" / "device", BUILD / "device", FLAGS, "-DSANITIZE=OFF")
    cmake(ROOT / "tests" / "deploy", BUILD / "deploy", FLAGS, "-DSANITIZE=OFF")
    cmake(ROOT / "tests" / "fuzz", BUILD / "fuzz", FLAGS, "-DSANITIZE=OFF")
    for old in BUILD.rglob("*.gcda"):
        old.unlink()
    commands: list[list[Path]] = [
        [BUILD / "core" / "split_core_tests"],
        [BUILD / "device" / "split_device_tests"],
        [BUILD / "deploy" / "split_deploy_tests"],
    ]
    for harness in HARNESSES:
        files = sorted((CORPUS / harness).iterdir())
        commands.append([BUILD / "fuzz" / f"{harness}_fuzz", *files])
    for command in commands:
        run = subprocess.run(command, capture_output=True, text=True, errors="replace")
        if run.returncode != 0:
            raise SystemExit(f"{command[0].name} failed:\n{run.stdout[-2000:]}{run.stderr[-4000:]}")


def measure() -> dict[str, tuple[int, int]]:
    """File -> lines that ran, lines."""
    command = [sys.executable, "-m", "gcovr", "--root", str(ROOT), "--json-summary", "-"]
    for library in LIBRARIES:
        command += ["--filter", f"{ROOT}/tflm_app/lib/{library}/"]
    command += ["--merge-mode-functions=separate", "--gcov-ignore-parse-errors=all", str(BUILD)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return {
        entry["filename"]: (entry["line_covered"], entry["line_total"])
        for entry in json.loads(run.stdout)["files"]
    }


def percent(counts: list[tuple[int, int]]) -> float:
    """Of all lines."""
    return 100 * sum(ran for ran, _ in counts) / max(1, sum(lines for _, lines in counts))


def main() -> int:
    """Run, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--least", type=float, default=90.0, help="percent (default: %(default)s)")
    options = parser.parse_args()
    for tool in ("g++", "cmake"):
        if shutil.which(tool) is None:
            parser.error(f"needs {tool}: apt install g++ cmake")
    run_everything()
    files = measure()
    too_little = False
    for library in LIBRARIES:
        inside = {name: counts for name, counts in files.items() if f"/{library}/" in name}
        for name, counts in sorted(inside.items()):
            print(f"{name:62}{counts[0]:>5} of {counts[1]:>4} lines {percent([counts]):6.1f} %")
        total = percent(list(inside.values()))
        print(f"{library:62}{'':>20} {total:6.1f} %\n")
        too_little = too_little or total < options.least
    if too_little:
        print(f"less than {options.least} % of the lines of a library ran", file=sys.stderr)
    return 1 if too_little else 0


if __name__ == "__main__":
    sys.exit(main())
