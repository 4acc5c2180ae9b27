# SPDX-License-Identifier: Apache-2.0
"""GRANTs that come before their SEND is posted: kept, but not without end."""

from __future__ import annotations

MOST_EARLY_GRANTS = 1024
"""No device asks for more before the host has posted: a box for each operand of its graph."""

Key = tuple[int, int, int]
"""Epoch, channel, rank of who asks."""


class EarlyGrants:
    """The newest of them; a wire that sends others without end costs the oldest, not memory."""

    def __init__(self) -> None:
        self._totals: dict[Key, int] = {}

    def __len__(self) -> int:
        return len(self._totals)

    def keep(self, key: Key, total_bytes: int) -> None:
        """Keep one; of the same key only the last."""
        self._totals.pop(key, None)
        self._totals[key] = total_bytes
        while len(self._totals) > MOST_EARLY_GRANTS:
            del self._totals[next(iter(self._totals))]

    def take(self, epoch: int | None, channel: int, ranks: int) -> list[tuple[int, int]]:
        """Rank and size of those for a channel by ranks of a set; they are forgotten."""
        found = [key for key in self._totals if key[:2] == (epoch, channel) and ranks >> key[2] & 1]
        return [(key[2], self._totals.pop(key)) for key in found]

    def forget_before(self, epoch: int) -> None:
        """Forget those of inferences before ``epoch``."""
        self._totals = {
            key: total for key, total in self._totals.items() if not is_before(key[0], epoch)
        }


def is_before(earlier: int, later: int) -> bool:
    """Whether inference ``earlier`` comes before ``later``, across the wrap at 2^16."""
    return 0 < (later - earlier) & 0xFFFF < 0x8000
