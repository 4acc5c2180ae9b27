# SPDX-License-Identifier: Apache-2.0
"""Trials one after another, in a process that may die of one.

Not in ``__main__``, which a process that is started anew does not import.
"""

from __future__ import annotations

import multiprocessing
import traceback
from collections.abc import Iterator
from itertools import count
from multiprocessing.connection import Connection

from tests.random_models.trial import Outcome, run_trial, way_of_trial
from tflsplit.interpreters import run_in_this_process

PATIENCE_SECONDS = 120.0
"""After so long without an answer a trial counts as hanging."""


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
                outcome = ours.recv() if ours.poll(PATIENCE_SECONDS) else None
            except EOFError:
                process.join()
                outcome = Outcome(seed, way_of_trial(seed), f"died (code {process.exitcode})")
            yield outcome or Outcome(seed, way_of_trial(seed), "hangs")
            seed += 1
            if outcome is None or outcome.problem.startswith("died"):
                process.kill()
                process.join()
                break


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
