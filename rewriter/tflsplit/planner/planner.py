# SPDX-License-Identifier: Apache-2.0
"""The best plan for a model on a cluster: options, search, and the check of the whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tflsplit.cluster import Cluster
from tflsplit.errors import ClusterError
from tflsplit.ir import Graph, Value
from tflsplit.ops.fused import fused_inside
from tflsplit.plan.halos import recompute_halos
from tflsplit.plan.spec import Plan
from tflsplit.planner.evaluate import Step, evaluate
from tflsplit.planner.options import WHOLE, Chosen, Layout, Option, apply_option, options_of
from tflsplit.planner.placement import place, pooled
from tflsplit.planner.planned import Planned, finish
from tflsplit.planner.search import Label, Limits, search
from tflsplit.planner.shares import SPEED, Shares, fewest_shares, only, share_vectors
from tflsplit.planner.shortfall import why_not
from tflsplit.planner.units import Unit, cut_into_units

OBJECTIVES = ("latency", "ram", "bytes")


@dataclass
class Planner:
    """Searches plans for one model on one cluster; results of units are shared by all searches.

    options: what may be done with a unit; by default all that can pay on this cluster.
    shares: what each device gets; by default as the search finds best.
    """

    graph: Graph
    cluster: Cluster
    options: Sequence[Option] = ()
    shares: Shares = ()
    _cache: dict[tuple[object, ...], list[Step]] = field(default_factory=dict)
    _alike: dict[tuple[object, ...], list[Step]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.vectors = share_vectors(self.cluster, self.shares)
        self.units = cut_into_units(self.graph)
        self.options = self.options or options_of(self.vectors, self._flash_is_scarce())

    def _flash_is_scarce(self) -> bool:
        total = sum(value.size_bytes for value in self.graph.constants())
        ranks = range(self.cluster.world_size)
        return min(self.cluster.weights_room_bytes(rank) for rank in ranks) < 1.2 * total

    def _largest_flash(self) -> int:
        return max(map(self.cluster.weights_room_bytes, range(self.cluster.world_size)))

    def best(self, objective: str) -> Planned:
        """The best plan that fits; ClusterError, saying what is missing, if none does."""
        found = min(self._candidates(objective), key=lambda p: p.value(objective), default=None)
        if found is None:
            raise ClusterError(why_not(self.cluster, self.units, self.all_steps()))
        return found

    def all_steps(self) -> list[Step]:
        """Every step that a search has looked at."""
        return [step for steps in self._cache.values() for step in steps]

    def expand(self, index: int, given: Mapping[Value, Layout]) -> list[Step]:
        """Every option of a unit from given layouts, evaluated once."""
        unit = self.units[index]
        key = (index, *given.values())
        if key not in self._cache:
            alike = (unit.signature, *given.values())
            if alike not in self._alike:
                self._alike[alike] = list(self._steps(unit, given))
            self._cache[key] = [step.of_unit(unit) for step in self._alike[alike]]
        return self._cache[key]

    def _steps(self, unit: Unit, given: Mapping[Value, Layout]) -> Iterator[Step]:
        seen: list[tuple[bool, Plan]] = []
        for option in self.options:
            chosen = self._apply(unit, option, given)
            same = option.placed, chosen.plan if chosen else None
            if chosen is None or any(same[0] == p and chosen.plan.splits == q.splits for p, q in seen):
                continue
            seen.append((option.placed, chosen.plan))
            yield self._step(unit, chosen, given)

    def _step(self, unit: Unit, chosen: Chosen, given: Mapping[Value, Layout]) -> Step:
        cost = evaluate(self.cluster, unit, chosen.plan, given)
        if chosen.option.placed:
            cost = pooled(cost, self.cluster)
        return Step(unit, chosen.option, chosen.plan, chosen.layouts, cost)

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
        if not option.fewest:
            return shares
        shape = unit.outputs[0].shape
        if option.split == "rows":
            fewer = fewest_shares(shares, shape[1]) if len(shape) == 4 else shares
        else:
            holders = {rank for boxes in given.values() for rank in _holders(boxes)}
            fewer = only(shares, sorted(holders)) if holders else shares
        return None if sum(s > 0 for s in fewer) == sum(s > 0 for s in shares) else fewer

    def _candidates(self, objective: str) -> Iterator[Planned]:
        """Plans that fit, the best among them."""
        rooms = [float(self.cluster.arena_room_bytes(r)) for r in range(self.cluster.world_size)]
        if objective != "ram":
            yield from self._fitting(objective, rooms)
            return
        for head in self._best_heads(rooms)[:_FINISHED]:
            yield from self._fitting(objective, [min(room, head) for room in rooms])

    def _best_heads(self, rooms: Sequence[float]) -> list[float]:
        """Limits on the head, the one with the smallest head and tail together first.

        The lowest limit need not be the best: what saves head (tiles) costs tail (operators).
        """
        if not self._labels("ram", rooms):  # evaluates every step that could be taken
            return []
        heads = sorted(
            {-(-max(step.cost.head_bytes) // _GRAIN) * _GRAIN for step in self.all_steps()}
        )
        totals: list[tuple[float, float]] = []
        for head in heads:
            if totals and head >= min(totals)[0]:
                break
            labels = self._labels("ram", [min(room, head) for room in rooms])
            if labels:
                totals.append((head + _ram_of(min(labels, key=_ram_of)), head))
        return [head for _, head in sorted(totals)]

    def _fitting(self, objective: str, heads: Sequence[float]) -> Iterator[Planned]:
        """The best plan under limits on the head, or the next that fits as a whole, if any does."""
        key = _ram_of if objective == "ram" else _value_of
        slack = _Slack()
        for _ in range(_TRIES):
            labels = self._labels(objective, [head - slack.arena_bytes for head in heads], slack)
            if not labels:
                return
            planned = self._finish(min(labels, key=key))
            if planned.fits(self.cluster):
                yield planned
                return
            slack = slack.after(planned, self.cluster)

    def _labels(
        self, objective: str, heads: Sequence[float], slack: _Slack | None = None
    ) -> list[Label]:
        slack = slack or _Slack()
        weights = tuple(
            float(self.cluster.weights_room_bytes(rank) - slack.flash_bytes)
            for rank in range(self.cluster.world_size)
        )

        def allowed(index: int, given: Mapping[Value, Layout]) -> list[Step]:
            return [s for s in self.expand(index, given) if slack.allows(s)]

        return search(self.units, allowed, _VALUES[objective], Limits(tuple(heads), weights))

    def _finish(self, label: Label) -> Planned:
        """The whole plan: halos are chosen anew, now across units, and everything is predicted."""
        steps = label.steps()
        if any(step.option.placed for step in steps):
            steps = self._placed(steps)
        splits = tuple(replace(split, extents=()) for step in steps for split in step.plan.splits)
        reasons = {name: text for step in steps for name, text in step.plan.reasons.items()}
        shares = self.vectors[SPEED]
        plan = Plan(self.cluster.world_size, splits, shares, reasons=reasons, fuse=True)
        plan = recompute_halos(self.graph, plan, fused_inside(self.graph))
        return finish(self.graph, plan, self.cluster, tuple(steps))

    def _placed(self, steps: Sequence[Step]) -> list[Step]:
        """The same decisions, every placed unit on a device of its own choice."""
        placement = place(self.cluster, steps)
        known: dict[Value, Layout] = {}
        result = []
        for index, step in enumerate(steps):
            unit, option = step.unit, step.option
            given = {value: known[value] for value in unit.inputs if value in known}
            if option.placed:
                shares, home = self.vectors[SPEED], placement.ranks[index]
            elif option.split in ("channels", "out_channels"):
                shares, home = placement.shares, None
            else:
                shares, home = self._shares(unit, option, given) or self.vectors[option.by], None
            chosen = apply_option(unit, option, given, shares, home)
            chosen = chosen or apply_option(unit, WHOLE, given, shares)
            assert chosen is not None
            cost = evaluate(self.cluster, unit, chosen.plan, given)
            result.append(Step(unit, chosen.option, chosen.plan, chosen.layouts, cost))
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
        return not step.option.placed or step.chunk_bytes < self.chunk_bytes

    def after(self, planned: Planned, cluster: Cluster) -> _Slack:
        """What to leave free next, after a plan that did not fit."""
        arena = max(planned.arena_short_bytes(cluster))
        short = planned.flash_short_bytes(cluster)
        placed = [
            max(step.cost.weights_bytes)
            for step in planned.steps
            if step.option.placed and short[step.cost.weights_bytes.index(max(step.cost.weights_bytes))]
        ]
        if placed:
            return replace(self, arena_bytes=self.arena_bytes + arena, chunk_bytes=max(placed))
        return replace(
            self,
            arena_bytes=self.arena_bytes + arena,
            flash_bytes=self.flash_bytes + max(short),
        )


def _holders(boxes: Layout) -> list[int]:
    return [rank for rank, box in enumerate(boxes) if not box.is_empty]


_TRIES = 8
_FINISHED = 3
"""How many of the best limits on the head are carried through to a whole plan."""
_GRAIN = 512
_WORTH_PLACING = 1024


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
