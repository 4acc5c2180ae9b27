# SPDX-License-Identifier: Apache-2.0
"""The best plan for a model on a cluster: search, and the check of the whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice

from tflsplit.cluster import Cluster
from tflsplit.errors import ClusterError
from tflsplit.ir import Graph, Value
from tflsplit.plan.cost import predict
from tflsplit.plan.policy import choose_plan
from tflsplit.plan.wishes import Wishes
from tflsplit.planner.assembly import assemble, placed
from tflsplit.planner.choices import Choices
from tflsplit.planner.evaluate import Step
from tflsplit.planner.finals import Finals, quickest_us
from tflsplit.planner.heads import best_heads
from tflsplit.planner.opening import Opening, seeds_of
from tflsplit.planner.options import Layout, Option
from tflsplit.planner.planned import Planned, finish
from tflsplit.planner.search import Expand, Label, Limits, search, unlimited
from tflsplit.planner.shares import SPEED
from tflsplit.planner.shortfall import smallest_cluster, why_not
from tflsplit.planner.slack import Slack
from tflsplit.planner.teams import MANY_DEVICES, Menu, any_of, team_menu, teams_of

OBJECTIVES = ("latency", "ram", "bytes")


class Planner:
    """Searches plans for one model on one cluster.

    choices: what units can do, shared by all searches; of a cluster that differs from ``cluster``
        in what devices have room for only.
    """

    def __init__(self, graph: Graph, cluster: Cluster, choices: Choices | None = None) -> None:
        self.graph = graph
        self.cluster = cluster
        self.choices = choices or Choices(graph, cluster)
        self._searched: dict[tuple[str, tuple[float, ...], Menu, Slack], list[Label]] = {}

    def best(self, objective: str) -> Planned:
        """The best plan that fits; ClusterError, saying what is missing, if none does."""
        found = self.find(objective)
        if found is None:
            raise ClusterError(self._why_not())
        return found

    def find(self, objective: str) -> Planned | None:
        """``best``, or None where nothing fits: what is missing takes further searches to say."""
        searched = list(self.candidates(objective))
        every = [*searched, *self._by_policy(objective, searched)]
        if len(every) == 1:
            return every[0]  # not worth a simulation
        return min(every, key=lambda planned: planned.value(objective), default=None)

    def _rooms(self) -> list[float]:
        return [float(self.cluster.arena_room_bytes(r)) for r in range(self.cluster.world_size)]

    def _why_not(self) -> str:
        enough = smallest_cluster(self.cluster, self._would_do)
        advice = (
            f"{enough} such devices would do"
            if enough
            else "use more devices, or devices with more RAM or flash"
        )

        def find(cluster: Cluster) -> Planned | None:
            return Planner(self.graph, cluster).find("ram")

        steps = self.choices.all_steps()
        return f"{why_not(self.cluster, self.choices.units, steps, find)}; {advice}"

    def _would_do(self, cluster: Cluster) -> bool:
        return any(True for _ in Planner(self.graph, cluster).candidates("latency"))

    def _by_policy(self, objective: str, searched: Sequence[Planned]) -> Iterator[Planned]:
        """The plan of the simple policy, so that a search is never slower than none.

        Left out if it is hopeless: simulating gathers among many devices takes minutes.
        """
        if objective != "latency" or self.cluster.world_size == 1:
            return
        wishes = Wishes(self.cluster.world_size, shares=self.choices.vectors[SPEED], fuse=True)
        plan = choose_plan(self.graph, wishes)
        predicted = predict(self.graph, plan, self.cluster)
        best = min((p.prediction.latency_us for p in searched), default=float("inf"))
        if predicted.latency_us <= _HOPELESS * best:
            planned = finish(self.graph, plan, self.cluster, prediction=predicted)
            if planned.fits(self.cluster):
                yield planned

    def candidates(self, objective: str) -> Iterator[Planned]:
        """Plans that fit, the best among them.

        Where there are few ways, all are carried through, which makes the best exact; otherwise
        the search decides by the sum of what units cost.  Options that save flash at the price of
        time are tried for latency only if need be.
        """
        ways = self.choices.all_ways(_ENUMERABLE)
        if ways is not None:
            finished = (assemble(self.choices, self.cluster, steps) for steps in ways)
            yield from (planned for planned in finished if planned.fits(self.cluster))
            return
        rooms = self._rooms()
        if objective == "ram":
            for head in self._best_heads(rooms):
                limits = [min(room, head) for room in rooms]
                yield from self._fitting(objective, limits, self._everything)
            return
        found = list(self._unlimited(objective))
        if not found:
            found = list(self._usual(objective, rooms))
        yield from found
        if self.choices.saving and not (found and objective == "latency"):
            yield from self._fitting(objective, rooms, self._everything)

    def _usual(self, objective: str, rooms: Sequence[float]) -> Iterator[Planned]:
        """The best plans that fit, of options that do not save flash at the price of time.

        For latency on many devices, those that save RAM at that price are tried only if need be:
        each option of each unit takes time in proportion to the devices.
        """
        menus = [self.choices.options]
        if objective == "latency":
            menus = [self.choices.all_quick]
            if self.cluster.world_size > MANY_DEVICES:
                menus.insert(0, self.choices.quick)
        for options in menus:
            found = list(self._fitting(objective, rooms, any_of(options)))
            yield from found
            if found:
                return

    def _unlimited(self, objective: str) -> Iterator[Planned]:
        """The best plans where RAM and flash are not looked at, if they fit all the same."""
        if self.choices.pooling:
            return
        is_latency = objective == "latency"
        finals = Finals(self.choices, self.cluster, objective)
        ways = {}
        for team in teams_of(self.choices) if is_latency else [SPEED]:
            menu = team_menu(self.choices, team) if is_latency else any_of(self.choices.options)
            steps = unlimited(self.choices.units, self._expand(menu), _VALUES[objective])
            if steps:
                ways[team] = steps, finals.versions(steps)
        first = min((quickest_us(drafts) for _, drafts in ways.values()), default=0.0)
        seeds: list[Opening] = []
        for team, (steps, drafts) in ways.items():
            if quickest_us(drafts) <= _FAR * first:
                opened = finals.opened(steps, team, seeds)
                seeds = seeds_of(opened)
                plans = finals.planned(drafts, opened)
                yield from islice((p for p in plans if p.fits(self.cluster)), 1)

    def _best_heads(self, rooms: Sequence[float]) -> list[float]:
        """Limits on the head, the one with the smallest head and tail together first."""

        def total(head: float) -> float | None:
            limits = [min(room, head) for room in rooms]
            labels, _ = self._first_labels("ram", limits, self._everything)
            return head + _ram_of(min(labels, key=_ram_of)) if labels else None

        return best_heads(total, self.choices.heads, max(rooms), _FINISHED)

    def _fitting(self, objective: str, heads: Sequence[float], menu: Menu) -> Iterator[Planned]:
        """The best plan under limits on the head, or the next that fits as a whole, if any does.

        Where the best does not, what it lacks is left free in the next search; if that finds no way
        any more, the next best of the search before is tried, which may lack nothing.
        """
        key = _ram_of if objective == "ram" else _value_of
        finals = Finals(self.choices, self.cluster, objective)
        labels, slack = self._first_labels(objective, heads, menu)
        for _ in range(_TRIES):
            if not labels:
                return
            best = min(labels, key=key)
            steps = placed(self.choices, self.cluster, best.steps(), slack.flash_bytes)
            tried: list[Planned] = []
            for planned in finals.planned(finals.versions(steps), finals.opened(steps)):
                if planned.fits(self.cluster):
                    yield planned
                    return
                tried.append(planned)
            closest = min(tried, key=lambda planned: planned.short_bytes(self.cluster))
            more = slack.after(closest, self.cluster)
            limits = [head - more.arena_bytes for head in heads]
            next_labels = self._labels(objective, limits, menu, more)
            slack = more if next_labels else slack
            labels = next_labels or [label for label in labels if label is not best]

    def _expand(self, menu: Menu, slack: Slack | None = None) -> Expand:
        def allowed(index: int, given: Mapping[Value, Layout]) -> list[Step]:
            steps = self.choices.expand(index, given, menu(index))
            return [step for step in steps if slack is None or slack.allows(step)]

        return allowed

    def _first_labels(
        self, objective: str, heads: Sequence[float], menu: Menu
    ) -> tuple[list[Label], Slack]:
        """All ways that leave a little free, or where there are none, all that fit at all."""
        slack = Slack.usual(self.cluster)
        labels = self._labels(objective, heads, menu, slack)
        if not labels:
            slack = Slack.none(self.cluster)
            labels = self._labels(objective, heads, menu, slack)
        return labels, slack

    def _labels(
        self, objective: str, heads: Sequence[float], menu: Menu, slack: Slack
    ) -> list[Label]:
        """All ways that no other beats; each search is made once."""
        key = objective, tuple(heads), menu, slack
        if key not in self._searched:
            weights = tuple(
                float(self.cluster.weights_room_bytes(rank) - slack.flash_bytes)
                for rank in range(self.cluster.world_size)
            )
            self._searched[key] = search(
                self.choices.units,
                self._expand(menu, slack),
                _VALUES[objective],
                Limits(tuple(heads), weights),
            )
        return self._searched[key]

    def _everything(self, _index: int) -> Sequence[Option]:
        """Whatever can be done to a unit."""
        return self.choices.everything


_TRIES = 8
_HOPELESS = 1.3
"""Predictions are within a tenth of simulations, mostly; so much slower is not a matter of that."""
_FAR = 1.1
"""A team whose plan without an opening is so much slower than another's is given up."""
_FINISHED = 3
"""How many of the best limits on the head are carried through to a whole plan."""
_ENUMERABLE = 64
"""So many ways through a model are all carried through to whole plans."""


def _value_of(label: Label) -> float:
    return label.value


def _ram_of(label: Label) -> float:
    """The tail, and a little of the time: a kilobyte is worth half a second, not ten."""
    return max(label.tail_bytes) + 2e-3 * label.value


_VALUES: dict[str, Callable[[Step], float]] = {
    "latency": lambda step: step.cost.time_us,
    "ram": lambda step: step.cost.time_us,
    "bytes": lambda step: step.cost.wire_bytes + 1e-3 * step.cost.time_us,
}
"""What a step adds to an objective; RAM is a limit (the head) and a label (the tail)."""
