# SPDX-License-Identifier: Apache-2.0
"""Dynamic programming over the units of a model.

State: how the tensor between two units lies over the devices.  Edge: a unit under an option, with
all that it costs.  RAM is a limit for each unit alone (maps of different units are not alive at
the same time), so an edge that needs too much is left out; flash and the arena's tail add up, so
every state keeps all labels that no other one beats in everything:

    label = (objective so far, fullest flash, tail)          kept if not dominated

With the layouts as states this is exact: it finds the best of all combinations of options (a test
compares it with their enumeration).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tflsplit.ir import Value
from tflsplit.planner.evaluate import Step
from tflsplit.planner.options import Layout
from tflsplit.planner.units import Unit

State = tuple[Layout, ...]
"""Layouts of the tensors between two units."""

Expand = Callable[[int, Mapping[Value, Layout]], Sequence[Step]]
"""The steps that a unit (by index) can take from given layouts."""

MOST_LABELS = 256
"""A state's front that grows longer is thinned; only this makes the search inexact."""

FLASH_BUCKETS = 96
"""A thinned front has labels for so many fillings of the fullest flash."""


@dataclass(frozen=True)
class Limits:
    """Hard limits, by rank.

    head_bytes: of the arena's head, for every unit; weights_bytes: of all units together.
    """

    head_bytes: tuple[float, ...]
    weights_bytes: tuple[float, ...]


@dataclass(frozen=True)
class Label:
    """A way to get to a state.

    value: of the objective so far; weights_bytes, tail_bytes: by rank, so far.
    """

    value: float
    weights_bytes: tuple[int, ...]
    tail_bytes: tuple[int, ...]
    step: Step | None = None
    before: Label | None = None

    def steps(self) -> list[Step]:
        """The steps that led here, first to last."""
        steps: list[Step] = []
        label: Label | None = self
        while label is not None and label.step is not None:
            steps.append(label.step)
            label = label.before
        return steps[::-1]

    def beats(self, other: Label) -> bool:
        """Whether nothing speaks for the other one."""
        return (
            self.value <= other.value
            and max(self.tail_bytes) <= max(other.tail_bytes)
            and all(a <= b for a, b in zip(self.weights_bytes, other.weights_bytes, strict=True))
        )


def search(
    units: Sequence[Unit],
    expand: Expand,
    objective: Callable[[Step], float],
    limits: Limits,
) -> list[Label]:
    """The labels of all ways through the units that are not dominated; empty if nothing fits."""
    world_size = len(limits.head_bytes)
    nothing = (0,) * world_size
    front: dict[State, list[Label]] = {(): [Label(0.0, nothing, nothing)]}
    for index, unit in enumerate(units):
        reached: dict[State, list[Label]] = {}
        for state, labels in front.items():
            given = dict(zip(_outputs_before(units, index), state, strict=True))
            needed = {value: given[value] for value in unit.inputs if value in given}
            for step in expand(index, needed):
                if not _fits(step.cost.head_bytes, limits.head_bytes):
                    continue
                for label in labels:
                    _keep(reached, step, _extended(label, step, objective), limits)
        front = reached
    return [label for labels in front.values() for label in labels]


def _outputs_before(units: Sequence[Unit], index: int) -> tuple[Value, ...]:
    return units[index - 1].outputs if index else ()


def _extended(label: Label, step: Step, objective: Callable[[Step], float]) -> Label:
    cost = step.cost
    return Label(
        label.value + objective(step),
        tuple(a + b for a, b in zip(label.weights_bytes, cost.weights_bytes, strict=True)),
        tuple(a + b for a, b in zip(label.tail_bytes, cost.tail_bytes, strict=True)),
        step,
        label,
    )


def _fits(amounts: Sequence[float], limits: Sequence[float]) -> bool:
    return all(amount <= limit for amount, limit in zip(amounts, limits, strict=True))


def _keep(reached: dict[State, list[Label]], step: Step, label: Label, limits: Limits) -> None:
    """Add a label to its state's front, unless it breaks a limit or is beaten."""
    if not _fits(label.weights_bytes, limits.weights_bytes):
        return
    labels = reached.setdefault(step.layouts, [])
    if any(other.beats(label) for other in labels):
        return
    labels[:] = [other for other in labels if not label.beats(other)]
    labels.append(label)
    if len(labels) > MOST_LABELS:
        labels[:] = _thinned(labels, limits)


def _thinned(labels: Sequence[Label], limits: Limits) -> list[Label]:
    """The best value and the least tail of each bucket of flash, from empty to full."""
    buckets: dict[int, list[Label]] = {}
    for label in labels:
        shares = zip(label.weights_bytes, limits.weights_bytes, strict=True)
        fullest = max(used / limit if limit else 0.0 for used, limit in shares)
        buckets.setdefault(int(fullest * FLASH_BUCKETS), []).append(label)
    kept = []
    for bucket in buckets.values():
        best = min(bucket, key=lambda label: label.value)
        flattest = min(bucket, key=lambda label: max(label.tail_bytes))
        kept += [best] if best is flattest else [best, flattest]
    return kept
