# SPDX-License-Identifier: Apache-2.0
"""Fuzzes the libraries of tflm_app/lib that read a wire or a model: each harness for some seconds.

    make fuzz FUZZ_SECONDS=60            all of them, two at a time
    python -m tests.fuzz.run device --seconds 3600

Needs clang with libFuzzer and the sanitizers, and CMake. What is found grows in build/fuzz/corpus
from run to run. Exit code 1 if an input broke something: it is kept, with the command that repeats
it.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.native_build import BuildError, cmake

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BUILD = ROOT / "build" / "fuzz"

# Longest input in bytes: what a harness can use, and no more.
HARNESSES = {
    "frame": 4096,
    "control": 512,
    "options": 1024,
    "kernels": 512,
    "device": 300,
    "survey": 1024,
    "image": 1024,
    "ethernet": 1200,
}

INPUT_SECONDS = 60
MEMORY_MB = 2048
KEPT = re.compile(r"Test unit written to (\S+)")


@dataclass(frozen=True)
class Outcome:
    """What a harness came to: libFuzzer's last figures, and the input that ended it."""

    harness: str
    runs: int
    edges: int
    inputs: int
    broken_by: Path | None
    log: str

    def row(self) -> str:
        """A line of the table."""
        end = "nothing" if self.broken_by is None else self.broken_by.name
        return f"{self.harness:10}{self.runs:>13,}{self.edges:>8,}{self.inputs:>8,}  {end}"


def fuzz(
    harness: str, seconds: int, build: Path = BUILD, corpus: Path = HERE / "corpus", seed: int = 0
) -> Outcome:
    """Run one harness of ``build``, beginning with ``corpus``; seed 0: another way each time."""
    grown = build / "corpus" / harness
    grown.mkdir(parents=True, exist_ok=True)
    command = [
        build / f"{harness}_fuzz", grown, corpus / harness,
        f"-max_total_time={seconds}", f"-max_len={HARNESSES[harness]}", f"-seed={seed}",
        f"-timeout={INPUT_SECONDS}", f"-report_slow_units={INPUT_SECONDS}",
        f"-rss_limit_mb={MEMORY_MB}", "-print_final_stats=1",
        f"-artifact_prefix={build}/{harness}-",
    ]  # fmt: skip
    run = subprocess.run(list(map(str, command)), capture_output=True, text=True, errors="replace")
    kept = KEPT.search(run.stderr)
    if run.returncode != 0 and kept is None:
        raise SystemExit(f"{harness} did not run:\n{run.stderr[-4000:]}")
    return Outcome(
        harness,
        last(r"stat::number_of_executed_units: +(\d+)", run.stderr),
        last(r"cov: (\d+)", run.stderr),
        last(r"corp: (\d+)", run.stderr),
        None if kept is None else Path(kept[1]),
        run.stderr,
    )


def last(pattern: str, text: str) -> int:
    """The last number that libFuzzer printed; 0 if there is none."""
    found = re.findall(pattern, text)
    return int(found[-1]) if found else 0


def explain(outcome: Outcome) -> None:
    """The sanitizer's report, and what to do with the input."""
    assert outcome.broken_by is not None
    path = outcome.broken_by.relative_to(ROOT)
    lines = outcome.log.splitlines()
    telling = [
        i for i, line in enumerate(lines) if re.search("does not hold|ERROR|runtime err", line)
    ]
    start = telling[0] if telling else max(0, len(lines) - 40)
    print("\n".join(lines[start : start + 30]))
    print(f"\n{outcome.harness}: broken by {path}; repeat it with")
    print(f"  build/fuzz/{outcome.harness}_fuzz {path}")
    print("and, once mended, keep it for the tests:")
    print(f"  cp {path} tests/fuzz/corpus/{outcome.harness}/found-WHAT\n")


def main() -> int:
    """Build, run, report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("harness", nargs="*", choices=[*HARNESSES, []], help="default: all")
    parser.add_argument("--seconds", type=int, default=60, help="for each harness (%(default)s)")
    parser.add_argument("--jobs", type=int, default=2, help="harnesses at a time (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="0: another each time (%(default)s)")
    options = parser.parse_args()
    for tool, package in (("clang++", "clang libclang-rt-dev"), ("cmake", "cmake")):
        if shutil.which(tool) is None:
            parser.error(f"needs {tool}: apt install {package}")
    try:
        cmake(HERE, BUILD, "-DFUZZ=ON", compiler="clang++")
    except BuildError as error:
        parser.error(f"could not build (libFuzzer: apt install libclang-rt-dev):\n{error}")
    with ThreadPoolExecutor(options.jobs) as pool:
        names = options.harness or list(HARNESSES)
        one = partial(fuzz, seconds=options.seconds, seed=options.seed)
        outcomes = list(pool.map(one, names))
    print(f"{'harness':10}{'runs':>13}{'edges':>8}{'inputs':>8}  broken by")
    for outcome in outcomes:
        print(outcome.row())
    broken = [outcome for outcome in outcomes if outcome.broken_by is not None]
    for outcome in broken:
        explain(outcome)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
