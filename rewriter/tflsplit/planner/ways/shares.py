# SPDX-License-Identifier: Apache-2.0
"""How much of a layer each device gets: by what it has of that which is scarce.

Where time is scarce, shares follow speed; where maps do not fit, the RAM that is left for the
arena.  Which one suits a unit is for the search to find out.  (Where weights do not fit, shares
follow the flash that is left: ``placement.py``.)
"""

from __future__ import annotations

from collections.abc import Sequence

from tflsplit.cluster import Cluster
from tflsplit.plan.cost import default_shares
from tflsplit.plan.spec import active_count, proportional_bounds

Shares = tuple[float, ...]
"""By rank; they add up to 1."""

SPEED, RAM = "speed", "RAM"


def share_vectors(cluster: Cluster, preferred: Shares = ()) -> dict[str, Shares]:
    """Shares by name; of equal devices there is one vector only, by speed.

    preferred: what a user asks for, instead of all of them.
    """
    if preferred:
        return {SPEED: preferred}
    speeds = default_shares(cluster)
    rooms = [float(cluster.arena_room_bytes(rank)) for rank in range(cluster.world_size)]
    by_ram = normalized(rooms)
    if all(abs(a - b) < 1e-6 for a, b in zip(speeds, by_ram, strict=True)):
        return {SPEED: speeds}
    return {SPEED: speeds, RAM: by_ram}


def normalized(amounts: Sequence[float]) -> Shares:
    """Amounts as fractions of their sum; even shares if there is nothing at all."""
    total = sum(amounts)
    if total <= 0:
        return (1.0 / len(amounts),) * len(amounts)
    return tuple(amount / total for amount in amounts)


def fewest_shares(shares: Shares, rows: int) -> Shares:
    """Shares of as few devices as make a map of ``rows`` as soon as all of them would.

    14 rows over 8 equal devices are two rows for each of seven: the eighth only costs messages.
    """
    best, slowest = shares, _slowest(shares, shares, rows)
    while active_count(best) > 1:
        smallest = min(share for share in best if share > 0)
        out = max(rank for rank, share in enumerate(best) if share == smallest)
        left = [rank for rank, share in enumerate(best) if share > 0 and rank != out]
        fewer = only(shares, left)
        if _slowest(fewer, shares, rows) > slowest * (1 + 1e-9):
            return best
        best = fewer
    return best


def _slowest(shares: Shares, speeds: Shares, rows: int) -> float:
    bounds = proportional_bounds(rows, shares)
    return max(
        (stop - start) / speed if speed > 0 else 0.0
        for start, stop, speed in zip(bounds, bounds[1:], speeds, strict=False)
    )


def only(shares: Shares, ranks: Sequence[int]) -> Shares:
    """The shares of some ranks; the others get nothing."""
    return normalized([share if rank in ranks else 0.0 for rank, share in enumerate(shares)])


def part_of(shares: Shares, part: int) -> Shares:
    """The shares of the first half (``part`` 2), quarter (4), ... of the devices that take part."""
    active = [rank for rank, share in enumerate(shares) if share > 0]
    return shares if part <= 1 else only(shares, active[: max(1, -(-len(active) // part))])
