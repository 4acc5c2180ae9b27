# SPDX-License-Identifier: Apache-2.0
"""``python -m tests.random_models``: random networks, for as long as one likes.

Each trial is a number: it draws a network and how to split it (devices, objective, limits,
cluster, or any plan at all), rewrites it, checks it, and compares every tensor with unsplit TFLM.
Trials run in a process of their own, so that a crash of a kernel is counted like any failure.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections import Counter
from collections.abc import Sequence

from tests.random_models.series import outcomes
from tests.random_models.trial import run_trial


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
    with contextlib.suppress(KeyboardInterrupt):  # Ctrl-C ends it early, and still counts
        for outcome in outcomes(chosen.first):
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


if __name__ == "__main__":
    sys.exit(main())
