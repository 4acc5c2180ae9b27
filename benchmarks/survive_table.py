# SPDX-License-Identifier: Apache-2.0
"""What came of boards that were killed, as a table."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class Row:
    """What came of the kills of one phase.

    seconds: from the request to the right output, of those that met the inference.
    """

    phase: str
    kills: int = 0
    met: int = 0
    right: int = 0
    wrong: int = 0
    none: int = 0
    not_back: int = 0
    seconds: list[float] = field(default_factory=list)
    gateway_seconds: list[float] = field(default_factory=list)

    @property
    def is_sound(self) -> bool:
        """Whether everything was as it should be."""
        return not (self.wrong or self.none or self.not_back)

    def cells(self) -> list[str]:
        """Of the table."""
        numbers = (self.kills, self.met, self.right, self.wrong, self.none, self.not_back)
        times = [
            f"{statistics.median(some):.1f} ({max(some):.1f})" if some else "–"
            for some in (self.seconds, self.gateway_seconds)
        ]
        return [self.phase, *map(str, numbers), *times]


def total(rows: Sequence[Row]) -> Row:
    """One of all, which are of one phase."""
    sums = {
        name: sum(getattr(row, name) for row in rows)
        for name in ("kills", "met", "right", "wrong", "none", "not_back")
    }
    seconds = [one for row in rows for one in row.seconds]
    return Row(
        rows[0].phase, **sums, seconds=seconds,
        gateway_seconds=[one for row in rows for one in row.gateway_seconds],
    )  # fmt: skip


HEAD = [
    "killed while", "kills", "that met an inference", "right", "wrong", "no answer",
    "not taken in again", "s until right (most)", "s of the gateway's",
]  # fmt: skip


def table(rows: Sequence[Row]) -> str:
    """Markdown."""
    lines = [HEAD, ["---"] * len(HEAD), *(row.cells() for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
