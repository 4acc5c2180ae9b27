# SPDX-License-Identifier: Apache-2.0
"""Which activations of a device leave its main RAM, where that is too small for all.

    main RAM, limit ------------------------            bank, slower
      | scratch | c    |      | e |                      | a           |
      | b            |   | d      |                      | f    |

Scratch stays if it can, since kernels read it most.  While too much is live at one time, the tensor
leaves that makes enough room by itself and is read and written least in an inference; at last, what
finds room again comes back.  What has left is spread over the first bank, then the next, by the
same rule.  Tensors that lie over each other (``aliases``, ``overlays``) do so within one memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tflsplit.errors import InternalError
from tflsplit.ir import Graph, Value
from tflsplit.memory.abi import CORTEX_M, ESP32
from tflsplit.memory.arena import KERNEL_FLAVOURS, predict_arena
from tflsplit.memory.banks import BANKS_NAME, bank_starts, crossings, starts_blob
from tflsplit.memory.better import Head, best_plan, groupings, places_of
from tflsplit.memory.buffers import ALIGNMENT_BYTES, Buffer
from tflsplit.memory.greedy import greedy_plan
from tflsplit.memory.groups import Group, Over, bytes_by_time, lying_over, single
from tflsplit.memory.offline import METADATA_NAME, offsets_blob
from tflsplit.memory.overlap import plan_violations

_TRIES = 24
"""So many of what has left may come back; each takes a plan."""


def spread(graph: Graph, rooms: Sequence[int], checked: bool = True) -> Graph:
    """The graph with its activations in several memories; itself if the first has room for all.

    rooms: bytes for the arena in the main RAM, then in each bank; the last may turn out too small.
    checked: by ``plan_violations``.  InternalError if the plan is unsound (a bug).
    """
    if len(rooms) < 2:
        return graph
    estimates = [predict_arena(graph, a, k) for a in (CORTEX_M, ESP32) for k in KERNEL_FLAVOURS]
    if max(each.required_bytes for each in estimates) <= rooms[0]:
        return graph
    limit = max(0, rooms[0] - max(each.tail_bytes for each in estimates))
    made = _Spreading(graph).graph([limit // ALIGNMENT_BYTES * ALIGNMENT_BYTES, *rooms[1:]])
    if checked and (problems := _problems(made)):
        raise InternalError("the planned banks are unsound: " + "; ".join(problems[:3]))
    return made


def _problems(graph: Graph) -> list[str]:
    found = []
    for kernels in KERNEL_FLAVOURS:
        plan = predict_arena(graph, kernels=kernels).plan
        found += plan_violations(graph, plan, plan.head_bytes)
        found += crossings(plan, bank_starts(graph))
    return found


@dataclass
class _Level:
    """What one memory holds, and its size with that."""

    groups: list[Group]
    places: Mapping[Value, int] = field(default_factory=dict)
    size_bytes: int = 0


class _Spreading:
    """Of one graph."""

    def __init__(self, graph: Graph) -> None:
        self._graph, self._head = graph, Head(graph)
        layouts = self._head.laid_out({})
        sizes = [plan.head_bytes for plan in layouts]
        index = sizes.index(max(sizes))
        buffers = self._head.buffers(index)
        self._over = lying_over(buffers, self._head.overlays)
        self._groups = groupings(graph, buffers)[0]
        self._flavours = [self._head.buffers(index) for index in range(len(layouts))]
        known = {_key(buffer) for buffer in buffers}
        others = [b for flavour in self._flavours for b in flavour if _key(b) not in known]
        self._groups += single(others)
        self._uses = _uses(graph)

    def graph(self, limits: Sequence[int]) -> Graph:
        """With places within the limits, as far as there are any."""
        places: dict[Value, int] = {}
        starts, start, rest = [], 0, self._groups
        for index, limit in enumerate(limits):
            is_last = index == len(limits) - 1
            level, rest = (self._level(rest), []) if is_last else self._filled(rest, limit)
            starts.append(start)
            places |= {value: start + at for value, at in level.places.items()}
            start += level.size_bytes
        metadata = {
            METADATA_NAME: offsets_blob(places, self._head.order),
            BANKS_NAME: starts_blob(starts[1:]),
        }
        return replace(self._graph, metadata={**self._graph.metadata, **metadata})

    def _filled(self, groups: Sequence[Group], limit: int) -> tuple[_Level, list[Group]]:
        """What a memory takes of ``groups``, and what is left."""
        level, left = self._level(groups), list[Group]()
        while level.size_bytes > limit and (group := self._leaving(level, limit)) is not None:
            left.append(group)
            level = self._level([each for each in level.groups if each is not group])
        if level.size_bytes <= limit:
            for group in sorted(left, key=self._worth, reverse=True)[:_TRIES]:
                back = [*level.groups, group]
                if self._peak(back)[0] > limit:
                    continue
                if (tried := self._level(back)).size_bytes <= limit:
                    level = tried
        return level, [group for group in left if group not in level.groups]

    def _level(self, groups: Sequence[Group]) -> _Level:
        """The groups laid out in one memory, as TFLM does it with every flavour of kernels."""
        if not groups:
            return _Level([])
        places = places_of(best_plan(groups, self._of(groups)))
        here = {_key(buffer) for group in groups for buffer, _ in group.members}
        plans = [
            greedy_plan([_placed(buffer, places) for buffer in flavour if _key(buffer) in here])
            for flavour in self._flavours
        ]
        return _Level(list(groups), places, max(plan.head_bytes for plan in plans))

    def _leaving(self, level: _Level, limit: int) -> Group | None:
        """What makes enough room where most is live; scratch only where there is nothing else."""
        peak, time = self._peak(level.groups)
        excess = max(peak, level.size_bytes) - limit
        tensors = [group for group in level.groups if group.members[0][0].value is not None]
        movable = tensors or level.groups
        live = [group for group in movable if group.first <= time <= group.last] or movable
        enough = [group for group in live if group.size_bytes >= excess]
        if enough:
            return min(enough, key=lambda group: (self._traffic(group), group.size_bytes))
        return max(live, key=lambda group: group.size_bytes, default=None)

    def _peak(self, groups: Sequence[Group]) -> tuple[int, int]:
        """The most that is live, and when."""
        by_time = bytes_by_time(groups, self._of(groups))
        return max(((size, time) for time, size in by_time.items()), default=(0, 0))

    def _of(self, groups: Iterable[Group]) -> Over:
        here = {buffer for group in groups for buffer, _ in group.members}
        return {pair: span for pair, span in self._over.items() if here.issuperset(pair)}

    def _traffic(self, group: Group) -> int:
        """Bytes that an inference reads and writes of it."""
        return sum(self._uses.get(b.value, 0) * b.size_bytes for b, _ in group.members if b.value)

    def _worth(self, group: Group) -> float:
        return self._traffic(group) / max(1, group.size_bytes)


def _key(buffer: Buffer) -> Value | str:
    """What a buffer is, with whichever kernels."""
    return buffer.label if buffer.value is None else buffer.value


def _placed(buffer: Buffer, places: Mapping[Value, int]) -> Buffer:
    at = None if buffer.value is None else places[buffer.value]
    return replace(buffer, offset_bytes=at)


def _uses(graph: Graph) -> dict[Value, int]:
    """How often each tensor is read or written as a whole."""
    found: dict[Value, int] = dict.fromkeys((*graph.inputs, *graph.outputs), 1)
    for node in graph.nodes:
        for value in (*node.operands, *node.outputs):
            found[value] = found.get(value, 0) + 1
    return found
