# SPDX-License-Identifier: Apache-2.0
"""How much of a layer each device gets: by what it has of that which is scarce.

Where time is scarce, shares follow speed; where maps do not fit, the RAM that is left for the
arena; where weights do not fit, the flash that is left for them.  A device without any of it gets
nothing of the layer.  Which one suits a unit is for the search to find out.
"""

from __future__ import annotations

from collections.abc import Sequence

from tflsplit.cluster import Cluster
from tflsplit.plan.cost import default_shares
from tflsplit.plan.spec import proportional_bounds

Shares = tuple[float, ...]
"""By rank; they add up to 1."""

SPEED, RAM, FLASH, MIXED = "speed", "RAM", "flash", "speed and RAM"


def share_vectors(cluster: Cluster, preferred: Shares = ()) -> dict[str, Shares]:
    """Shares by name, each vector once: of equal devices there is one only, by speed.

    preferred: what a user asks for, instead of all of them.
    """
    if preferred:
        return {SPEED: preferred}
    ranks = range(cluster.world_size)
    speeds = default_shares(cluster)
    rooms = [float(cluster.arena_room_bytes(rank)) for rank in ranks]
    mixed = [speed * room for speed, room in zip(speeds, rooms, strict=True)]
    candidates = {
        SPEED: speeds,
        RAM: normalized(rooms),
        FLASH: normalized([float(cluster.weights_room_bytes(rank)) for rank in ranks]),
        MIXED: normalized([product**0.5 for product in mixed]),
    }
    vectors: dict[str, Shares] = {}
    for name, shares in candidates.items():
        if not any(_alike(shares, other) for other in vectors.values()):
            vectors[name] = shares
    return vectors


def normalized(amounts: Sequence[float]) -> Shares:
    """Amounts as fractions of their sum; even shares if there is nothing at all."""
    total = sum(amounts)
    if total <= 0:
        return (1.0 / len(amounts),) * len(amounts)
    return tuple(amount / total for amount in amounts)


def _alike(a: Shares, b: Shares) -> bool:
    return all(abs(x - y) < 1e-6 for x, y in zip(a, b, strict=True))


def fewest_shares(shares: Shares, rows: int) -> Shares:
    """Shares of as few devices as make a map of ``rows`` as soon as all of them would.

    14 rows over 8 equal devices are two rows for each of seven: the eighth only costs messages.
    """
    best, slowest = shares, _slowest(shares, shares, rows)
    while sum(share > 0 for share in best) > 1:
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
