# SPDX-License-Identifier: Apache-2.0
"""Labels of one state, kept as arrays: thousands are compared in every step of the search.

A label has a row of numbers, all of which are better small::

    value | fullest tail | weights of rank 0 ... n-1 | weights that may go to any rank

and loses against a row that is nowhere larger.  Where flash is not scarce, weights do not count:
what is left is the staircase of a value for a tail, a few labels instead of more than a hundred.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tflsplit.planner.cost.evaluate import Step

Array = NDArray[np.float64]

MOST_LABELS = 128
"""A front that grows longer is thinned; only this makes the search inexact."""

FLASH_BUCKETS = 48
"""A thinned front has labels for so many fillings of the fullest flash."""


@dataclass(frozen=True)
class Front:
    """Labels, one per row.

    values: [labels], of the objective so far; tails: [labels, ranks], so far.
    weights: [labels, ranks + 1], so far; the last column is the pool.
    steps, parents: [labels], the last step of each (an index into ``choices``), and the row in the
        front ``befores[step]`` that it came from.
    """

    values: Array
    tails: Array
    weights: Array
    steps: NDArray[np.int64]
    parents: NDArray[np.int64]
    choices: tuple[Step, ...] = ()
    befores: tuple[Front, ...] = ()

    @classmethod
    def start(cls, world_size: int) -> Front:
        """The one label of a way that has no step yet."""
        none = np.full(1, -1)
        weights = np.zeros((1, world_size + 1))
        return cls(np.zeros(1), np.zeros((1, world_size)), weights, none, none)

    def __len__(self) -> int:
        return len(self.values)

    def way(self, row: int) -> list[Step]:
        """The steps that led to a label, first to last."""
        steps: list[Step] = []
        front, at = self, row
        while front.choices:
            which = int(front.steps[at])
            steps.append(front.choices[which])
            front, at = front.befores[which], int(front.parents[at])
        return steps[::-1]

    def rows(self, keep: NDArray[np.int64]) -> Front:
        """Some of the labels."""
        return Front(
            self.values[keep],
            self.tails[keep],
            self.weights[keep],
            self.steps[keep],
            self.parents[keep],
            self.choices,
            self.befores,
        )


Arrival = tuple[Front, Step, float]
"""A front, a step that all of its labels take, and what that adds to the objective."""


def arrived(
    arrivals: Sequence[Arrival],
    weights_limits: Sequence[float],
    needed_bytes: float = 0,
    is_scarce: bool = True,
) -> Front:
    """All labels that come to one state and keep within the flash, without those that lose.

    needed_bytes: of the flash of all together, what is still to come.
    is_scarce: whether a way may need more flash than there is, so that one with fewer weights is
        kept for that alone.
    """
    fronts = [front for front, _, _ in arrivals]
    steps = [step for _, step, _ in arrivals]
    both = Front(
        np.concatenate([front.values + added for front, _, added in arrivals]),
        np.concatenate([f.tails + step.cost.tail_bytes for f, step, _ in arrivals]),
        np.concatenate([f.weights + np.array(_weights_of(step)) for f, step, _ in arrivals]),
        np.repeat(np.arange(len(steps)), [len(front) for front in fronts]),
        np.concatenate([np.arange(len(front)) for front in fronts]),
        tuple(steps),
        tuple(fronts),
    )
    limits = np.array(weights_limits, np.float64)
    all_weights = both.weights.sum(axis=1) + needed_bytes
    fits = (_filling(both, limits) <= 1) & (all_weights <= limits.sum())
    both = both.rows(np.flatnonzero(fits))
    best = best_rows(both) if is_scarce else best_stairs(both)
    return thinned(best, limits)


def _filling(front: Front, limits: Array) -> Array:
    """How full the fullest flash is, and that of all together: at most 1 if the weights fit."""
    fixed = front.weights[:, :-1]
    used = np.column_stack([fixed, front.weights.sum(axis=1)])
    rooms = np.append(limits, limits.sum())
    empty = np.where(used > 0, np.inf, 0.0)
    filling: Array = np.divide(used, rooms, out=empty, where=rooms > 0).max(axis=1)
    return filling


def _weights_of(step: Step) -> tuple[float, ...]:
    """By rank what must lie there, then what may lie anywhere."""
    return *step.fixed_bytes, step.pool_bytes


_BATCH = 32
"""So many labels are compared with all others at once."""


def best_rows(front: Front) -> Front:
    """The labels that no other one beats; of equal ones the first."""
    if len(front) < 2:
        return front
    columns = _different([front.values, front.tails.max(axis=1), *front.weights.T])
    scales = np.maximum(columns.max(axis=1, initial=0), 1)
    left = np.argsort((columns / scales[:, None]).sum(axis=0), kind="stable")
    columns = columns[:, left]
    kept: list[NDArray[np.int64]] = []
    while len(left):  # who has a smaller sum is beaten by none of those behind
        first = columns[:, :_BATCH]
        unbeaten = ~np.triu(_beaten(first, first), 1).any(axis=0)
        first = first[:, unbeaten]
        kept.append(left[:_BATCH][unbeaten])
        others = np.flatnonzero(~_beaten(first, columns[:, _BATCH:]).any(axis=0)) + _BATCH
        left, columns = left[others], columns[:, others]
    return front.rows(np.concatenate([np.empty(0, np.int64), *kept]))


def best_stairs(front: Front) -> Front:
    """The labels that no other one beats in value and tail; of equal ones that of fewest weights.

    ::

        value | a .              kept: a, b and c; whoever is above and right of one loses
              |    b . .
              |       .  c .
              +------------- fullest tail
    """
    tails = front.tails.max(axis=1)
    order = np.lexsort((front.weights.sum(axis=1), front.values, tails))
    values = front.values[order]
    before = np.minimum.accumulate(np.concatenate([[np.inf], values[:-1]]))
    return front.rows(order[values < before])


def _different(columns: Sequence[Array]) -> Array:
    """The columns as rows; of equal ones one: devices that are alike need not be compared twice."""
    return np.array(list({column.tobytes(): column for column in columns}.values()))


def _beaten(some: Array, others: Array) -> NDArray[np.bool_]:
    """[some, others]: whether one is nowhere larger; column by column, which is quick in NumPy."""
    beaten = np.ones((some.shape[1], others.shape[1]), np.bool_)
    for mine, theirs in zip(some, others, strict=True):
        beaten &= mine[:, None] <= theirs[None, :]
    return beaten


def thinned(front: Front, weights_limits: Array) -> Front:
    """The best value and the least tail of each bucket of flash, from empty to full."""
    if len(front) <= MOST_LABELS:
        return front
    filling = _filling(front, weights_limits)
    buckets = (filling * FLASH_BUCKETS).astype(np.int64)
    tails = front.tails.max(axis=1)
    kept: dict[int, None] = {}
    for bucket in np.unique(buckets):
        rows = np.flatnonzero(buckets == bucket)
        kept[int(rows[front.values[rows].argmin()])] = None
        kept[int(rows[tails[rows].argmin()])] = None
    return front.rows(np.array(list(kept), np.int64))
