# SPDX-License-Identifier: Apache-2.0
"""The ways in which a unit may be run, and what each makes of a given layout of its inputs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from tflsplit.errors import PlanError
from tflsplit.ir import Graph, Value
from tflsplit.ops import Box
from tflsplit.plan.check import plan_problems
from tflsplit.plan.halos import recompute_halos
from tflsplit.plan.policy import Chooser
from tflsplit.plan.spec import NodeSplit, Plan, Way
from tflsplit.plan.wishes import SPATIAL, Wishes, is_product, is_weighted
from tflsplit.planner.ways.chains import block_count, chained_inside, narrowed
from tflsplit.planner.ways.hosted import in_tiles
from tflsplit.planner.ways.shares import RAM, SPEED, Shares
from tflsplit.planner.ways.tiles import in_tiles as in_small_tiles
from tflsplit.planner.ways.units import Unit

Layout = tuple[Box, ...]
"""The box of a tensor that each rank answers for."""


_PARTS = {
    0: "",
    1: " on fewer devices",
    2: " on half of the devices",
    4: " on a quarter of the devices",
}


@dataclass(frozen=True)
class Option:
    """One way to run a unit.

    split: how its weighted layers are divided: a key of RUN_WAYS, or "whole".
    small: scratch, partial sums and gathered maps are kept small (``tiles.py``), at the price of
        more messages and some work done twice.
    by: what the shares of the devices follow, a key of ``share_vectors``.
    part: 0: all devices take part; 1: only as many as are needed to be as fast; 2, 4: a half or a
        quarter of those, for the sake of the others' flash.
    placed: only of "whole": on whichever device has flash left for it; which one that is is found
        out when all units are known (``placement.py``).
    receive: only of "rows": the halo of an expansion is received, wide as it is, where wires are
        faster than computing it twice; the block is fused without its expansion.
    recut: the cuts of the unit's input are not followed: shares change from one unit to the next.
    spread: products of computed tensors (attention) are divided among all devices that take part,
        by positions if there are not heads enough, whatever that moves.
    narrow: blocks keep only rows that two rows of their result need, beside windows of so many
        columns, and run inside the next one where a unit has two (``chains.py``); 0: whole rows.
    hosted: the host keeps the model's input, and sends what so many tiles of rows read of it, one
        after the other (``hosted.py``); 0: each device is given its part before it begins.
    strict: only of "rows", in units of many layers: all by rows, where each layer for itself would
        now and then take columns, and what skips them would have to be cut twice; cut anew, too.
    sweeps: only with ``narrow``, of a unit that begins with the model's input and has several
        blocks: they are one operator, and the host sends the input row by row, in so many tiles of
        columns.
    """

    split: str
    small: bool = False
    by: str = SPEED
    part: int = 0
    placed: bool = False
    receive: bool = False
    recut: bool = False
    spread: bool = False
    narrow: int = 0
    hosted: int = 0
    strict: bool = False
    sweeps: int = 0

    @property
    def name(self) -> str:
        """As plans and tables show it."""
        return (
            self.split
            + sized(self.by)
            + _PARTS[self.part]
            + (", where flash is left" if self.placed else "")
            + (", in tiles" if self.small else "")
            + (", halos received" if self.receive else "")
            + (", cut anew" if self.recut else "")
            + (", products spread" if self.spread else "")
            + (" throughout" if self.strict else "")
            + (f", in windows of {_columns(self.narrow)}" if self.narrow else "")
            + (f", input in {self.hosted} tiles" if self.hosted else "")
            + (", input by rows" if self.sweeps else "")
            + (f" of {self.sweeps} tiles" if self.sweeps > 1 else "")
        )


def sized(by: str) -> str:
    """What the shares follow, in a name; "" where it is the speed of the devices, as usual."""
    if by == SPEED:
        return ""
    return " sized by free RAM" if by == RAM else " sized by when input arrives"


def _columns(count: int) -> str:
    return "1 column" if count == 1 else f"{count} columns"


WHOLE = Option("whole")
GATHERS_IN_TILES = Option("out_channels", small=True)
SUMS_IN_TILES = Option("channels", small=True)
"""Their heads are alike, so that of both the one is left out that takes longer and moves more."""

OPTIONS = (
    Option("rows"),
    Option("rows", small=True),
    Option("channels"),
    Option("out_channels"),
    GATHERS_IN_TILES,
    SUMS_IN_TILES,
    WHOLE,
    Option("rows", spread=True),
    Option("channels", spread=True),
    Option("rows", strict=True),
)


SKETCHING = (Option("rows"), Option("channels"), Option("out_channels"), WHOLE)
"""Those that nearly say already how quick so many devices can be."""


SAVING_FLASH = (
    Option("rows", small=True, part=2),
    Option("rows", small=True, part=4),
    Option("whole", placed=True),
    Option("whole", small=True, placed=True),
)
"""Where flash is scarce: fewer copies of weights, at the price of time."""


RECEIVING = (Option("rows", receive=True), Option("rows", part=1, receive=True))
"""Where wires are fast: less work, more bytes."""

GRIDS = (Option("grid"), Option("grid", receive=True))
"""Where rows would leave devices with nothing, or half of them with much less than the others."""

_BY_OTHER = (Option("rows"), Option("rows", small=True), Option("channels"))


def options_of(names: Collection[str]) -> tuple[Option, ...]:
    """All options where shares may follow what ``names`` says."""
    unequal = [replace(option, by=name) for name in names if name != SPEED for option in _BY_OTHER]
    fewer = [Option(split, part=1) for split in ("rows", "channels", "out_channels")]
    return (*OPTIONS, *unequal, *fewer)


@dataclass(frozen=True)
class Chosen:
    """An option applied to a unit.

    layouts: of the unit's outputs.
    """

    option: Option
    plan: Plan
    layouts: tuple[Layout, ...]


def apply_option(
    unit: Unit,
    option: Option,
    given: Mapping[Value, Layout],
    shares: Shares,
    home: int | None = None,
    room_bytes: int = 0,
) -> Chosen | None:
    """The unit's plan under an option; None where the option makes no sense for it.

    given: layouts of the inputs that do not come from the host.
    room_bytes: about what its head may need on a device without being the worst (``tiles.py``).
    home: the rank on which what stays whole is to run.
    """
    graph = unit.graph
    chooser = _choice(unit, option, shares, home, given)
    if chooser is None:
        return None
    splits = chooser.splits
    if option.small:
        splits = in_small_tiles(graph, splits, chooser.owned, room_bytes)
    if option.narrow:
        if option.sweeps and block_count(graph) < 2:
            return None
        splits = narrowed(graph, splits, option.narrow, option.sweeps)
        if splits == chooser.splits and option.split != "columns":
            return None  # the same as without
    if option.split != "whole" and not _does(splits, option):
        return None
    plan = Plan(len(shares), splits, shares, reasons=chooser.reasons, fuse=True)
    received = unit.expansions if option.receive else frozenset()
    if option.receive and not received:
        return None
    always = (unit.inside | chained_inside(splits)) - received
    plan = recompute_halos(graph, plan, always, given, received)
    layouts = tuple(chooser.owned[value] for value in unit.outputs)
    return _with_input_in_tiles(graph, Chosen(option, plan, layouts))


def _choice(
    unit: Unit, option: Option, shares: Shares, home: int | None, given: Mapping[Value, Layout]
) -> _Choice | None:
    """How every layer is split; None where the option makes no sense for the unit."""
    if option.spread and not any(map(is_product, unit.nodes)):
        return None
    if option.strict and len(unit.nodes) < _MANY_LAYERS:
        return None
    recut = tuple(given) if option.recut or option.strict else ()
    where = shares, home, recut, tuple(given.items())
    chosen = _chosen_by(unit, option.split, *where, option.spread, option.strict)
    if chosen is None or not option.strict:
        return chosen
    freely = _chosen_by(unit, option.split, shares, home, (), tuple(given.items()), False)
    return None if freely is not None and freely.splits == chosen.splits else chosen


def _with_input_in_tiles(graph: Graph, chosen: Chosen) -> Chosen | None:
    """What was chosen, its input in tiles if the option says so; None where it cannot come so."""
    if chosen.option.sweeps:
        return replace(chosen, plan=replace(chosen.plan, stream=True))
    if not chosen.option.hosted:
        return chosen
    plan = in_tiles(graph, chosen.plan, chosen.option.hosted)
    if plan_problems(graph, plan) or not any(split.tiles > 1 for split in plan.splits):
        return None
    return replace(chosen, plan=plan)


_MANY_LAYERS = 12
"""Units of fewer layers have no skip that is long enough."""


@dataclass(frozen=True)
class _Choice:
    """What a chooser decides; most options of a unit begin with the same."""

    splits: tuple[NodeSplit, ...]
    owned: Mapping[Value, Layout]
    reasons: Mapping[str, str]


@lru_cache(maxsize=4096)
def _chosen_by(
    unit: Unit,
    split: str,
    shares: Shares,
    home: int | None,
    recut: tuple[Value, ...],
    given: tuple[tuple[Value, Layout], ...],
    spread: bool,
    strict: bool = False,
) -> _Choice | None:
    whole = split == "whole"
    ways = {n.name: Way.WHOLE for n in unit.nodes} if whole else {}
    if strict:
        ways = {n.name: Way.ROWS for n in unit.nodes if is_weighted(n)}
    wishes = Wishes(
        len(shares),
        split="channels" if whole else split,
        layers=ways,
        shares=shares,
        fuse=True,
    )
    readers = unit.readers
    chooser = Chooser(unit.graph, wishes, shares, home, {}, recut, spread, readers)
    chooser.owned.update(given)
    try:
        splits = tuple(chooser.choose(node) for node in unit.nodes)
    except PlanError:
        return None
    return _Choice(splits, chooser.owned, chooser.reasons)


_DOES = {
    "rows": SPATIAL,
    "columns": (Way.COLUMNS,),
    "grid": (Way.GRID,),
    "channels": (Way.CHANNELS, Way.OUT_CHANNELS, Way.IN_CHANNELS),
    "out_channels": (Way.CHANNELS, Way.OUT_CHANNELS),
}


def _does(splits: tuple[NodeSplit, ...], option: Option) -> bool:
    """Whether an option changed anything: some node really is divided so."""
    if option.small and option.split != "rows":
        return any(split.tiles > 1 for split in splits)
    return any(split.way in _DOES[option.split] for split in splits)
