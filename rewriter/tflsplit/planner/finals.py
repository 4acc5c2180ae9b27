# SPDX-License-Identifier: Apache-2.0
"""From ways through the units to whole plans: the last choice, among few.

ways --halos across units or not, other openings--> drafts      judged by predictions
     --the best few-->                              finalists   judged by simulations
     --the best that fits-->                        a plan
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tflsplit.cluster import Cluster
from tflsplit.lower import without_offsets
from tflsplit.planner.assembly import Draft, complete, draft
from tflsplit.planner.choices import Choices
from tflsplit.planner.evaluate import Step
from tflsplit.planner.opening import Found, Opening, best_openings
from tflsplit.planner.planned import Planned
from tflsplit.planner.shares import SPEED
from tflsplit.planner.teams import MANY_DEVICES
from tflsplit.sim import simulate

_CLOSE = 1.06
"""Drafts that are predicted to be further behind the best than this need no simulation."""
_FINALISTS = {"latency": 6, "ram": 1, "bytes": 1}
"""So many drafts of one way, the best by prediction, are lowered, and for latency simulated."""
_VERSIONS = {"latency": (True, False), "ram": (True,), "bytes": (True,)}
"""Halos across units or not (``draft``): fewer bytes for more work, so that latency tries both."""


class Finals:
    """Makes whole plans for one objective."""

    def __init__(self, choices: Choices, cluster: Cluster, objective: str) -> None:
        self.choices = choices
        self.cluster = cluster
        self.objective = objective

    def versions(self, steps: Sequence[Step]) -> list[Draft]:
        """Drafts of the same steps."""
        versions = _VERSIONS[self.objective]
        return [draft(self.choices, self.cluster, steps, across) for across in versions]

    def opened(
        self, steps: Sequence[Step], team: str = SPEED, seeds: Sequence[Opening] = ()
    ) -> Found:
        """Drafts of the same steps but for the first; for latency only."""
        if self.objective != "latency" or not 1 < self.cluster.world_size <= MANY_DEVICES:
            return {}
        return best_openings(self.choices, self.cluster, steps, team, seeds)

    def planned(self, versions: Sequence[Draft], opened: Found) -> Iterator[Planned]:
        """Whole plans, the best first, whether they fit or not.

        The last are those of ``versions`` that are no finalists: they are what the search kept
        within its limits, and may fit where openings do not.
        """
        finalists = self._finalists([*versions, *opened.values()])
        if len(finalists) > 1:
            finalists.sort(key=self._simulated_us)
        rest = [drafted for drafted in versions if drafted not in finalists]
        for drafted in (*finalists, *rest):
            yield complete(self.choices, self.cluster, drafted)

    def _finalists(self, drafts: Sequence[Draft]) -> list[Draft]:
        close = _CLOSE * quickest_us(drafts)
        finalists: list[Draft] = []
        for drafted in sorted(drafts, key=lambda drafted: drafted.prediction.latency_us):
            is_close = drafted.prediction.latency_us <= close
            if is_close and all(drafted.plan != other.plan for other in finalists):
                finalists.append(drafted)
        return finalists[: _FINALISTS[self.objective]]

    def _simulated_us(self, drafted: Draft) -> float:
        known = self.choices.simulated_us
        if drafted.plan.splits not in known:
            devices = without_offsets(self.choices.graph, drafted.plan, draft=True)
            known[drafted.plan.splits] = simulate(devices, self.cluster).latency_us
        return known[drafted.plan.splits]


def quickest_us(drafts: Sequence[Draft]) -> float:
    """The least latency that is predicted for one of them."""
    return min(drafted.prediction.latency_us for drafted in drafts)
