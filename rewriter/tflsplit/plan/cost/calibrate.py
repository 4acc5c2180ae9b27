# SPDX-License-Identifier: Apache-2.0
"""Cycles per multiply-accumulate from measured runs, for ``[device.cycles_per_mac]``.

A run of a graph takes the sum, over its families, of amount * cycles / clock.  Several runs are
linear equations in the cycles; least squares solves them, with weights 1/us, so that a short run
counts as much as a long one (relative errors).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tflsplit.cluster import Family
from tflsplit.errors import ClusterError
from tflsplit.plan.cost.work import Work


@dataclass(frozen=True)
class Measurement:
    """One run.

    work: what ran, by family (a family may occur several times).
    us: how long it took.
    """

    work: tuple[Work, ...]
    us: float


def calibrate(measurements: Sequence[Measurement], clock_hz: int) -> dict[Family, float]:
    """Cycles per unit of work of every family that occurs.

    Raises ClusterError if the runs do not determine them (fewer independent runs than families,
    no time, or families that always occur in the same proportion), or only with negative cycles.
    """
    names = {work.family for run in measurements for work in run.work if work.amount > 0}
    families = [family for family in Family if family in names]
    if not families or any(run.us <= 0 for run in measurements):
        raise ClusterError("calibration needs runs that took time and did something")
    amounts = np.array(
        [
            [sum(w.amount for w in run.work if w.family is family) / run.us for family in families]
            for run in measurements
        ]
    )
    scales = amounts.max(axis=0)
    ones = np.ones(len(measurements))
    solution, _, rank, _ = np.linalg.lstsq(amounts / scales, ones, rcond=1e-9)
    if rank < len(families):
        raise ClusterError(
            f"{len(measurements)} runs do not tell {', '.join(f.value for f in families)} apart; "
            "measure networks, or single layers, in which they have different shares"
        )
    cycles = solution / scales * clock_hz / 1e6
    for family, each in zip(families, cycles, strict=True):
        if each <= 0:
            raise ClusterError(
                f"the runs contradict each other: {family.value} would take {each:.2f} cycles; "
                "measure it alone"
            )
    return dict(zip(families, map(float, cycles), strict=True))


def scaled(
    measurements: Sequence[Measurement], clock_hz: int, known: Mapping[Family, float]
) -> dict[Family, float]:
    """Known cycles, all times the one factor that explains the runs best.

    For runs that do not tell families apart: with p the predicted over the measured time of each
    run, sum (f p - 1)^2 is least for f = sum p / sum p^2.
    Raises ClusterError without a run that took time and did something.
    """
    done = [run for run in measurements if run.us > 0 and any(work.amount for work in run.work)]
    if not done:
        raise ClusterError("calibration needs runs that took time and did something")
    ratios = [1 + error for error in relative_errors(done, clock_hz, known)]
    factor = sum(ratios) / sum(ratio**2 for ratio in ratios)
    return {family: cycles * factor for family, cycles in known.items()}


def relative_errors(
    measurements: Sequence[Measurement], clock_hz: int, cycles: Mapping[Family, float]
) -> list[float]:
    """(predicted - measured) / measured of every run."""
    return [
        sum(w.amount * cycles[w.family] for w in run.work if w.amount) * 1e6 / clock_hz / run.us - 1
        for run in measurements
    ]


def calibration_toml(cycles: dict[Family, float], source: str) -> str:
    """The numbers as they are pasted below a ``[[device]]`` of cluster.toml."""
    lines = [f"# {line}" for line in source.splitlines()]
    lines += ["[device.cycles_per_mac]"]
    lines += [f"{family.value} = {cycles[family]:.4g}" for family in Family if family in cycles]
    return "\n".join(lines) + "\n"
