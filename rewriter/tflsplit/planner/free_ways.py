# SPDX-License-Identifier: Apache-2.0
"""The best ways through the units where RAM and flash are not looked at; they may fit all the same.

For the least RAM these are tried too, since what makes other things small may be smaller.
"""

from __future__ import annotations

from collections.abc import Mapping

from tflsplit.ir import Value
from tflsplit.planner.choices import Choices
from tflsplit.planner.evaluate import Step, arena_of
from tflsplit.planner.options import Layout
from tflsplit.planner.search import has_room, unlimited
from tflsplit.planner.values import VALUES


class FreeWays:
    """Those of one model on one cluster; each is found once."""

    def __init__(self, choices: Choices) -> None:
        self.choices = choices
        self._found: dict[str, list[Step] | None] = {}

    def best(self, objective: str) -> list[Step] | None:
        """The best for an objective; None if there is no way at all."""
        if objective not in self._found:
            self._found[objective] = self._search(objective, float("inf"))
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

    def _search(self, objective: str, head_bytes: float) -> list[Step] | None:
        """The best of those whose units need no larger head."""
        choices = self.choices
        options = choices.quick if objective == "latency" else choices.options
        limits = (head_bytes,) * choices.cluster.world_size

        def allowed(index: int, given: Mapping[Value, Layout]) -> list[Step]:
            steps = choices.expand(index, given, options)
            if head_bytes == float("inf"):
                return steps  # what they need takes most of an evaluation
            return [step for step in steps if has_room(step, limits)]

        return unlimited(choices.units, allowed, VALUES[objective])
