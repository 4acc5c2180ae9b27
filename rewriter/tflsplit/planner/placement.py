# SPDX-License-Identifier: Apache-2.0
"""Which device a unit runs on that runs whole, where the flash of all together is tight.

The search only decides *that* a unit runs whole; it takes its weights for spread over all devices,
as if flash were one pool.  Here they get a place, largest first, each where most is left::

    flash   | rows (on every device) | whole | whole | shares of channels |
                                       best fit        what is left over

and units that are split by channels are split in proportion to what is left then.  Rounding to
whole channels may put a device over its limit: the whole plan is checked afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tflsplit.cluster import Cluster
from tflsplit.planner.evaluate import Cost, Step
from tflsplit.planner.shares import Shares, normalized

_CUT_BY_CHANNELS = ("channels", "out_channels")


@dataclass(frozen=True)
class Placement:
    """ranks: of the units that are placed, by their number; shares: of units split by channels."""

    ranks: dict[int, int]
    shares: Shares


def place(cluster: Cluster, steps: Sequence[Step]) -> Placement:
    """A place for every unit that waits for one."""
    left = [float(cluster.weights_room_bytes(rank)) for rank in range(cluster.world_size)]
    waiting: list[tuple[int, int]] = []
    for index, step in enumerate(steps):
        if step.option.placed:
            waiting.append((sum(step.cost.weights_bytes), index))
        elif step.option.split not in _CUT_BY_CHANNELS:
            left = [a - b for a, b in zip(left, step.cost.weights_bytes, strict=True)]
    ranks = {}
    for size, index in sorted(waiting, key=lambda item: (-item[0], item[1])):
        ranks[index] = max(range(len(left)), key=left.__getitem__)
        left[ranks[index]] -= size
    return Placement(ranks, normalized([max(0.0, room) for room in left]))


def pooled(cost: Cost, cluster: Cluster) -> Cost:
    """The cost of a placed unit for the search: weights and tail spread over all devices."""
    rooms = [float(cluster.weights_room_bytes(rank)) for rank in range(cluster.world_size)]
    shares = normalized(rooms)
    weights, tail = sum(cost.weights_bytes), sum(cost.tail_bytes)
    return Cost(
        cost.time_us,
        cost.wire_bytes,
        cost.head_bytes,
        tuple(-(-tail // len(shares)) for _ in shares),
        tuple(int(weights * share) + 1 for share in shares),
    )
