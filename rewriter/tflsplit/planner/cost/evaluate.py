# SPDX-License-Identifier: Apache-2.0
"""What an option costs a cluster: time, bytes, memory of every kind; ``costs`` finds it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from operator import le

from tflsplit.ir import Value
from tflsplit.plan.spec import Plan
from tflsplit.planner.ways.options import Chosen, Layout, Option
from tflsplit.planner.ways.units import Unit


@dataclass(frozen=True)
class Memory:
    """What one unit needs on each rank.

    head_bytes, tail_bytes: the arena's head while the unit runs, and what its operators add to the
        tail; weights_bytes: constants.
    """

    head_bytes: tuple[int, ...]
    tail_bytes: tuple[int, ...]
    weights_bytes: tuple[int, ...]


@dataclass(frozen=True)
class Above:
    """That a unit needs a head of so many bytes or more on a rank, which is more than was asked."""

    rank: int
    head_bytes: int


@dataclass(frozen=True)
class Traffic:
    """What one unit adds to an inference.

    time_us: from its first exchange to its last result, all ranks starting together; with what the
        host sends for it and takes from it.
    wire_bytes: over all wires, headers and control frames included.
    """

    time_us: float
    wire_bytes: int


@dataclass(frozen=True)
class Cost:
    """What one unit adds to an inference, and what it needs.

    find_traffic, find_memory: predict the unit, and lower it, which takes most of an evaluation;
        often only one of them is asked for, or of the memory only whether it is above a limit.
    """

    find_traffic: Callable[[], Traffic]
    find_memory: Callable[..., Memory | Above]

    @cached_property
    def traffic(self) -> Traffic:
        """What it adds, found once."""
        return self.find_traffic()

    @property
    def time_us(self) -> float:
        """Of ``traffic``."""
        return self.traffic.time_us

    @property
    def wire_bytes(self) -> int:
        """Of ``traffic``."""
        return self.traffic.wire_bytes

    @cached_property
    def memory(self) -> Memory:
        """What it needs, found once."""
        found = self.find_memory()
        assert isinstance(found, Memory)
        return found

    def is_above(self, most: Sequence[float]) -> bool:
        """Whether it needs a larger head on some rank; that is known before all it needs is."""
        found: Memory | Above | None = vars(self).get("memory") or vars(self).get("_above")
        if found is None or (isinstance(found, Above) and found.head_bytes <= most[found.rank]):
            found = self.find_memory(most)
            vars(self)["_above" if isinstance(found, Above) else "memory"] = found
        return isinstance(found, Above) or not all(map(le, found.head_bytes, most))

    @property
    def knows_memory(self) -> bool:
        """Whether ``memory`` was asked for."""
        return "memory" in vars(self)

    @property
    def head_bytes(self) -> tuple[int, ...]:
        """By rank, of ``memory``."""
        return self.memory.head_bytes

    @property
    def tail_bytes(self) -> tuple[int, ...]:
        """By rank, of ``memory``."""
        return self.memory.tail_bytes

    @property
    def weights_bytes(self) -> tuple[int, ...]:
        """By rank, of ``memory``."""
        return self.memory.weights_bytes


@dataclass(frozen=True)
class Step:
    """A unit under an option, from given layouts of its inputs to those of its outputs.

    pooled: whether its weights may still go to any device (``placement.py``).
    """

    unit: Unit
    option: Option
    plan: Plan
    layouts: tuple[Layout, ...]
    cost: Cost
    pooled: bool = False

    @cached_property
    def left_bytes(self) -> tuple[int, ...]:
        """By rank, the largest tensor that it leaves there: its head is no smaller.

        Known before the unit is lowered.
        """
        pairs = list(zip(self.unit.outputs, self.layouts, strict=True))
        return tuple(
            max((boxes[rank].size * value.dtype.itemsize for value, boxes in pairs), default=0)
            for rank in range(self.plan.world_size)
        )

    def is_like(self, other: Step | Chosen) -> bool:
        """Whether the other is the same way, perhaps of another unit of the same kind."""
        splits, others = self.plan.splits, other.plan.splits
        if self.option.placed != other.option.placed or len(splits) != len(others):
            return False
        if self.plan.stream != other.plan.stream:
            return False
        return all(
            a == (b if a.node == b.node else replace(b, node=a.node))
            for a, b in zip(splits, others, strict=True)
        )

    @property
    def pool_bytes(self) -> int:
        """Weights that wait for a place."""
        return sum(self.cost.weights_bytes) if self.pooled else 0

    @property
    def fixed_bytes(self) -> tuple[int, ...]:
        """By rank: weights that have their place."""
        return (0,) * len(self.cost.weights_bytes) if self.pooled else self.cost.weights_bytes

    def is_quicker_and_sends_less(self, other: Step) -> bool:
        """Whether it is no worse in both, and leaves the same layouts; memory is not looked at."""
        mine, its = self.cost, other.cost
        no_worse = mine.time_us <= its.time_us and mine.wire_bytes <= its.wire_bytes
        return no_worse and self.layouts == other.layouts

    def of_unit(self, unit: Unit) -> Step:
        """The same step of a unit with the same signature."""
        if unit is self.unit:
            return self
        names = {a.name: b.name for a, b in zip(self.unit.nodes, unit.nodes, strict=True)}
        plan = replace(
            self.plan,
            splits=tuple(replace(split, node=names[split.node]) for split in self.plan.splits),
            reasons={names[name]: text for name, text in self.plan.reasons.items()},
        )
        return replace(self, unit=unit, plan=plan)


def arena_of(steps: Sequence[Step]) -> float:
    """About what the fullest device needs for some units, one after the other."""
    heads = [max(each) for each in zip(*(s.cost.head_bytes for s in steps), strict=True)]
    tails = [sum(each) for each in zip(*(s.cost.tail_bytes for s in steps), strict=True)]
    return float(max(map(sum, zip(heads, tails, strict=True))))


def tail_of(steps: Sequence[Step]) -> int:
    """What some units add to the tail of the device where that is the most."""
    return max(map(sum, zip(*(step.cost.tail_bytes for step in steps), strict=True)), default=0)


def holders(boxes: Layout) -> list[int]:
    """The ranks that have something of a tensor."""
    return [rank for rank, box in enumerate(boxes) if not box.is_empty]


def is_on_one_rank(given: Mapping[Value, Layout]) -> bool:
    """Whether all that there is of some tensors is on one device."""
    return bool(given) and len({rank for boxes in given.values() for rank in holders(boxes)}) == 1
