# SPDX-License-Identifier: Apache-2.0
"""The best plan for a model on a cluster: options, search, and the check of the whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

from tflsplit.cluster import Cluster
from tflsplit.errors import ClusterError
from tflsplit.ir import Graph, Value
from tflsplit.ops.fused import fused_inside
from tflsplit.plan.halos import recompute_halos
from tflsplit.plan.spec import Plan
from tflsplit.planner.evaluate import Step, evaluate
from tflsplit.planner.options import OPTIONS, SAVING_FLASH, WHOLE, Chosen, Layout, Option, apply_option, options_of
from tflsplit.planner.placement import place
from tflsplit.planner.planned import Planned, finish
from tflsplit.planner.search import Label, Limits, search
from tflsplit.planner.shares import SPEED, Shares, fewest_shares, only, part_of, share_vectors
from tflsplit.planner.shortfall import why_not
from tflsplit.planner.units import Unit, cut_into_units

OBJECTIVES = ("latency", "ram", "bytes")


@dataclass
class Planner:
    """Searches plans for one model on one cluster; results of units are shared by all searches.

    options: what may be done with a unit; by default all that can pay on this cluster.
    shares: what each device gets; by default as the search finds best.
    is_part: whether this is the search of another planner, with fewer devices.
    """

    graph: Graph
    cluster: Cluster
    options: Sequence[Option] = ()
    shares: Shares = ()
    is_part: bool = False
    _known: dict[tuple[object, ...], dict[Option, Step | None]] = field(default_factory=dict)
    _renamed: dict[tuple[int, int], Step] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.vectors = share_vectors(self.cluster, self.shares)
        self.units = cut_into_units(self.graph)
        self.pooling = self._flash_is_scarce()
        self.options = self.options or options_of(self.vectors)
        self.saving = SAVING_FLASH if self.pooling else ()

    def _flash_is_scarce(self) -> bool:
        total = sum(value.size_bytes for value in self.graph.constants())
        ranks = range(self.cluster.world_size)
        return min(self.cluster.weights_room_bytes(rank) for rank in ranks) < 1.2 * total

    def _largest_flash(self) -> int:
        return max(map(self.cluster.weights_room_bytes, range(self.cluster.world_size)))

    def best(self, objective: str) -> Planned:
        """The best plan that fits; ClusterError, saying what is missing, if none does."""
        candidates = chain(self._candidates(objective), self._with_fewer_devices(objective))
        found = min(candidates, key=lambda planned: planned.value(objective), default=None)
        if found is None:
            raise ClusterError(why_not(self.cluster, self.units, self.all_steps()))
        return found

    def _with_fewer_devices(self, objective: str) -> Iterator[Planned]:
        """Plans that leave devices idle throughout: one more device is never to make it slower.

        Eight devices are no faster than seven on maps of 28, 14 and 7 rows.
        """
        shares = self.vectors[SPEED]
        if objective != "latency" or self.pooling or self.is_part:
            return
        heights = {unit.outputs[0].shape[1] for unit in self.units if len(unit.outputs[0].shape) == 4}
        fewer = {fewest_shares(shares, height) for height in heights} - {shares}
        for part in sorted(fewer):
            planner = Planner(self.graph, self.cluster, OPTIONS, part, is_part=True)
            yield from planner._candidates(objective)

    def all_steps(self) -> list[Step]:
        """Every step that a search has looked at."""
        return [step for known in self._known.values() for step in known.values() if step]

    def expand(
        self, index: int, given: Mapping[Value, Layout], options: Sequence[Option] = ()
    ) -> list[Step]:
        """What options (by default all) make of a unit from given layouts, evaluated once each."""
        unit = self.units[index]
        key = (unit.signature, *given.values())
        known = self._known.setdefault(key, {})
        steps: list[Step] = []
        for option in options or self.options:
            if option not in known:
                known[option] = self._evaluated(unit, option, given, known)
            step = known[option]
            if step is not None and step not in steps:
                steps.append(step)
        return [self._of_unit(step, index) for step in steps]

    def _of_unit(self, step: Step, index: int) -> Step:
        key = index, id(step)
        if key not in self._renamed:
            self._renamed[key] = step.of_unit(self.units[index])
        return self._renamed[key]

    def _evaluated(
        self,
        unit: Unit,
        option: Option,
        given: Mapping[Value, Layout],
        known: Mapping[Option, Step | None],
    ) -> Step | None:
        """A new step, or the equal one of another option; None if the option makes no sense."""
        chosen = self._apply(unit, option, given)
        if chosen is None:
            return None
        for step in known.values():
            if step is not None and step.option.placed == option.placed:
                if step.plan.splits == chosen.plan.splits:
                    return step
        return self._step(unit, chosen, given)

    def _step(self, unit: Unit, chosen: Chosen, given: Mapping[Value, Layout]) -> Step:
        cost = evaluate(self.cluster, unit, chosen.plan, given)
        option = chosen.option
        by_all = option.split in _CUT_BY_CHANNELS and not option.part
        follows = option.split == "whole" and _is_on_one_rank(given)
        pooled = option.placed or (self.pooling and (by_all or follows))
        return Step(unit, option, chosen.plan, chosen.layouts, cost, pooled)

    def _apply(self, unit: Unit, option: Option, given: Mapping[Value, Layout]) -> Chosen | None:
        if option.placed:
            if not _WORTH_PLACING < unit.weights_bytes < self._largest_flash():
                return None
            return apply_option(unit, option, given, self.vectors[SPEED], self._other_rank(given))
        shares = self._shares(unit, option, given)
        return apply_option(unit, option, given, shares) if shares else None

    def _other_rank(self, given: Mapping[Value, Layout]) -> int:
        """Where the search takes a placed unit to run: not where its input is."""
        holders = [rank for boxes in given.values() for rank in _holders(boxes)]
        return 1 % self.cluster.world_size if holders[:2] == [0] else 0

    def _shares(self, unit: Unit, option: Option, given: Mapping[Value, Layout]) -> Shares | None:
        shares = self.vectors[option.by]
        if not option.part:
            return shares
        shape = unit.outputs[0].shape
        if option.split == "rows":
            fewer = fewest_shares(shares, shape[1]) if len(shape) == 4 else shares
            fewer = part_of(fewer, option.part)
        else:
            holders = {rank for boxes in given.values() for rank in _holders(boxes)}
            fewer = only(shares, sorted(holders)) if holders else shares
        busy = sum(share > 0 for share in fewer)
        return fewer if 1 < busy < sum(share > 0 for share in shares) else None

    def _candidates(self, objective: str) -> Iterator[Planned]:
        """Plans that fit, the best among them.

        Where there are few ways, all are carried through, which makes the best exact; otherwise the
        search decides by the sum of what units cost.  Options that save flash at the price of time are tried for latency only if need be.
        """
        everything = (*self.options, *self.saving)
        ways = self._all_ways(everything)
        if ways is not None:
            finished = (self._assembled(steps) for steps in ways)
            yield from (planned for planned in finished if planned.fits(self.cluster))
            return
        rooms = [float(self.cluster.arena_room_bytes(r)) for r in range(self.cluster.world_size)]
        if objective == "ram":
            for head in self._best_heads(rooms, everything)[:_FINISHED]:
                limits = [min(room, head) for room in rooms]
                yield from self._fitting(objective, limits, everything)
            return
        found = False
        for options in (self.options, everything) if self.saving else (everything,):
            for planned in () if found else self._fitting(objective, rooms, options):
                found = objective == "latency"
                yield planned

    def _all_ways(self, options: Sequence[Option]) -> list[list[Step]] | None:
        """Every combination of options; None if there are more than can be carried through."""
        ways: list[list[Step]] = [[]]
        for index, unit in enumerate(self.units):
            longer = []
            for way in ways:
                known = dict(zip(self.units[index - 1].outputs, way[-1].layouts, strict=True)) if way else {}
                given = {value: known[value] for value in unit.inputs if value in known}
                longer += [[*way, step] for step in self.expand(index, given, options)]
                if len(longer) > _ENUMERABLE:
                    return None
            ways = longer
        return ways

    def _best_heads(self, rooms: Sequence[float], options: Sequence[Option]) -> list[float]:
        """Limits on the head, the one with the smallest head and tail together first.

        The lowest limit need not be the best: what saves head (tiles) costs tail (operators).
        """

        def total(head: float) -> float | None:
            labels = self._labels("ram", [min(room, head) for room in rooms], options)
            return head + _ram_of(min(labels, key=_ram_of)) if labels else None

        if total(max(rooms)) is None:  # evaluates every step that could be taken
            return []
        grains = {-(-max(step.cost.head_bytes) // _GRAIN) * _GRAIN for step in self.all_steps()}
        heads = sorted(grains)
        low, high = 0, len(heads) - 1
        while low < high:  # the lowest limit under which there is a way at all
            middle = (low + high) // 2
            low, high = (low, middle) if total(heads[middle]) is not None else (middle + 1, high)
        totals: list[tuple[float, float]] = []
        for head in heads[low:]:
            if totals and (head >= min(totals)[0] or head < totals[-1][1] + _STRIDE):
                if head >= min(totals)[0]:
                    break
                continue
            found = total(head)
            if found is not None:
                totals.append((found, head))
        return [head for _, head in sorted(totals)]

    def _fitting(
        self, objective: str, heads: Sequence[float], options: Sequence[Option]
    ) -> Iterator[Planned]:
        """The best plan under limits on the head, or the next that fits as a whole, if any does."""
        key = _ram_of if objective == "ram" else _value_of
        slack = _Slack()
        for _ in range(_TRIES):
            limits = [head - slack.arena_bytes for head in heads]
            labels = self._labels(objective, limits, options, slack)
            if not labels:
                return
            planned = self._finish(min(labels, key=key), slack.flash_bytes)
            if planned.fits(self.cluster):
                yield planned
                return
            slack = slack.after(planned, self.cluster)

    def _labels(
        self,
        objective: str,
        heads: Sequence[float],
        options: Sequence[Option],
        slack: _Slack | None = None,
    ) -> list[Label]:
        slack = slack or _Slack()
        weights = tuple(
            float(self.cluster.weights_room_bytes(rank) - slack.flash_bytes)
            for rank in range(self.cluster.world_size)
        )

        def allowed(index: int, given: Mapping[Value, Layout]) -> list[Step]:
            return [s for s in self.expand(index, given, options) if slack.allows(s)]

        return search(self.units, allowed, _VALUES[objective], Limits(tuple(heads), weights))

    def _finish(self, label: Label, flash_slack_bytes: int = 0) -> Planned:
        return self._assembled(label.steps(), flash_slack_bytes)

    def _assembled(self, steps: list[Step], flash_slack_bytes: int = 0) -> Planned:
        """The whole plan: halos are chosen anew, now across units, and everything is predicted."""
        if any(step.option.placed for step in steps) or not self._fits_evenly(steps):
            steps = self._placed(steps, flash_slack_bytes)
        splits = tuple(replace(split, extents=()) for step in steps for split in step.plan.splits)
        reasons = {name: text for step in steps for name, text in step.plan.reasons.items()}
        shares = self.vectors[SPEED]
        plan = Plan(self.cluster.world_size, splits, shares, reasons=reasons, fuse=True)
        plan = recompute_halos(self.graph, plan, fused_inside(self.graph))
        return finish(self.graph, plan, self.cluster, tuple(steps))

    def _fits_evenly(self, steps: Sequence[Step]) -> bool:
        """Whether the flash suffices with the shares that the search took."""
        used = (sum(each) for each in zip(*(s.cost.weights_bytes for s in steps), strict=True))
        return all(b <= self.cluster.weights_room_bytes(rank) for rank, b in enumerate(used))

    def _placed(self, steps: Sequence[Step], flash_slack_bytes: int) -> list[Step]:
        """The same decisions, every placed unit on a device of its own choice."""
        rooms = [
            self.cluster.weights_room_bytes(rank) - flash_slack_bytes
            for rank in range(self.cluster.world_size)
        ]
        placement = place(rooms, steps, self.vectors[SPEED])
        known: dict[Value, Layout] = {}
        result = []
        for index, step in enumerate(steps):
            unit, option = step.unit, step.option
            given = {value: known[value] for value in unit.inputs if value in known}
            if index in placement.ranks:
                shares, home = self.vectors[SPEED], placement.ranks[index]
            elif index in placement.shares:
                shares, home = placement.shares[index], None
            else:
                shares, home = self._shares(unit, option, given) or self.vectors[option.by], None
            chosen = apply_option(unit, option, given, shares, home)
            chosen = chosen or apply_option(unit, WHOLE, given, shares)
            assert chosen is not None
            result.append(self._step(unit, chosen, given))
            known.update(zip(unit.outputs, chosen.layouts, strict=True))
        return result


@dataclass(frozen=True)
class _Slack:
    """What a search leaves free, because the whole plan came out larger than its units.

    chunk_bytes: weights of the largest unit that may be placed whole on one device.
    """

    arena_bytes: int = 0
    flash_bytes: int = 0
    chunk_bytes: int = 1 << 40

    def allows(self, step: Step) -> bool:
        """Whether a step may be taken."""
        return not step.option.placed or step.pool_bytes < self.chunk_bytes

    def after(self, planned: Planned, cluster: Cluster) -> _Slack:
        """What to leave free next, after a plan that did not fit."""
        arena = max(planned.arena_short_bytes(cluster))
        short = planned.flash_short_bytes(cluster)
        rooms = [cluster.weights_room_bytes(rank) for rank in range(cluster.world_size)]
        crowded = [rank for rank, size in enumerate(short) if size > _ROUNDING * rooms[rank]]
        chunks = [
            step.pool_bytes
            for step in planned.steps
            if step.option.split == "whole" and any(step.cost.weights_bytes[rank] for rank in crowded)
        ]
        if chunks:
            return replace(self, arena_bytes=self.arena_bytes + arena, chunk_bytes=max(chunks))
        return replace(
            self,
            arena_bytes=self.arena_bytes + arena,
            flash_bytes=self.flash_bytes + max(short) + (_CHANNEL if any(short) else 0),
        )


def _is_on_one_rank(given: Mapping[Value, Layout]) -> bool:
    return bool(given) and len({rank for boxes in given.values() for rank in _holders(boxes)}) == 1


def _holders(boxes: Layout) -> list[int]:
    return [rank for rank, box in enumerate(boxes) if not box.is_empty]


_TRIES = 8
_CHANNEL = 512
_ROUNDING = 0.05
"""A device that lacks more flash than that was given too large a unit, not badly rounded shares."""
_FINISHED = 3
"""How many of the best limits on the head are carried through to a whole plan."""
_GRAIN = 512
_ENUMERABLE = 64
"""So many ways through a model are all carried through to whole plans."""
_STRIDE = 2048
_WORTH_PLACING = 1024
_CUT_BY_CHANNELS = ("channels", "out_channels")


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
