# SPDX-License-Identifier: Apache-2.0
"""One arena, byte for byte: whether every node would find its operands where they were left.

The engines keep every tensor in memory of its own, so equal results say nothing of the places that
were planned.  Here the tensors of an inference that was run are put, node by node, into *one* array
of bytes, at their places, as a device does it::

    inputs ─► arena   for each node: what it reads is there ── its scratch is overwritten ──
                      its results are written ── what is live is still there ── what has died is
                      overwritten                                                  arena ─► outputs

If all is found, each node computes from the arena what it computed from memory of its own: so
tensors that lie over each other (docs/arena.md) give the same bits as those that do not.  A node
that writes its result over an operand is taken row by row: what it reads next is there, what it has
read for the last time is overwritten, then the row of the result is written.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from tflsplit.ir import Graph, Node, Value
from tflsplit.memory.buffers import ArenaPlan, Buffer
from tflsplit.memory.progress import (
    Times,
    is_read_before_written,
    may_still_arrive,
    reading_times,
)
from tflsplit.runtime.engines import Array


class Replay:
    """An arena to replay inferences of one graph in."""

    def __init__(self, graph: Graph, plan: ArenaPlan) -> None:
        """``plan``: a place for every tensor and scratch buffer of ``graph``, right or wrong."""
        self._graph, self._plan = graph, plan
        self._arriving = may_still_arrive(graph)
        self._buffers = {b.value: b for b in plan.offsets if b.value is not None}
        self._arena: NDArray[np.uint8] = np.zeros(plan.head_bytes, np.uint8)
        self._scratch: dict[int, list[Buffer]] = defaultdict(list)
        self._dying: dict[int, list[Buffer]] = defaultdict(list)
        for buffer in plan.offsets:
            if buffer.value not in graph.outputs:  # those the host reads after the last node
                self._dying[buffer.last].append(buffer)
            if buffer.value is None:
                self._scratch[buffer.first].append(buffer)

    @property
    def wanted(self) -> list[Value]:
        """The tensors that ``problems`` must be told."""
        return [value for value in self._graph.values() if value in self._buffers]

    def problems(self, values: Mapping[Value, Array]) -> list[str]:
        """What is not where it should be, at the first node at which anything is not.

        values: all ``wanted`` tensors of one inference.
        """
        # Of a rolling x (docs/custom_ops.md) only a few rows are there, whichever.
        contents = {v: _bytes_of(values[v])[: v.size_bytes] for v in self.wanted}
        live = dict.fromkeys(v for v in self._graph.inputs if v in contents)
        self._write(live, contents)
        self._bury(0, live)  # an input that no node reads
        for time, node in enumerate(self._graph.nodes, 1):
            read = [value for value in node.operands if value in contents]
            found = self._missing(read, contents, f"{node!r} finds no longer")
            for buffer in self._scratch[time]:
                self._spoil(buffer, ())
            made = [value for value in node.outputs if value in contents]
            over = self._used_up(time, node)
            for value in over:
                live.pop(value, None)
            found += self._sweep(node, over, contents, live) if over else []
            self._write(made, contents)
            live.update(dict.fromkeys(made))
            found += self._missing(live, contents, f"{node!r} overwrites")
            if found:
                return found
            self._bury(time, live)
        return self._missing(
            [value for value in self._graph.outputs if value in contents],
            contents,
            "the host finds no longer",
        )

    def _write(self, values: Iterable[Value], contents: Mapping[Value, NDArray[np.uint8]]) -> None:
        for value in values:
            self._place(value)[: len(contents[value])] = contents[value]

    def _used_up(self, time: int, node: Node) -> dict[Value, Times]:
        """Operands that the only result is written over, and when their bytes are read last."""
        if len(node.outputs) != 1 or node.output not in self._buffers:
            return {}
        start, stop = self._span(node.output)
        found: dict[Value, Times] = {}
        for value in node.operands:
            buffer = self._buffers.get(value)
            if buffer is None or buffer.last != time or value in self._graph.outputs:
                continue
            if value in self._arriving:
                continue
            low, high = self._span(value)
            if high <= start or stop <= low:
                continue
            times = reading_times(node, value)
            if times is None and is_read_before_written(node, value, node.output, start - low):
                times = np.arange(high - low)  # value by value, each in its place
            if times is not None:
                found[value] = times
        return found

    def _span(self, value: Value) -> tuple[int, int]:
        start = self._plan.offsets[self._buffers[value]]
        return start, start + value.size_bytes

    def _sweep(
        self,
        node: Node,
        over: Mapping[Value, Times],
        contents: Mapping[Value, NDArray[np.uint8]],
        keep: Iterable[Value],
    ) -> list[str]:
        """A node that reads operands in the times ``over``, while its result lies over them.

        keep: what stays live; it may lie inside an operand, as a shard in what it was gathered to.
        """
        y = node.output
        start, _ = self._span(y)
        row = max(1, y.size_bytes // y.shape[1]) if len(y.shape) == 4 else y.size_bytes
        stops = set(range(row, y.size_bytes, row)) | {y.size_bytes}
        stops.update(int(time) for times in over.values() for time in _steps(times))
        kept = self._covered(keep)
        written = 0
        for stop in sorted(stops):
            dead = np.zeros(len(self._arena), bool)
            for value, times in over.items():
                low, high = self._span(value)
                now = (times >= written) & (times < stop)
                if not np.array_equal(self._arena[low:high][now], contents[value][now]):
                    return [f"{node!r} finds no longer all of {value!r}, over which it writes"]
                dead[low:high] |= now
            for value, times in over.items():
                low, high = self._span(value)
                dead[low:high] &= ~(times >= stop)  # one operand may lie inside another
            dead[start : start + written] = False
            self._arena[dead & ~kept] ^= 0xFF
            self._arena[start + written : start + stop] = contents[y][written:stop]
            written = stop
        return []

    def _place(self, value: Value) -> NDArray[np.uint8]:
        buffer = self._buffers[value]
        start = self._plan.offsets[buffer]
        return self._arena[start : start + buffer.size_bytes]

    def _missing(
        self, values: Iterable[Value], contents: Mapping[Value, NDArray[np.uint8]], says: str
    ) -> list[str]:
        return [
            f"{says} {value!r} in the arena"
            for value in values
            if not np.array_equal(self._place(value)[: len(contents[value])], contents[value])
        ]

    def _bury(self, time: int, live: dict[Value, None]) -> None:
        """Overwrite what nobody needs any more, but for what others hold of the same bytes."""
        dead = self._dying[time]
        for value in [buffer.value for buffer in dead if buffer.value is not None]:
            live.pop(value, None)
        for buffer in dead:
            self._spoil(buffer, live)

    def _spoil(self, buffer: Buffer, keep: Iterable[Value]) -> None:
        """Make every byte another one; it would not do to write what may be there already."""
        spoiled = np.zeros(len(self._arena), bool)
        start = self._plan.offsets[buffer]
        spoiled[start : start + buffer.size_bytes] = True
        self._arena[spoiled & ~self._covered(keep)] ^= 0xFF

    def _covered(self, values: Iterable[Value]) -> NDArray[np.bool_]:
        """Which bytes of the arena are those of ``values``."""
        covered = np.zeros(len(self._arena), bool)
        for value in values:
            start, stop = self._span(value)
            covered[start:stop] = True
        return covered


def _steps(times: Times) -> NDArray[np.int64]:
    """When rows are read; not those times at which value by value is."""
    found, counts = np.unique(times[times > 0], return_counts=True)
    return found[counts > 1]


def _bytes_of(array: Array) -> NDArray[np.uint8]:
    return np.frombuffer(np.ascontiguousarray(array).tobytes(), np.uint8)
