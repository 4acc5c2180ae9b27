# SPDX-License-Identifier: Apache-2.0
"""Dynamic programming over the units of a model.

State: how the tensor between two units lies over the devices.  Edge: a unit under an option, with
all that it costs.  RAM is a limit for each unit alone (maps of different units are not alive at
the same time), so an edge that needs too much is left out; flash and the arena's tail add up, so
every state keeps all labels that no other one beats in everything:

    label = (objective so far, flash by rank, flash of all, tail)     kept if not dominated

where every device has flash for all weights, in the objective and the tail.

With the layouts as states this is exact: it finds the best of all combinations of options (a test
compares it with their enumeration).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import le

from tflsplit.ir import Value
from tflsplit.planner.cost.evaluate import Step
from tflsplit.planner.searching.front import Arrival, Front, arrived
from tflsplit.planner.ways.options import Layout
from tflsplit.planner.ways.units import Unit

SCARCE = 1.2
"""Flash is scarce where a device has less than so many times all weights."""

State = tuple[Layout, ...]
"""Layouts of the tensors between two units."""

Expand = Callable[[int, Mapping[Value, Layout]], Sequence[Step]]
"""The steps that a unit (by index) can take from given layouts."""


@dataclass(frozen=True)
class Limits:
    """Hard limits, by rank.

    head_bytes: of the arena's head, for every unit; weights_bytes: of all units together.
    """

    head_bytes: tuple[float, ...]
    weights_bytes: tuple[float, ...]


@dataclass(frozen=True)
class Label:
    """A way through all units.

    value: of the objective; weights_bytes, tail_bytes: by rank; pool_bytes: weights of units that
        may go to any device.
    """

    value: float
    weights_bytes: tuple[float, ...]
    tail_bytes: tuple[float, ...]
    pool_bytes: float
    front: Front
    row: int

    def steps(self) -> list[Step]:
        """The steps of the way, first to last."""
        return self.front.way(self.row)


def search(
    units: Sequence[Unit],
    expand: Expand,
    objective: Callable[[Step], float],
    limits: Limits,
) -> list[Label]:
    """The labels of all ways through the units that are not dominated; empty if nothing fits."""
    coming = _weights_from(units)
    if coming[0] > sum(limits.weights_bytes):
        return []
    is_scarce = min(limits.weights_bytes) < SCARCE * sum(unit.weights_bytes for unit in units)
    fronts: dict[State, Front] = {(): Front.start(len(limits.head_bytes))}
    for index, unit in enumerate(units):
        reached: dict[State, list[Arrival]] = {}
        for state, front in fronts.items():
            given = dict(zip(_outputs_before(units, index), state, strict=True))
            needed = {value: given[value] for value in unit.inputs if value in given}
            for step in expand(index, needed):
                if has_room(step, limits.head_bytes):
                    arrival = front, step, objective(step)
                    reached.setdefault(step.layouts, []).append(arrival)
        fronts = {
            state: front
            for state, arrivals in reached.items()
            if len(front := arrived(arrivals, limits.weights_bytes, coming[index + 1], is_scarce))
        }
    return [label for front in fronts.values() for label in _labels(front)]


def _weights_from(units: Sequence[Unit]) -> list[int]:
    """By unit: bytes of weights that it and those behind it bring, however they are divided.

    A label that leaves less flash than that is given up at once.
    """
    coming = [0]
    for unit in reversed(units):
        coming.insert(0, coming[0] + unit.matrices_bytes)
    return coming


def unlimited(
    units: Sequence[Unit], expand: Expand, objective: Callable[[Step], float]
) -> list[Step] | None:
    """The best way through the units where RAM and flash do not matter; they are not looked at.

    What it comes to may fit all the same, and is the best then.  None if there is no way at all.
    """
    best: dict[State, tuple[float, list[Step]]] = {(): (0.0, [])}
    for index, unit in enumerate(units):
        reached: dict[State, tuple[float, list[Step]]] = {}
        for state, (value, way) in best.items():
            given = dict(zip(_outputs_before(units, index), state, strict=True))
            needed = {value: given[value] for value in unit.inputs if value in given}
            for step in expand(index, needed):
                total = value + objective(step)
                if step.layouts not in reached or total < reached[step.layouts][0]:
                    reached[step.layouts] = total, [*way, step]
        best = reached
    return min(best.values(), key=lambda found: found[0])[1] if best else None


def _outputs_before(units: Sequence[Unit], index: int) -> tuple[Value, ...]:
    return units[index - 1].outputs if index else ()


def has_room(step: Step, heads: Sequence[float]) -> bool:
    """Whether its head is within the limits; one that leaves too much behind is not lowered."""
    return _fits(step.left_bytes, heads) and not step.cost.is_above(heads)


def _fits(amounts: Sequence[float], limits: Sequence[float]) -> bool:
    return all(map(le, amounts, limits))


def _labels(front: Front) -> Iterator[Label]:
    for row, value in enumerate(front.values.tolist()):
        *weights, pool = front.weights[row].tolist()
        yield Label(value, tuple(weights), tuple(front.tails[row].tolist()), pool, front, row)
