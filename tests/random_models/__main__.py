# SPDX-License-Identifier: Apache-2.0
"""``python -m tests.random_models``: random networks, for as long as one likes.

Each trial is a number: it draws a network and how to split it (devices, objective, limits,
cluster, or any plan at all), rewrites it, checks it, and compares every tensor with unsplit TFLM.
Trials run in a process of their own, so that a crash of a kernel is counted like any failure.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import count, islice
from multiprocessing.connection import Connection

from tests.random_models.trial import Outcome, run_trial, way_of_trial
from tflsplit.interpreters.child import run_in_this_process

PATIENCE_SECONDS = 120.0
"""After so long without an answer a trial counts as hanging."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit code says whether any trial failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.random_models", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long (60)")
    parser.add_argument("--first", type=int, default=0, metavar="SEED", help="where to begin (0)")
    parser.add_argument("--seed", type=int, help="run this one here, with its traceback")
    chosen = parser.parse_args(arguments)
    if chosen.seed is not None:
        outcome = run_trial(chosen.seed)
        print(outcome.way, outcome.problem or "the same bits", sep=": ")
        return int(bool(outcome.problem))
    end = time.monotonic() + chosen.seconds
    counts: Counter[str] = Counter()
    for outcome in _outcomes(chosen.first):
        counts["failed" if outcome.problem else "equal" if outcome.fits else "too large"] += 1
        if outcome.problem:
            print(f"--seed {outcome.seed} ({outcome.way}): {outcome.problem}", flush=True)
        if time.monotonic() > end:
            break
    print(
        f"{sum(counts.values())} random networks: {counts['equal']} with the same bits, "
        f"{counts['too large']} that do not fit the devices drawn, {counts['failed']} failures"
    )
    return int(counts["failed"] > 0)


def _outcomes(first: int) -> Iterator[Outcome]:
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
            place = next(islice(reversed(frames), 1))
            problem = f"{type(error).__name__} in {place.name}: {error}"
            outcome = Outcome(seed, way_of_trial(seed), problem)
        answers.send(outcome)


if __name__ == "__main__":
    sys.exit(main())
