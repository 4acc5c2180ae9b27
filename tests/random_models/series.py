# SPDX-License-Identifier: Apache-2.0
"""Trials one after another, in a process that may die of one.

Not in ``__main__``, which a process that is started anew does not import.
"""

from __future__ import annotations

import multiprocessing
import os
import traceback
from collections.abc import Iterator
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path

from tests.random_models.trial import Outcome, run_trial, way_of_trial
from tflsplit.interpreters import run_in_this_process

PATIENCE_SECONDS = 120.0
"""A trial that took so long counts as hanging: of its own CPU's time, where that is known."""
_LEAST_SHARE = 0.005
"""Of a CPU: who gets less than that waits for something, and not for its turn."""


def outcomes(first: int) -> Iterator[Outcome]:
    """The outcome of every trial from ``first`` on; a crash costs a process, no more."""
    context = multiprocessing.get_context("spawn")
    seed = first
    while True:
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(seed, theirs), daemon=True)
        process.start()
        theirs.close()
        while True:
            try:
                outcome = ours.recv() if _answers(ours, process.pid) else None
            except EOFError:
                process.join()
                outcome = Outcome(seed, way_of_trial(seed), f"died (code {process.exitcode})")
            yield outcome or Outcome(seed, way_of_trial(seed), "hangs")
            seed += 1
            if outcome is None or outcome.problem.startswith("died"):
                process.kill()
                process.join()
                break


def _answers(connection: Connection, pid: int | None) -> bool:
    """Whether a trial answers while one has patience with it."""
    begun, waited = _cpu_seconds(pid), PATIENCE_SECONDS
    while not connection.poll(PATIENCE_SECONDS):
        used = _cpu_seconds(pid) - begun
        if not _LEAST_SHARE * waited < used < PATIENCE_SECONDS:
            return False
        waited += PATIENCE_SECONDS
    return True


def _cpu_seconds(pid: int | None) -> float:
    """What a process has computed so far; 0 where nobody can tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _serve(first: int, answers: Connection) -> None:
    run_in_this_process()
    for seed in count(first):
        try:
            outcome = run_trial(seed)
        except Exception as error:
            frames = traceback.extract_tb(error.__traceback__)
            problem = f"{type(error).__name__} in {frames[-1].name}: {error}"
            outcome = Outcome(seed, way_of_trial(seed), problem)
        answers.send(outcome)
