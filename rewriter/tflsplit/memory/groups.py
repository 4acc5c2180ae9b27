# SPDX-License-Identifier: Apache-2.0
"""Buffers tied to each other: placed as one, each counted only while it is live.

    time    1   2   3   4                 A tie fixes where one lies relative to the other; the rest
    shard   ======= |   |    at 16        of the arena sees every member with its own span and
    y       |   =========    at 0         place, so before y is live its rows belong to others.

Two members that share bytes while both are live must hold the same there.  They do if all tensors
on the way of ties between them reach over the shared bytes: each tie says that what its two ends
have in common is equal.  A tie that would bring together anything else is left out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from itertools import accumulate
from types import MappingProxyType

from tflsplit.memory.aliases import Tie
from tflsplit.memory.buffers import ArenaPlan, Buffer, covered_bytes
from tflsplit.memory.kernels import tensor_bytes
from tflsplit.memory.overlays import Overlay


@dataclass(frozen=True, eq=False)
class Group:
    """Buffers that are placed together, or a single one.

    members: each with its offset in bytes from the start of the group; the lowest has 0.
    """

    members: tuple[tuple[Buffer, int], ...]
    size_bytes: int = field(init=False)
    first: int = field(init=False)
    last: int = field(init=False)

    def __post_init__(self) -> None:
        ends = (at + buffer.size_bytes for buffer, at in self.members)
        object.__setattr__(self, "size_bytes", max(ends))
        object.__setattr__(self, "first", min(buffer.first for buffer, _ in self.members))
        object.__setattr__(self, "last", max(buffer.last for buffer, _ in self.members))


def single(buffers: Iterable[Buffer]) -> list[Group]:
    """Every buffer for itself."""
    return [Group(((buffer, 0),)) for buffer in buffers]


def tied(buffers: Sequence[Buffer], ties: Iterable[Tie]) -> list[Group]:
    """The buffers, those of tied values in one group as far as that is sound."""
    by_value = {buffer.value: buffer for buffer in buffers if buffer.value is not None}
    clusters = {buffer: _Cluster({buffer: 0}, {buffer: []}) for buffer in by_value.values()}
    for tie in ties:
        inner, outer = by_value[tie.inner], by_value[tie.outer]
        a, b = clusters[inner], clusters[outer]
        if a is not b and (joined := _joined(a, inner, b, outer, tie.offset_bytes)) is not None:
            clusters.update(dict.fromkeys(joined.places, joined))
    whole = dict.fromkeys(clusters.values())
    scratch = [buffer for buffer in buffers if buffer.value is None]
    return [cluster.group() for cluster in whole] + single(scratch)


@dataclass(eq=False)
class _Cluster:
    """Buffers by relative place, and a tree of ties between them."""

    places: dict[Buffer, int]
    neighbours: dict[Buffer, list[Buffer]]

    def group(self) -> Group:
        lowest = min(self.places.values())
        return Group(tuple((buffer, at - lowest) for buffer, at in self.places.items()))

    def span(self, buffer: Buffer) -> tuple[int, int]:
        """The bytes that the tensor itself takes, without what aligns its end."""
        assert buffer.value is not None
        at = self.places[buffer]
        return at, at + tensor_bytes(buffer.value)

    def way(self, start: Buffer, goal: Buffer) -> list[Buffer]:
        """The only way of ties from one buffer to another, both included."""
        came_from: dict[Buffer, Buffer | None] = {start: None}
        edge = [start]
        while goal not in came_from:
            at = edge.pop()
            new = [buffer for buffer in self.neighbours[at] if buffer not in came_from]
            came_from.update(dict.fromkeys(new, at))
            edge += new
        found, at_end = [], came_from[goal]
        while at_end is not None:
            found.append(at_end)
            at_end = came_from[at_end]
        return [goal, *found]

    def holds_the_same(self, a: Buffer, b: Buffer) -> bool:
        """Whether two buffers may be live at once where they lie."""
        (a_start, a_stop), (b_start, b_stop) = self.span(a), self.span(b)
        start, stop = max(a_start, b_start), min(a_stop, b_stop)
        if start >= stop or not a.overlaps_in_time(b):
            return True
        spans = [self.span(buffer) for buffer in self.way(a, b)]
        return all(low <= start and stop <= high for low, high in spans)


def _joined(
    a: _Cluster, inner: Buffer, b: _Cluster, outer: Buffer, offset_bytes: int
) -> _Cluster | None:
    """Both clusters, with ``inner`` at ``offset_bytes`` of ``outer``; None if that is unsound."""
    shift = b.places[outer] + offset_bytes - a.places[inner]
    places = {**b.places, **{buffer: at + shift for buffer, at in a.places.items()}}
    neighbours = {
        **a.neighbours,
        **b.neighbours,
        inner: [*a.neighbours[inner], outer],
        outer: [*b.neighbours[outer], inner],
    }
    joined = _Cluster(places, neighbours)
    sound = all(joined.holds_the_same(x, y) for x in a.places for y in b.places)
    return joined if sound else None


Meeting = Mapping[Buffer, Sequence[Buffer]]
"""Buffers that are live at the same time as one, by that one."""


def meeting(groups: Iterable[Group]) -> Meeting:
    """Which buffers may not share bytes unless they hold the same; found in order of time."""
    found: dict[Buffer, list[Buffer]] = {}
    live: list[Buffer] = []
    buffers = (buffer for group in groups for buffer, _ in group.members)
    for buffer in sorted(buffers, key=lambda buffer: buffer.first):
        live = [other for other in live if other.last >= buffer.first]
        found[buffer] = list(live)
        for other in live:
            found[other].append(buffer)
        live.append(buffer)
    return found


Over = Mapping[tuple[Buffer, Buffer], tuple[int, int]]
"""By (result, operand): from where to where the one may begin, from the start of the other."""


def lying_over(buffers: Iterable[Buffer], overlays: Iterable[Overlay]) -> Over:
    """Overlays by the buffers that they are of."""
    by_value = {buffer.value: buffer for buffer in buffers if buffer.value is not None}
    found: dict[tuple[Buffer, Buffer], tuple[int, int]] = {}
    for each in overlays:
        result, operand = by_value.get(each.result), by_value.get(each.operand)
        if result is not None and operand is not None and result.first == operand.last:
            found[result, operand] = each.low_bytes, each.high_bytes
    return found


_NOTHING_OVER: Over = MappingProxyType({})


def place(
    groups: Sequence[Group], meets: Meeting | None = None, over: Over = _NOTHING_OVER
) -> ArenaPlan:
    """Each group at the lowest address at which no member meets one placed before it.

    meets: which could, if that is known: of the same groups in any order.
    """
    meets = meeting(groups) if meets is None else meets
    offsets: dict[Buffer, int] = {}
    sharing = {buffer for pair in over for buffer in pair}
    for group in groups:
        base = _lowest(offsets, group, meets, over, sharing)
        for buffer, at in group.members:
            offsets[buffer] = base + at
    return ArenaPlan(offsets)


def _lowest(
    offsets: Mapping[Buffer, int], group: Group, meets: Meeting, over: Over, sharing: Set[Buffer]
) -> int:
    # The base may not lie between `low` and `high`, for any of these.
    blocked: list[tuple[int, int]] = []
    for buffer, at in group.members:
        met = [other for other in meets[buffer] if other in offsets]
        if buffer in sharing:
            for other in met:
                blocked += _blocked(buffer, at, other, offsets[other], over)
        else:
            top = at + buffer.size_bytes
            blocked += [(offsets[o] - top, offsets[o] + o.size_bytes - at) for o in met]
    base = 0
    for low, high in sorted(blocked):
        if low >= base:
            break
        base = max(base, high)
    return base


def _blocked(
    buffer: Buffer, at: int, other: Buffer, start: int, over: Over
) -> tuple[tuple[int, int], ...]:
    """Where the base may not lie because of one other buffer, which begins at ``start``."""
    before, behind = start - at - buffer.size_bytes, start + other.size_bytes - at
    if (may := over.get((buffer, other))) is not None:
        return (before, start + may[0] - at), (start + may[1] - at, behind)
    if (may := over.get((other, buffer))) is not None:
        return (before, start - may[1] - at), (start - may[0] - at, behind)
    return ((before, behind),)


def peak_bytes(groups: Sequence[Group], over: Over = _NOTHING_OVER) -> int:
    """The most that is live at one time, shared bytes once: no plan of them can do with less."""
    return max(bytes_by_time(groups, over).values(), default=0)


def bytes_by_time(groups: Sequence[Group], over: Over = _NOTHING_OVER) -> dict[int, int]:
    """What is live, shared bytes once, from each time at which that changes."""
    changes: dict[int, int] = defaultdict(int)
    operands: dict[Buffer, int] = defaultdict(int)
    for result, operand in over:
        operands[result] += operand.size_bytes
    for result, size_bytes in operands.items():
        saved = min(result.size_bytes, size_bytes)
        changes[result.first] -= saved
        changes[result.first + 1] += saved
    for group in groups:
        before = 0
        for time in sorted({t for buffer, _ in group.members for t in _changing(buffer)}):
            live = _live_bytes(group, time)
            changes[time] += live - before
            before = live
    times = sorted(changes)
    return dict(zip(times, accumulate(changes[time] for time in times), strict=True))


def _changing(buffer: Buffer) -> tuple[int, int]:
    """When a buffer begins to be live, and when it is no more."""
    return buffer.first, buffer.last + 1


def _live_bytes(group: Group, time: int) -> int:
    return covered_bytes(
        (at, at + buffer.size_bytes)
        for buffer, at in group.members
        if buffer.first <= time <= buffer.last
    )
