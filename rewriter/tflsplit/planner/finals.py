# SPDX-License-Identifier: Apache-2.0
"""From ways through the units to whole plans: the last choice, among few.

ways --halos across units or not, other openings--> drafts      judged by predictions
     --the best few-->                              finalists   judged by simulations
     --the best that fits-->                        a plan
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tflsplit.cluster import Cluster
from tflsplit.ops.custom import unchecked
from tflsplit.planner.assembly import Draft, complete, draft
from tflsplit.planner.choices import MANY_DEVICES, Choices
from tflsplit.planner.evaluate import Step
from tflsplit.planner.opening import Found, best_openings
from tflsplit.planner.planned import Planned
from tflsplit.sim import simulate
from tflsplit.split.lower import without_offsets

_CLOSE = 1.06
"""Drafts that are predicted to be further behind the best than this need no simulation."""
_FINALISTS = {"latency": 4, "bytes": 1}
"""So many drafts of one way, the best by prediction, are lowered, and for latency simulated."""
_VERSIONS = {"latency": (True, False), "ram": (False, True), "bytes": (True,)}
"""Halos across units or not (``draft``): fewer bytes for more work and more RAM."""
_OPENING = 0.85
"""Another opening, and halos across units, save less than the rest of it (measured: 0.89)."""
_SURE = 0.95
"""A simulation takes no less than this part of the prediction: a fused block reads less (0.97)."""


class Finals:
    """Makes whole plans for one objective.

    beat: a latency; plans for that objective that cannot be as quick are not looked at further.
    """

    def __init__(
        self, choices: Choices, cluster: Cluster, objective: str, beat: float = float("inf")
    ) -> None:
        self.choices = choices
        self.cluster = cluster
        self.objective = objective
        self.beat = beat if objective == "latency" else float("inf")

    def versions(self, steps: Sequence[Step]) -> list[Draft]:
        """Drafts of the same steps."""
        versions = _VERSIONS[self.objective]
        return [draft(self.choices, self.cluster, steps, across) for across in versions]

    def opened(self, steps: Sequence[Step]) -> Found:
        """Drafts of the same steps but for the first; for latency only."""
        if self.objective != "latency" or not 1 < self.cluster.world_size <= MANY_DEVICES:
            return {}
        return best_openings(self.choices, self.cluster, steps)

    def is_beaten(self, versions: Sequence[Draft]) -> bool:
        """Whether nothing that begins with these can be as quick as what is to be beaten."""
        return _OPENING * min(least_us(self.cluster, each) for each in versions) > self.beat

    def planned(self, versions: Sequence[Draft], opened: Sequence[Draft] = ()) -> Iterator[Planned]:
        """Whole plans, the best first, whether they fit or not.

        The last are those of ``versions`` that are no finalists: they are what the search kept
        within its limits, and may fit where openings do not.
        """
        if self.objective == "ram":
            plans = [complete(self.choices, self.cluster, drafted) for drafted in versions]
            yield from sorted(plans, key=lambda planned: planned.arena_bytes)
            return
        finalists = self._finalists([*versions, *opened])
        rest = [drafted for drafted in versions if drafted not in finalists]
        for drafted in (*self._in_order(finalists), *rest):
            yield complete(self.choices, self.cluster, drafted, self._known_us(drafted))

    def _finalists(self, drafts: Sequence[Draft]) -> list[Draft]:
        close = _CLOSE * quickest_us(drafts)
        finalists: list[Draft] = []
        for drafted in sorted(drafts, key=lambda drafted: drafted.prediction.latency_us):
            is_close = drafted.prediction.latency_us <= close
            if is_close and all(drafted.plan != other.plan for other in finalists):
                finalists.append(drafted)
        return finalists[: _FINALISTS[self.objective]]

    def _in_order(self, finalists: Sequence[Draft]) -> list[Draft]:
        """The quickest first; those behind that cannot be quicker are not simulated."""
        if self.objective != "latency" or (len(finalists) == 1 and self.beat == float("inf")):
            return list(finalists)
        limit_us, times = self.beat, dict[int, float]()
        for number, drafted in enumerate(finalists):
            if least_us(self.cluster, drafted) <= limit_us:
                times[number] = self._simulated_us(drafted)
                limit_us = min(limit_us, times[number])
        order = sorted(range(len(finalists)), key=lambda n: times.get(n, float("inf")))
        return [finalists[number] for number in order]

    def _known_us(self, drafted: Draft) -> float | None:
        return self.choices.simulated_us.get(drafted.plan.splits)

    def _simulated_us(self, drafted: Draft) -> float:
        known = self.choices.simulated_us
        if drafted.plan.splits not in known:
            with unchecked():
                devices = without_offsets(self.choices.graph, drafted.plan, draft=True)
            known[drafted.plan.splits] = simulate(devices, self.cluster).latency_us
        return known[drafted.plan.splits]


def least_us(cluster: Cluster, drafted: Draft) -> float:
    """What a simulation takes at least; it may lack what the host's exchanges cost at all."""
    host_us = 2 * cluster.host_link.step_overhead_us
    return _SURE * drafted.prediction.latency_us - host_us


def quickest_us(drafts: Sequence[Draft]) -> float:
    """The least latency that is predicted for one of them."""
    return min(drafted.prediction.latency_us for drafted in drafts)
