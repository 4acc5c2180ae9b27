# SPDX-License-Identifier: Apache-2.0
"""From ways through the units to whole plans: the last choice, among few.

ways --halos across units or not, other openings--> drafts      judged by predictions
     --the best few-->                              finalists   judged by simulations
     --the best that fits-->                        a plan
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tflsplit.cluster import Cluster
from tflsplit.plan.spec import NodeSplit
from tflsplit.planner.cost.evaluate import Step
from tflsplit.planner.searching.assembly import Draft, complete, draft
from tflsplit.planner.searching.choices import MANY_DEVICES, Choices
from tflsplit.planner.searching.opening import best_openings, least_opened_us
from tflsplit.planner.whole.planned import Planned
from tflsplit.sim import simulate
from tflsplit.split.devices import DeviceGraph
from tflsplit.split.lower import unpacked
from tflsplit.wire.checking import unchecked

_CLOSE = 1.06
"""Drafts that are predicted to be further behind the best than this need no simulation."""
_FINALISTS = {"latency": 4, "bytes": 1}
"""So many drafts of one way, the best by prediction, are lowered, and for latency simulated."""
_VERSIONS = {"latency": (True, False), "ram": (False, True), "bytes": (True,)}
"""Halos across units or not (``draft``): fewer bytes for more work and more RAM."""
_OPENING = 0.8
"""Another opening, and halos across units, save less than the rest of it (measured: 0.808, a
MobileNetV2 of 160x160 on four devices); where ``least_opened_us`` says more, that counts."""
_SKETCHED = 0.9
"""All options take less than a few by no more than the rest of it (measured: 0.94)."""
_SURE = 0.89
"""A simulation takes no less than this part of the prediction: a fused block reads less, and not
all wait for each other (measured: from 0.90)."""
_MOST_SURE, _ALIKE = 0.95, 0.93
"""The same where others of the same network were simulated: of the least part that these took,
no less than ``_ALIKE``, and never more than ``_MOST_SURE``."""


Completed = dict[tuple[NodeSplit, ...], Planned]


class Finals:
    """Makes whole plans for one objective.

    beat: a latency, or an arena in bytes; plans for that objective that cannot be as good are not
        looked at further.
    completed: whole plans of the same cluster by their splits; those for RAM are added.
    are_beaten: whether the last finalists turned out to be slower than that.
    """

    def __init__(
        self,
        choices: Choices,
        cluster: Cluster,
        objective: str,
        beat: float = float("inf"),
        completed: Completed | None = None,
    ) -> None:
        self.choices = choices
        self.cluster = cluster
        self.objective = objective
        self.beat = beat if objective == "latency" else float("inf")
        self._most_bytes = beat if objective == "ram" else float("inf")
        self._completed: Completed = {} if completed is None else completed
        self.are_beaten = False
        self._unpacked: dict[tuple[NodeSplit, ...], Sequence[DeviceGraph]] = {}

    def versions(self, steps: Sequence[Step]) -> list[Draft]:
        """Drafts of the same steps."""
        overlap = self.objective != "ram"
        return [
            draft(self.choices, self.cluster, steps, across, overlap=overlap)
            for across in _VERSIONS[self.objective]
        ]

    def opened(self, steps: Sequence[Step], versions: Sequence[Draft]) -> list[Draft]:
        """Drafts of the same steps but for the first; for latency only.

        versions: their drafts; openings that cannot be quick enough are not tried.
        """
        if self.objective != "latency" or not 1 < self.cluster.world_size <= MANY_DEVICES:
            return []
        least = [least_opened_us(self.choices, self.cluster, drafted) for drafted in versions]
        hopeless = {
            count for count in least[0] if self._sure * min(of[count] for of in least) > self.beat
        }
        return list(best_openings(self.choices, self.cluster, steps, hopeless).values())

    def is_beaten(self, versions: Sequence[Draft], sketched: bool = False) -> bool:
        """Whether nothing that begins with these can be as quick as what is to be beaten.

        sketched: nor can what another search finds, which has more to choose from.
        """
        part = _SKETCHED if sketched else 1.0
        return bool(versions) and all(
            part * self._least_opened_us(each) > self.beat for each in versions
        )

    def planned(self, versions: Sequence[Draft], opened: Sequence[Draft] = ()) -> Iterator[Planned]:
        """Whole plans, the best first, whether they fit or not; none if all ``are_beaten``.

        The last are those of ``versions`` that are no finalists: they are what the search kept
        within its limits, and may fit where openings do not.
        """
        if self.objective == "ram":
            different = {drafted.plan.splits: drafted for drafted in reversed(versions)}
            yield from self._by_arena(
                [self._smallest(each) for each in reversed(different.values())]
            )
            return
        finalists = self._finalists([*versions, *opened])
        rest = [drafted for drafted in versions if drafted not in finalists]
        ordered = self._in_order(finalists)
        if self.are_beaten:
            return
        for drafted in (*ordered, *rest):
            known_us, made = self._known_us(drafted), self._unpacked.get(drafted.plan.splits, ())
            yield complete(self.choices, self.cluster, drafted, known_us, made)

    def _by_arena(self, plans: Sequence[Planned]) -> Iterator[Planned]:
        """The smallest first; whoever loses against it is lowered no further until asked for."""
        smallest, most = None, self._most_bytes
        for planned in plans:
            if not planned.is_above(most):
                smallest, most = planned, planned.arena_bytes - 1
        if smallest is not None:
            yield smallest
        rest = [planned for planned in plans if planned is not smallest]
        within = (planned for planned in rest if not planned.is_above(self._most_bytes))
        yield from sorted(within, key=lambda planned: planned.arena_bytes)
        yield from (planned for planned in rest if planned.is_above(self._most_bytes))

    def is_above(self, planned: Planned) -> bool:
        """For RAM: whether a plan needs more than what is to be beaten.

        Not asked where flash is scarce: what lacks flash leads to another plan then.
        """
        return not self.choices.pooling and planned.is_above(self._most_bytes)

    def _finalists(self, drafts: Sequence[Draft]) -> list[Draft]:
        close = _CLOSE * quickest_us(drafts)
        finalists: list[Draft] = []
        for drafted in sorted(drafts, key=lambda drafted: drafted.prediction.latency_us):
            is_close = drafted.prediction.latency_us <= close
            if is_close and all(drafted.plan != other.plan for other in finalists):
                finalists.append(drafted)
        return finalists[: _FINALISTS[self.objective]]

    def _in_order(self, finalists: Sequence[Draft]) -> list[Draft]:
        """The quickest first; those behind that cannot be quicker are not simulated.

        Those that are say how far predictions are off here.
        """
        if self.objective != "latency" or (len(finalists) == 1 and self.beat == float("inf")):
            return list(finalists)
        limit_us, times = self.beat, dict[int, float]()
        for number, drafted in enumerate(finalists):
            if self._least_us(drafted) <= limit_us:
                times[number] = self._simulated_us(drafted)
                limit_us = min(limit_us, times[number])
        self.are_beaten = self.beat < min(times.values(), default=float("inf"))
        order = sorted(range(len(finalists)), key=lambda n: times.get(n, float("inf")))
        return [finalists[number] for number in order]

    def _smallest(self, drafted: Draft) -> Planned:
        """The whole plan; several limits on the head may lead to the same."""
        known, splits = self._completed, drafted.plan.splits
        if splits not in known:
            known[splits] = complete(self.choices, self.cluster, drafted)
        return known[splits]

    def _known_us(self, drafted: Draft) -> float | None:
        return self.choices.simulated_us.get(drafted.plan.splits)

    def _simulated_us(self, drafted: Draft) -> float:
        known = self.choices.simulated_us
        if drafted.plan.splits not in known:
            with unchecked():
                devices = unpacked(self.choices.graph, drafted.plan)
                known[drafted.plan.splits] = simulate(devices, self.cluster).latency_us
            self._unpacked[drafted.plan.splits] = devices
        took_us = known[drafted.plan.splits]
        self.choices.ratios.append(took_us / drafted.prediction.latency_us)
        return took_us

    def _least_opened_us(self, drafted: Draft) -> float:
        """What a simulation takes at least of all that begins otherwise than a draft."""
        whole = drafted.prediction.latency_us
        share = _OPENING
        if share * self._least_us(drafted) <= self.beat:
            least = least_opened_us(self.choices, self.cluster, drafted).values()
            share = max(share, min([whole, *least]) / whole)
        return share * self._least_us(drafted)

    def _least_us(self, drafted: Draft) -> float:
        return least_us(self.cluster, drafted, self._sure)

    @property
    def _sure(self) -> float:
        ratios = self.choices.ratios
        return min(_MOST_SURE, _ALIKE * min(ratios)) if ratios else _SURE


def least_us(cluster: Cluster, drafted: Draft, sure: float = _SURE) -> float:
    """What a simulation takes at least; it may lack what the host's exchanges cost at all."""
    host_us = 2 * cluster.host_link.step_overhead_us
    return sure * drafted.prediction.latency_us - host_us


def quickest_us(drafts: Sequence[Draft]) -> float:
    """The least latency that is predicted for one of them."""
    return min(drafted.prediction.latency_us for drafted in drafts)
