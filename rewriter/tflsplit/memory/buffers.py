# SPDX-License-Identifier: Apache-2.0
"""Buffers that want a place in the arena's head, and a frozen plan that gives them one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from tflsplit.ir import Value

ALIGNMENT_BYTES = 16  # MicroArenaBufferAlignment()


@dataclass(frozen=True, eq=False)
class Buffer:
    """One piece of the head and the time during which its contents matter.

    size_bytes: as planned, a multiple of ``ALIGNMENT_BYTES``.
    first, last: time steps, both included; 0 is before the first node, node ``i`` is ``i + 1``.
    value: the tensor, or None for a scratch buffer.
    label: the tensor's name, or which node's scratch buffer this is.
    offset_bytes: where the buffer must lie, None where the planner may choose.
    """

    size_bytes: int
    first: int
    last: int
    value: Value | None
    label: str
    offset_bytes: int | None = None

    def overlaps_in_time(self, other: Buffer) -> bool:
        """Whether both are live at some time step."""
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True)
class ArenaPlan:
    """Where every buffer lies in the head of the arena.

    offsets: bytes from the start of the arena, by buffer.
    """

    offsets: Mapping[Buffer, int]

    def __post_init__(self) -> None:
        object.__setattr__(self, "offsets", MappingProxyType(dict(self.offsets)))

    @property
    def head_bytes(self) -> int:
        """The size of the head: the end of the buffer that ends last."""
        return max((at + buffer.size_bytes for buffer, at in self.offsets.items()), default=0)

    @property
    def peak_step(self) -> int:
        """The first step at which most bytes are live; node ``i`` runs at step ``i + 1``."""
        steps = sorted({buffer.first for buffer in self.offsets if buffer.first >= 0})
        live = [
            covered_bytes(
                (at, at + b.size_bytes)
                for b, at in self.offsets.items()
                if b.first <= step <= b.last
            )
            for step in steps
        ]
        return steps[live.index(max(live))] if steps else 0

    def offset_of(self, value: Value) -> int | None:
        """Where a tensor lies; None if it is not in the head (a constant, a variable)."""
        return next((at for buffer, at in self.offsets.items() if buffer.value is value), None)


def covered_bytes(spans: Iterable[tuple[int, int]]) -> int:
    """How many bytes half-open spans of addresses take; those that they share count once."""
    covered = reached = 0
    for start, stop in sorted(spans):
        covered += max(0, stop - max(start, reached))
        reached = max(reached, stop)
    return covered
