# SPDX-License-Identifier: Apache-2.0
"""The best plan for a model on all devices of a cluster: search, and the check of the whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from itertools import islice

from tflsplit.cluster import Cluster
from tflsplit.ir import Graph, Value
from tflsplit.plan.cost import predict
from tflsplit.plan.policy import choose_plan
from tflsplit.plan.wishes import Wishes
from tflsplit.planner.cost.evaluate import Step, arena_of
from tflsplit.planner.searching.alone import alone
from tflsplit.planner.searching.assembly import Draft, placed
from tflsplit.planner.searching.choices import MANY_DEVICES, Choices, Menu, any_of
from tflsplit.planner.searching.few_ways import FewWays
from tflsplit.planner.searching.finals import Completed, Finals, quickest_us
from tflsplit.planner.searching.free_ways import FreeWays
from tflsplit.planner.searching.heads import best_heads
from tflsplit.planner.searching.search import Expand, Label, Limits, has_room, search
from tflsplit.planner.searching.slack import Slack
from tflsplit.planner.searching.values import VALUES, ram_of, smallest_label, value_of
from tflsplit.planner.ways.options import Layout, Option
from tflsplit.planner.ways.shares import SPEED
from tflsplit.planner.whole.planned import Planned, smallest_of

OBJECTIVES = ("latency", "ram", "bytes")


class Searcher:
    """Searches plans for one model that have all devices of one cluster in the wiring.

    choices: what units can do, shared by all searches; of a cluster that differs from ``cluster``
        in what devices have room for only.
    """

    def __init__(self, graph: Graph, cluster: Cluster, choices: Choices | None = None) -> None:
        self.graph = graph
        self.cluster = cluster
        self.choices = choices or Choices(graph, cluster)
        self._free_ways = FreeWays(self.choices)
        self._completed: Completed = {}
        self._searched: dict[tuple[str, tuple[float, ...], Menu, Slack], list[Label]] = {}

    def find(
        self, objective: str, beat: float = float("inf"), tail_bytes: float = 0.0
    ) -> Planned | None:
        """The best plan that fits this very cluster, all of its devices in the wiring; or None.

        beat: a value of the objective; where nothing can be as small, the search ends early.
        tail_bytes: for RAM, the tail of the plan of that value.
        """
        if objective == "ram":
            return self._smallest(beat, tail_bytes)
        found = list(self.candidates(objective, beat))
        single = len(found) == 1 and beat == float("inf")  # not worth a simulation
        return found[0] if single else min(found, key=lambda p: p.value(objective), default=None)

    def _smallest(self, beat: float, tail_bytes: float) -> Planned | None:
        """The plan of the smallest arena; what makes other things small may be smaller, too."""
        if (least := self.least_arena_bytes()) > beat:
            return None
        if self._few is not None:  # no other objective leads to another one
            return smallest_of(self.graph, list(self._few.plans("ram", beat)))
        rooms = self.rooms()
        most = min(beat, beat / _WHOLE - _LEAST_TAIL * tail_bytes)
        heads = self._best_heads([min(room, most) for room in rooms]) if least <= most else []
        if not heads and not self.choices.pooling and beat <= min(rooms):
            return None  # whatever the objective, some unit needs more, or all together do
        found = list(self._of_heads(heads, rooms, beat))
        best = min([beat, *(p.arena_bytes for p in found if not p.is_above(beat))])
        for objective in ("latency", "bytes"):
            if self._free_ways.arena_bytes(objective, best) <= best:
                found += self.candidates(objective)
        if (smallest := smallest_of(self.graph, found, beat)) is not None:
            most = beat if smallest.is_above(beat) else smallest.arena_bytes - 1
            found += alone(self.choices, self.cluster, smallest, most)
        return smallest_of(self.graph, found, beat)

    def about_us(self) -> float | None:
        """About the least latency within RAM and flash, as predicted; None where nothing fits."""
        labels, slack = self._first_labels("latency", self.rooms(), any_of(self.choices.all_quick))
        if not labels:
            return None
        steps = min(labels, key=value_of).steps()
        steps = placed(self.choices, self.cluster, steps, slack.flash_bytes)
        return quickest_us(Finals(self.choices, self.cluster, "latency").versions(steps))

    def sketched_us(self) -> float:
        """The latency where RAM and flash do not matter, nearly; infinite where flash is scarce."""
        return quickest_us(self._sketch) if self._sketch else float("inf")

    @cached_property
    def _sketch(self) -> list[Draft]:
        """Drafts of the best way with a few options; none where flash is scarce."""
        if self.choices.pooling:
            return []
        steps = self._free_ways.among(self.choices.sketching, "latency")
        return Finals(self.choices, self.cluster, "latency").versions(steps) if steps else []

    def least_arena_bytes(self) -> int:
        """No plan is smaller: a unit's inputs (but the host's) are somewhere, and its outputs."""
        kept = self.graph.inputs if self.choices.hosted else ()
        ends = (values for u in self.choices.units for values in (u.inputs, u.outputs))
        most = max(sum(v.size_bytes for v in values if v not in kept) for values in ends)
        return most // self.cluster.world_size

    @cached_property
    def _few(self) -> FewWays | None:
        """All ways, if they are few."""
        ways = self.choices.all_ways(_ENUMERABLE)
        return None if ways is None else FewWays(self.choices, self.cluster, ways)

    def rooms(self) -> list[float]:
        """For the arena, by rank."""
        return [float(self.cluster.arena_room_bytes(r)) for r in range(self.cluster.world_size)]

    def candidates(self, objective: str, beat: float = float("inf")) -> Iterator[Planned]:
        """Plans that fit, the best among them.

        Where there are few ways, all are carried through, which makes the best exact; otherwise
        the search decides by the sum of what units cost.  Options that save flash at the price of
        time are tried for latency only if need be.
        """
        if self._few is not None:
            yield from self._few.plans(objective, beat)
            return
        rooms = self.rooms()
        if objective == "ram":
            yield from self._of_heads(self._best_heads(rooms), rooms, beat)
            return
        finals = Finals(self.choices, self.cluster, objective, beat)
        if finals.beat < float("inf") and finals.is_beaten(self._sketch, sketched=True):
            return
        steps = None if self.choices.pooling else self._free_ways.best(objective)
        if objective == "bytes" and _FEWEST * sum(map(VALUES[objective], steps or ())) > beat:
            return
        drafts = finals.versions(steps) if steps else []
        if finals.is_beaten(drafts):
            return  # and nothing that keeps to limits is quicker
        found = list(self._unlimited(finals, drafts, steps)) if steps else []
        if finals.are_beaten:
            return
        if not found:
            found = list(self._usual(objective, rooms, beat))
            yield from self._fitting_policy(objective, beat)
        yield from found
        if self.choices.saving and not (found and objective == "latency"):
            yield from self._fitting(objective, rooms, self._everything, beat)

    def _of_heads(
        self, heads: Sequence[float], rooms: Sequence[float], beat: float
    ) -> Iterator[Planned]:
        """The best plans under each of some limits on the arena's head."""
        for head in heads:
            limits = [min(room, head) for room in rooms]
            for planned in self._fitting("ram", limits, self._everything, beat):
                yield planned
                if not planned.is_above(beat):
                    beat = planned.arena_bytes

    def _usual(self, objective: str, rooms: Sequence[float], beat: float) -> Iterator[Planned]:
        """The best plans that fit, of options that do not save flash at the price of time.

        For latency on many devices, those that save RAM at that price are tried only if need be.
        """
        menus = [self.choices.options]
        if objective == "latency":
            menus = [self.choices.all_quick]
            if self.cluster.world_size > MANY_DEVICES:
                menus.insert(0, self.choices.quick)
        for options in menus:
            found = list(self._fitting(objective, rooms, any_of(options), beat))
            yield from found
            if found:
                return

    def _fitting_policy(self, objective: str, beat: float) -> Iterator[Planned]:
        finals = Finals(self.choices, self.cluster, objective, beat)
        drafts = self._by_policy(objective)
        if drafts and not finals.is_beaten(drafts):
            yield from (p for p in finals.planned(drafts) if p.fits(self.cluster))

    def _unlimited(
        self, finals: Finals, drafts: Sequence[Draft], steps: Sequence[Step]
    ) -> Iterator[Planned]:
        """The best plan where RAM and flash are not looked at, if it fits all the same."""
        opened = finals.opened(steps, drafts)
        plans = finals.planned([*drafts, *self._by_policy(finals.objective)], opened)
        yield from islice((planned for planned in plans if planned.fits(self.cluster)), 1)

    def _by_policy(self, objective: str) -> list[Draft]:
        """The simple policy's plan, so that a search is never slower than none."""
        if objective != "latency" or self.cluster.world_size == 1:
            return []
        wishes = Wishes(self.cluster.world_size, shares=self.choices.vectors[SPEED], fuse=True)
        plan = replace(choose_plan(self.graph, wishes), overlap=True)
        return [Draft(plan, (), predict(self.graph, plan, self.cluster))]

    def _best_heads(self, rooms: Sequence[float]) -> list[float]:
        """Limits on the head, the one with the smallest head and tail together first."""
        return best_heads(partial(self.total_bytes, rooms), self.choices.heads, max(rooms), _LAST)

    def total_bytes(self, rooms: Sequence[float], head: float) -> float | None:
        """A limit on the head and the least tail under it; None if there is no way under it."""
        labels, _ = self._first_labels("ram", [min(r, head) for r in rooms], self._everything)
        return head + ram_of(smallest_label(labels)) if labels else None

    def _fitting(
        self, objective: str, heads: Sequence[float], menu: Menu, beat: float = float("inf")
    ) -> Iterator[Planned]:
        """The best plan under limits on the head, or the next that fits as a whole, if any does.

        Where the best does not, what it lacks is left free in the next search; if that finds no way
        any more, the next best of the search before is tried, which may lack nothing.
        """
        finals = Finals(self.choices, self.cluster, objective, beat, self._completed)
        labels, slack = self._first_labels(objective, heads, menu)
        for _ in range(_TRIES):
            if not labels:
                return
            best = smallest_label(labels) if objective == "ram" else min(labels, key=value_of)
            steps = placed(self.choices, self.cluster, best.steps(), slack.flash_bytes)
            if objective == "ram" and _WHOLE * arena_of(steps) > beat:
                return
            drafts = finals.versions(steps)
            if finals.is_beaten(drafts):
                return
            tried: list[Planned] = []
            for planned in finals.planned(drafts, finals.opened(steps, drafts)):
                if finals.is_above(planned) or planned.fits(self.cluster):
                    yield planned
                    return
                tried.append(planned)
            if not tried:
                return
            closest = min(tried, key=lambda planned: planned.short_bytes(self.cluster))
            more = slack.after(closest, self.cluster)
            limits = [head - more.arena_bytes for head in heads]
            next_labels = self._labels(objective, limits, menu, more)
            slack = more if next_labels else slack
            labels = next_labels or [label for label in labels if label is not best]

    def _expand(self, menu: Menu, slack: Slack, heads: Sequence[float]) -> Expand:
        def is_allowed(step: Step) -> bool:
            return has_room(step, heads) and slack.allows(step)

        def allowed(index: int, given: Mapping[Value, Layout]) -> list[Step]:
            steps = self.choices.expand(index, given, menu(index), is_allowed)
            return [step for step in steps if is_allowed(step)]

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
            rooms = map(self.cluster.weights_room_bytes, range(self.cluster.world_size))
            weights = tuple(float(room - slack.flash_bytes) for room in rooms)
            self._searched[key] = search(
                self.choices.units,
                self._expand(menu, slack, heads),
                VALUES[objective],
                Limits(tuple(heads), weights),
            )
        return self._searched[key]

    def _everything(self, _index: int) -> Sequence[Option]:
        """Whatever can be done to a unit."""
        return self.choices.everything


_TRIES = 8
_WHOLE = 0.93
"""A whole plan needs no less RAM than this part of what its units need (measured: 0.947)."""
_LEAST_TAIL = 0.75
"""The least tail for other numbers of devices is no less than this part (measured: from 0.76)."""
_FEWEST = 0.8
"""What a search adds up is, at best, so many times what the whole plan comes to."""
_LAST = 3
"""How many of the best limits on the head are carried through to a whole plan."""
_ENUMERABLE = 64
"""So many ways through a model are all carried through to whole plans."""
