# SPDX-License-Identifier: Apache-2.0
"""Teams: which devices take part in a plan for the least latency.

One more device is never to make it slower.  But eight devices are no faster than seven on maps of
28, 14 and 7 rows, and each further one is a further message.  So whole plans of fewer devices are
tried as well: of as many as suffice for the rows of some map, and of one fewer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from tflsplit.plan.rows import rows_of
from tflsplit.plan.spec import active_count
from tflsplit.planner.choices import Choices
from tflsplit.planner.options import Option
from tflsplit.planner.shares import SPEED, Shares, fewest_shares, only

Menu = Callable[[int], Sequence[Option]]
"""The options for a unit, by its number."""

MANY_DEVICES = 24
"""With more, a search takes so long that there is one only, and its way is begun as it is."""


def teams_of(choices: Choices) -> list[str]:
    """Names of shares: all devices, then ever fewer."""
    shares = choices.vectors[SPEED]
    if len(shares) > MANY_DEVICES:
        return [SPEED]
    shapes = [unit.outputs[0].shape for unit in choices.units]
    heights = {rows for shape in shapes if (rows := rows_of(shape))}
    fewer = {fewest_shares(shares, height) for height in heights} | {_without_last(shares)}
    least = max(2, -(-len(shares) // 2))  # one device alone is an option of every unit
    names = [SPEED]
    for team in sorted(fewer - {shares}, key=active_count, reverse=True):
        if active_count(team) >= least:
            names.append(f"{active_count(team)} devices")
            choices.vectors[names[-1]] = team
    return names


def team_menu(choices: Choices, team: str) -> Menu:
    """What may be quickest with any unit, by the devices of a team."""
    if team == SPEED:
        return any_of(choices.quick)
    return any_of([replace(option, by=team) for option in choices.quick if not option.part])


def any_of(options: Sequence[Option]) -> Menu:
    """The same for every unit."""
    return lambda _: options


def _without_last(shares: Shares) -> Shares:
    return only(shares, range(len(shares) - 1))
