# SPDX-License-Identifier: Apache-2.0
"""Which device a unit runs on that runs whole, where the flash of all together is tight.

The search only decides *that* a unit runs whole; it takes its weights for spread over all devices,
as if flash were one pool.  Here they get a place, largest first, each where most is left::

    flash   | rows (on every device) | whole | whole | shares of channels |
                                       best fit        what is left over

Units that are split by channels fill the rest: those that need most RAM evenly, as far as there is
room, the one that needs least (a fully connected layer) in proportion to what is left then.
Rounding to whole channels may put a device over its limit: the whole plan is checked afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tflsplit.planner.cost.evaluate import Step
from tflsplit.planner.ways.shares import Shares, normalized


@dataclass(frozen=True)
class Placement:
    """What was found for single units, by their number.

    ranks: of units that run whole; shares: of units that are split by channels.
    """

    ranks: dict[int, int]
    shares: dict[int, Shares]


def place(rooms: Sequence[int], steps: Sequence[Step], even: Shares) -> Placement:
    """A place for every unit that waits for one.

    rooms: by rank, flash for weights; even: shares where there is room enough.
    """
    left = [float(room) for room in rooms]
    groups: list[list[int]] = []
    follows = False
    for index, step in enumerate(steps):
        whole = step.option.split == "whole" and step.pooled
        if whole and follows:
            groups[-1].append(index)  # on the same device, if it has room
        elif whole:
            groups.append([index])
        elif not step.pooled:
            left = [a - b for a, b in zip(left, step.cost.weights_bytes, strict=True)]
        follows = whole and not steps[min(index + 1, len(steps) - 1)].option.placed
    sizes = [step.pool_bytes for step in steps]
    ranks = _packed(groups, sizes, left)
    cut = [i for i, step in enumerate(steps) if step.pooled and i not in ranks and sizes[i]]
    cut.sort(key=lambda index: -max(steps[index].cost.head_bytes))
    shares = {index: _taken(sizes[index], left, even, index == cut[-1]) for index in cut}
    return Placement(ranks, shares)


def _taken(size: int, left: list[float], even: Shares, is_last: bool) -> Shares:
    """Shares of ``size`` bytes within what is ``left``, which they use up."""
    shares = normalized([max(0.0, room) for room in left]) if is_last else even
    amounts = [share * size for share in shares]
    for _ in left:
        over = [max(0.0, a - max(0.0, room)) for a, room in zip(amounts, left, strict=True)]
        free = [s if a < r else 0.0 for s, a, r in zip(shares, amounts, left, strict=True)]
        if is_last or sum(over) < 1 or not any(free):
            break
        more = normalized(free)
        amounts = [a - o + sum(over) * m for a, o, m in zip(amounts, over, more, strict=True)]
    left[:] = [room - amount for room, amount in zip(left, amounts, strict=True)]
    return normalized(amounts)


def _packed(groups: list[list[int]], sizes: Sequence[int], left: list[float]) -> dict[int, int]:
    """Ranks of groups of units, largest first; a group that fits nowhere is taken apart."""
    ranks: dict[int, int] = {}
    waiting = sorted(groups, key=lambda group: -_total(group, sizes))
    while waiting:
        group = waiting.pop(0)
        size = _total(group, sizes)
        rank = max(range(len(left)), key=left.__getitem__)
        if size > left[rank] and len(group) > 1:
            waiting = sorted([*waiting, *([i] for i in group)], key=lambda g: -_total(g, sizes))
            continue
        ranks.update(dict.fromkeys(group, rank))
        left[rank] -= size
    return ranks


def _total(group: Sequence[int], sizes: Sequence[int]) -> int:
    return sum(sizes[index] for index in group)
