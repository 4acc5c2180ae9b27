# SPDX-License-Identifier: Apache-2.0
"""What can be done with each unit of a model on a cluster, and what that costs; found once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from tflsplit.cluster import Cluster
from tflsplit.ir import Graph, Value
from tflsplit.ops import rule_of
from tflsplit.plan.cost import compute_us
from tflsplit.plan.cost.compute import total_us
from tflsplit.plan.cost.work import least_work
from tflsplit.plan.grid import grid_pays
from tflsplit.plan.rows import rows_of
from tflsplit.plan.spec import NodeSplit, active_count
from tflsplit.planner.cost.costs import Costs
from tflsplit.planner.cost.evaluate import Step, holders, is_on_one_rank
from tflsplit.planner.cost.menus import NARROW, ROLLING, HasRoom, by_windows, hosted, widest
from tflsplit.planner.searching.search import SCARCE
from tflsplit.planner.ways.chains import with_chain, with_pairs
from tflsplit.planner.ways.options import (
    GATHERS_IN_TILES,
    GRIDS,
    RECEIVING,
    SAVING_FLASH,
    SKETCHING,
    SUMS_IN_TILES,
    Chosen,
    Layout,
    Option,
    apply_option,
    options_of,
)
from tflsplit.planner.ways.shares import SPEED, Shares, fewest_shares, only, part_of, share_vectors
from tflsplit.planner.ways.tiles import room_bytes
from tflsplit.planner.ways.units import Unit, cut_into_units

_WORTH_PLACING_BYTES = 1024
_CUT_BY_CHANNELS = ("channels", "out_channels")
MANY_DEVICES = 24
"""With more, a search takes so long that there is one only, and its way is begun as it is."""

Menu = Callable[[int], Sequence[Option]]
"""The options for a unit, by its number."""


def any_of(options: Sequence[Option]) -> Menu:
    """The same for every unit."""
    return lambda _: options


@dataclass
class Choices:
    """The units of a model and their options; every option is evaluated once.

    shares: what each device gets; by default by speed and by RAM.
    options: what may be done with a unit; saving: what saves flash at the price of time; quick:
        options that may be quickest, those included that save time only; all_quick: and those that
        save RAM; sketching: a few of ``quick``.
    room_bytes: of RAM that a unit in tiles should need; no arena does with less anyway.
    simulated_us: of whole plans, what was found so far; room does not change it.
    ratios: of those, what was simulated by what was predicted; of other numbers of devices, too.
    narrow: whether options are tried that take the least RAM, whatever time they cost.
    hosted: whether the host may keep the model's inputs, and send what units read of it in tiles.
    chain: whether the first blocks are one unit, for an input that comes row by row;
        begins_with_chain: whether there are such blocks.
    costs: of the model's units, for any numbers of these devices.
    pooling: whether flash is scarce, so that weights wait for a place (``placement.py``).
    """

    graph: Graph
    cluster: Cluster
    options: Sequence[Option] = ()
    shares: Shares = ()
    simulated_us: dict[tuple[NodeSplit, ...], float] = field(default_factory=dict)
    ratios: list[float] = field(default_factory=list)
    narrow: bool = False
    hosted: bool = False
    chain: bool = False
    costs: Costs = field(default_factory=Costs)
    _known: dict[tuple[object, ...], dict[Option, Step | None]] = field(default_factory=dict)
    _renamed: dict[tuple[int, int], Step] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.vectors = share_vectors(self.cluster, self.shares)
        self.units = cut_into_units(self.graph)
        chained = with_chain(self.units, self.cluster.world_size) if self.chain else None
        self.begins_with_chain = chained is not None
        if self.narrow:
            self.units = chained or with_pairs(self.units)
        rooms = [self.cluster.weights_room_bytes(r) for r in range(self.cluster.world_size)]
        self._largest_flash = max(rooms)
        self.room_bytes = min(
            room_bytes((unit.graph for unit in self.units), self.cluster.world_size),
            *(self.cluster.arena_room_bytes(r) for r in range(self.cluster.world_size)),
        )
        self.pooling = min(rooms) < SCARCE * sum(unit.weights_bytes for unit in self.units)
        self.options = self.options or options_of(self.vectors)
        if self.narrow:
            self.options = (*NARROW, *self.options)
        if self.hosted:
            self.options = (*hosted(self.options), *self.options)
        if chained:
            self.options = (*ROLLING, *self.options)
        self.saving = SAVING_FLASH if self.pooling else ()
        receiving = RECEIVING if self.cluster.world_size > 1 else ()
        gridded = GRIDS if not self.narrow else ()
        self.all_quick = (*self.options, *receiving, *gridded)
        self.quick = tuple(option for option in self.all_quick if not option.small)
        self.sketching = (*SKETCHING, *receiving[:1])

    @property
    def everything(self) -> tuple[Option, ...]:
        """All options, whatever they cost."""
        return (*self.all_quick, *self.saving)

    def given(self, index: int, layouts: Sequence[Layout]) -> dict[Value, Layout]:
        """How a unit's inputs lie after the unit before it has left ``layouts``."""
        before = self.units[index - 1].outputs if index else ()
        known = dict(zip(before, layouts, strict=True))
        return {value: known[value] for value in self.units[index].inputs if value in known}

    def work_us(self, units: int) -> Sequence[float]:
        """By rank, how long the first units would take on it alone."""
        return self._works_us[units]

    @cached_property
    def _works_us(self) -> list[list[float]]:
        """The same by number of units, from 0 on."""
        ranks = range(self.cluster.world_size)
        works = [[0.0 for _ in ranks]]
        for unit in self.units:
            us = [0.0 for _ in ranks]
            for node in unit.nodes:
                size = sum(value.size_bytes for value in node.outputs)
                macs = rule_of(node).macs(node)
                us = [us[r] + compute_us(self.cluster, r, node, macs, size) for r in ranks]
            works.append([before + more for before, more in zip(works[-1], us, strict=True)])
        return works

    def least_work_us(self) -> list[float]:
        """By rank, what the whole model would take on it alone at least, however it is fused."""
        work = [
            each
            for node in self.graph.nodes
            for each in least_work(
                node, rule_of(node).macs(node), sum(value.size_bytes for value in node.outputs)
            )
        ]
        return [total_us(device, work) for device in self.cluster.devices]

    def all_steps(self) -> list[Step]:
        """Every step that was evaluated."""
        return [step for known in self._known.values() for step in known.values() if step]

    def heads(self) -> list[int]:
        """Bytes of head that these need on the fullest device, where that was asked for."""
        return [max(s.cost.head_bytes) for s in self.all_steps() if s.cost.knows_memory]

    def expand(
        self,
        index: int,
        given: Mapping[Value, Layout],
        options: Sequence[Option] = (),
        has_room: HasRoom | None = None,
    ) -> list[Step]:
        """What options (by default all) make of a unit from given layouts, evaluated once each.

        has_room: whether a step may be taken.  If it is given, of options that differ in their
            windows only the widest that may be is among the steps (``menus.by_windows``).
        """
        unit = self.units[index]
        key = (unit.signature, *given.values())
        known = self._known.setdefault(key, {})

        def made(option: Option) -> Step | None:
            if option not in known:
                known[option] = self._evaluated(unit, option, given, known)
            return known[option]

        steps: dict[int, Step] = {}
        for group in by_windows(tuple(options or self.options), has_room is not None):
            step = made(group[0]) if len(group) == 1 else widest(map(made, group), has_room)
            if step is not None:
                steps.setdefault(id(step), step)
        return [self._of_unit(step, index) for step in steps.values()]

    def plainest(self, index: int, given: Mapping[Value, Layout], step: Step) -> Step:
        """The step under the plainest of the options that all make it.

        Which of them was tried first depends on what else has been planned; names must not.
        """
        key = (self.units[index].signature, *given.values())
        known = self._known[key]
        equal = [
            option
            for option in self.options
            if (made := known.get(option)) is not None and made.is_like(step)
        ]
        ways = {split.way.value for split in step.plan.splits}
        equal.append(step.option)
        best = min(equal, key=lambda o: (o.split not in ways, len(o.name), o.name))
        return replace(step, option=best)

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
        if (option.hosted or option.sweeps) and not any(
            value in self.graph.inputs for value in unit.inputs
        ):
            return None
        if option.split == "grid" and not grid_pays(unit.outputs[0].shape, self.vectors[SPEED]):
            return None
        chosen = self._apply(unit, option, given)
        if chosen is None:
            return None
        for step in known.values():
            if step is not None and step.is_like(chosen):
                return step
        made, rival = self.step(unit, chosen, given), known.get(GATHERS_IN_TILES)
        if option == SUMS_IN_TILES and rival is not None and rival.is_quicker_and_sends_less(made):
            return rival
        return made

    def step(self, unit: Unit, chosen: Chosen, given: Mapping[Value, Layout]) -> Step:
        """A chosen way with its cost."""
        cost = self.costs.of(self.cluster, unit, chosen.plan, given)
        option = chosen.option
        by_all = option.split in _CUT_BY_CHANNELS and not option.part
        follows = option.split == "whole" and is_on_one_rank(given)
        pooled = option.placed or (self.pooling and (by_all or follows))
        return Step(unit, option, chosen.plan, chosen.layouts, cost, pooled)

    def _apply(self, unit: Unit, option: Option, given: Mapping[Value, Layout]) -> Chosen | None:
        if option.placed:
            if not _WORTH_PLACING_BYTES < unit.weights_bytes < self._largest_flash:
                return None
            home = self._other_rank(given)
            return apply_option(
                unit, option, given, self.vectors[SPEED], home, room_bytes=self.room_bytes
            )
        shares = self.shares_of(unit, option, given)
        if not shares:
            return None
        return apply_option(unit, option, given, shares, room_bytes=self.room_bytes)

    def _other_rank(self, given: Mapping[Value, Layout]) -> int:
        """Where the search takes a placed unit to run: not where its input is."""
        held = [rank for boxes in given.values() for rank in holders(boxes)]
        return 1 % self.cluster.world_size if held[:2] == [0] else 0

    def shares_of(self, unit: Unit, option: Option, given: Mapping[Value, Layout]) -> Shares | None:
        """What each device gets under an option; None where that is nothing of its own."""
        shares = self.vectors[option.by]
        if not option.part:
            return shares
        shape = unit.outputs[0].shape
        if option.split == "rows":
            fewer = fewest_shares(shares, rows) if (rows := rows_of(shape)) else shares
            fewer = part_of(fewer, option.part)
        else:
            held = {rank for boxes in given.values() for rank in holders(boxes)}
            fewer = only(shares, sorted(held)) if held else shares
        return fewer if 1 < active_count(fewer) < active_count(shares) else None

    def all_ways(self, most: int) -> list[list[Step]] | None:
        """Every combination of options; None if there are more than ``most``.

        None too where there are sure to be: at least two for each of many units.
        """
        if self.cluster.world_size > 1 and 2 ** len(self.units) > most**2:
            return None
        ways: list[list[Step]] = [[]]
        for index in range(len(self.units)):
            longer: list[list[Step]] = []
            for way in ways:
                given = self.given(index, way[-1].layouts if way else ())
                longer += [[*way, step] for step in self.expand(index, given, self.everything)]
                if len(longer) > most:
                    return None
            ways = longer
        return ways
