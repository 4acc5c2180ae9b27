# SPDX-License-Identifier: Apache-2.0
"""Where there are few ways through a model, all are carried through to whole plans.

ways --a bound of each--> drafts, lowest bound first --until none can be better--> plans that fit

A whole plan takes long where a unit has hundreds of operators, so a way is drafted, and a draft
completed, only where it could still be the best.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

from tflsplit.cluster import Cluster
from tflsplit.planner.cost.evaluate import Step, arena_of
from tflsplit.planner.searching.assembly import Draft, complete, draft, placed
from tflsplit.planner.searching.choices import Choices
from tflsplit.planner.searching.finals import least_us
from tflsplit.planner.whole.planned import Planned

_NEAR = 1.25
"""Ways whose units need so many times the least arena are not the best as a whole either."""
_LARGE_NODES = 100
"""Of networks with more operators, ``_FINISHED`` ways of the least arena are carried through."""
_FINISHED = 3


class FewWays:
    """All ways through the units of a model on a cluster."""

    def __init__(self, choices: Choices, cluster: Cluster, ways: Sequence[list[Step]]) -> None:
        self.choices = choices
        self.cluster = cluster
        self.ways = ways

    def plans(self, objective: str, beat: float) -> Iterator[Planned]:
        """Plans that fit; those left out are not better than one of them, or than ``beat``."""
        return self._smallest(beat) if objective == "ram" else self._least(objective, beat)

    @cached_property
    def _drafts(self) -> list[Draft]:
        choices, cluster = self.choices, self.cluster
        return [draft(choices, cluster, placed(choices, cluster, steps)) for steps in self.ways]

    def _smallest(self, beat: float) -> Iterator[Planned]:
        """What units need is less than what the whole does, where halos stay as they are."""
        about = [arena_of(drafted.steps) for drafted in self._drafts]
        order = sorted(range(len(about)), key=about.__getitem__)
        is_large = len(self.choices.graph.nodes) > _LARGE_NODES
        for number in order[: _FINISHED if is_large else None]:
            if about[number] > min(beat, _NEAR * about[order[0]]):
                return
            planned = complete(self.choices, self.cluster, self._drafts[number])
            if not planned.is_above(beat) and planned.fits(self.cluster):
                yield planned
                beat = planned.arena_bytes

    def _least(self, objective: str, beat: float) -> Iterator[Planned]:
        def least(drafted: Draft) -> float:
            wire_bytes = sum(drafted.prediction.bytes_per_link.values())
            return least_us(self.cluster, drafted) if objective == "latency" else wire_bytes

        for drafted in sorted(self._drafts, key=least):
            if least(drafted) > beat:
                return
            planned = complete(self.choices, self.cluster, drafted)
            if planned.fits(self.cluster):
                yield planned
                beat = min(beat, planned.value(objective))
