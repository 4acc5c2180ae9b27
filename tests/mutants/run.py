# SPDX-License-Identifier: Apache-2.0
"""Mutants in processes of their own, with a limit of time."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

Outcome = dict[str, str]

FINDINGS = ("traceback", "hang", "killed", "differs")
SHOWN = (*FINDINGS, "died")


class _Worker:
    """A process of ``worker.py``; a new one where the last hung or died."""

    def __init__(self, seed: int, names: Sequence[str], seconds: float) -> None:
        self._arguments = [sys.executable, "-m", "tests.mutants.worker", str(seed), *names]
        self._seconds = seconds
        self._process: subprocess.Popen[str] | None = None

    def outcome(self, number: int) -> Outcome:
        process = self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{number}\n")
        process.stdin.flush()
        if not select.select([process.stdout], [], [], self._seconds)[0]:
            self.end()
            return self._lost(number, "hang", f"no answer in {self._seconds:.0f} s")
        line = process.stdout.readline()
        if not line:
            code = process.wait()
            self.end()
            return self._lost(number, "killed", f"the process ended with code {code}")
        return {"number": str(number), **json.loads(line)}

    def _lost(self, number: int, fate: str, text: str) -> Outcome:
        return {"number": str(number), "kind": "?", "fate": fate, "text": text}

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None:
            path = os.pathsep.join(entry or os.curdir for entry in sys.path)
            self._process = subprocess.Popen(
                self._arguments,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"},
            )
        return self._process

    def end(self) -> None:
        """End the process and its children."""
        if self._process is not None:
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


def run(
    numbers: Iterable[int], seed: int, names: Sequence[str], jobs: int, seconds: float
) -> Iterator[Outcome]:
    """The outcome of every mutant, in order."""
    workers = [_Worker(seed, names, seconds) for _ in range(jobs)]
    free: SimpleQueue[_Worker] = SimpleQueue()
    for worker in workers:
        free.put(worker)

    def one(number: int) -> Outcome:
        worker = free.get()
        try:
            return worker.outcome(number)
        finally:
            free.put(worker)

    try:
        with ThreadPoolExecutor(jobs) as pool:
            yield from pool.map(one, numbers)
    finally:
        for worker in workers:
            worker.end()
