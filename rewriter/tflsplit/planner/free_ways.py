# SPDX-License-Identifier: Apache-2.0
"""The best ways through the units where RAM and flash are not looked at; they may fit all the same.

For the least RAM these are tried too, since what makes other things small may be smaller.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from tflsplit.ir import Value
from tflsplit.planner.choices import Choices
from tflsplit.planner.evaluate import Step, arena_of
from tflsplit.planner.options import GRIDS, Layout, Option
from tflsplit.planner.search import has_room, unlimited
from tflsplit.planner.values import VALUES

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
            found = self._search(objective, float("inf"))
            if found and any(step.option in GRIDS for step in found):
                others = self._search(objective, float("inf"), GRIDS)
                found = others if others and _is_close(others, found, objective) else found
            self._found[objective] = found
        return self._found[objective]

    def arena_bytes(self, objective: str, most: float) -> float:
        """About what the best one needs; infinite if that is unknown, or is above ``most``.

        Above it is sure to be, if the best of those whose units need no more each is (these are
        quickly found, by who has looked at them before): it is that one or has a unit above.
        """
        if self.choices.pooling:
            return float("inf")
        if objective not in self._found:
            within = self._search(objective, most)
            if not within or arena_of(within) > most:
                return float("inf")
        steps = self.best(objective)
        return arena_of(steps) if steps else float("inf")

    def _search(
        self, objective: str, head_bytes: float, without: Collection[Option] = ()
    ) -> list[Step] | None:
        """The best of those whose units need no larger head."""
        choices = self.choices
        options = choices.quick if objective == "latency" else choices.options
        options = tuple(option for option in options if option not in without)
        limits = (head_bytes,) * choices.cluster.world_size

        def allowed(index: int, given: Mapping[Value, Layout]) -> list[Step]:
            steps = choices.expand(index, given, options)
            if head_bytes == float("inf"):
                return steps  # what they need takes most of an evaluation
            return [step for step in steps if has_room(step, limits)]

        return unlimited(choices.units, allowed, VALUES[objective])
