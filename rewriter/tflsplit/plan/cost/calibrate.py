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
from numpy.typing import NDArray

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


_GROUPS = {
    Family.MADE: Family.POINTWISE,
    Family.READ: Family.POINTWISE,
    Family.GATHER: Family.CONV,
    Family.PLANE_ROW: Family.DEPTHWISE,
    Family.PLANE_INPUT: Family.DEPTHWISE,
    Family.RUN: Family.DEPTHWISE,
    Family.APART: Family.POINTWISE,
    Family.REQUANTIZE: Family.OTHER,
    Family.ADD: Family.OTHER,
    Family.SUM: Family.OTHER,
    Family.TFLM_CONV: Family.TFLM,
    Family.TFLM_DEPTHWISE: Family.TFLM,
    Family.TFLM_MADE: Family.TFLM,
    Family.TFLM_READ: Family.TFLM,
    Family.TFLM_GATHER: Family.TFLM,
    Family.TFLM_WEIGHT: Family.TFLM,
}
"""Whose factor parts beside multiply-accumulates take: whole networks do not tell them apart."""


def calibrate(
    measurements: Sequence[Measurement], clock_hz: int, known: Mapping[Family, float] | None = None
) -> dict[Family, float]:
    """Cycles per unit of work of every family that occurs.

    known: cycles of some board.  Then one factor is found for each kind of operator (``_GROUPS``),
    and within a kind the board's proportions stay; without, every family is found for itself.

    Raises ClusterError if the runs do not determine them (fewer independent runs than kinds, no
    time, or kinds that always occur in the same proportion), or only with negative cycles.
    """
    names = {work.family for run in measurements for work in run.work if work.amount > 0}
    families = [family for family in Family if family in names]
    if not families or any(run.us <= 0 for run in measurements):
        raise ClusterError("calibration needs runs that took time and did something")
    unit = known or dict.fromkeys(families, 1.0)
    group_of = {family: _GROUPS.get(family, family) if known else family for family in families}
    groups = [group for group in Family if group in group_of.values()]
    amounts = np.array(
        [
            [
                sum(w.amount * unit[w.family] for w in run.work if group_of.get(w.family) is group)
                / run.us
                for group in groups
            ]
            for run in measurements
        ]
    )
    factors = _solution(amounts, groups) * clock_hz / 1e6
    for group, each in zip(groups, factors, strict=True):
        if each <= 0:
            raise ClusterError(
                f"the runs contradict each other: {group.value} would take "
                f"{each * unit[group]:.2f} cycles; measure it alone"
            )
    found = dict(zip(groups, map(float, factors), strict=True))
    return {family: found[group_of[family]] * unit[family] for family in families}


def _solution(amounts: NDArray[np.float64], groups: Sequence[Family]) -> NDArray[np.float64]:
    """x with amounts @ x nearest to 1; ClusterError if there are several."""
    scales = np.maximum(amounts.max(axis=0), np.finfo(float).tiny)
    ones = np.ones(len(amounts))
    solution, _, rank, _ = np.linalg.lstsq(amounts / scales, ones, rcond=1e-9)
    if rank < len(groups):
        raise ClusterError(
            f"{len(amounts)} runs do not tell {', '.join(g.value for g in groups)} apart; "
            "measure networks, or single layers, in which they have different shares"
        )
    return np.asarray(solution / scales)


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
