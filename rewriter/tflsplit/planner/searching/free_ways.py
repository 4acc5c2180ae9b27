# SPDX-License-Identifier: Apache-2.0
"""The best ways through the units where RAM and flash are not looked at; they may fit all the same.

For the least RAM these are tried too, since what makes other things small may be smaller.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from tflsplit.ir import Value
from tflsplit.planner.cost.evaluate import Step, arena_of
from tflsplit.planner.searching.choices import Choices
from tflsplit.planner.searching.search import has_room, unlimited
from tflsplit.planner.searching.values import VALUES
from tflsplit.planner.ways.options import GRIDS, Layout, Option

_SURE_OF_CELLS = 1.04
"""Cells must be quicker than rows by so much: simulations take 1.03 times as much longer than
predictions of cells as of rows, since blocks wait for columns of every row."""


def _is_close(others: Sequence[Step], steps: Sequence[Step], objective: str) -> bool:
    others_us, us = (sum(map(VALUES[objective], each)) for each in (others, steps))
    return others_us < _SURE_OF_CELLS * us


class FreeWays:
    """Those of one model on one cluster; each is found once."""

    def __init__(self, choices: Choices) -> None:
        self.choices = choices
        self._found: dict[str, list[Step] | None] = {}

    def best(self, objective: str) -> list[Step] | None:
        """The best for an objective; None if there is no way at all."""
        if objective not in self._found:
            found = self._search(objective)
            if found and any(step.option in GRIDS for step in found):
                others = self._search(objective, GRIDS)
                found = others if others and _is_close(others, found, objective) else found
            self._found[objective] = found
        return self._found[objective]

    def arena_bytes(self, objective: str, most: float) -> float:
        """About what the best one needs; infinite if that is unknown, or is above ``most``.

        Only what its own units need is looked at, and that takes most of an evaluation.
        """
        steps = None if self.choices.pooling else self.best(objective)
        limits = (most,) * self.choices.cluster.world_size
        if not steps or not all(has_room(step, limits) for step in steps):
            return float("inf")
        found = arena_of(steps)
        return found if found <= most else float("inf")

    def among(self, options: Sequence[Option], objective: str) -> list[Step] | None:
        """The best of ways with some options only; found anew."""

        def expand(index: int, given: Mapping[Value, Layout]) -> list[Step]:
            return self.choices.expand(index, given, options, lambda _: True)

        return unlimited(self.choices.units, expand, VALUES[objective])

    def _search(self, objective: str, without: Collection[Option] = ()) -> list[Step] | None:
        options = self.choices.quick if objective == "latency" else self.choices.options
        return self.among([option for option in options if option not in without], objective)
