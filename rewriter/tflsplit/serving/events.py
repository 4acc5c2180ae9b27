# SPDX-License-Identifier: Apache-2.0
"""What a service tells beside outputs, and what it can be told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tflsplit.errors import ClusterError, counted


@dataclass(frozen=True)
class Event:
    """Something that happened to the boards.

    kind: ``lost``, ``back``, ``failed`` (an inference, which is repeated), ``planning``,
        ``prepared``, ``deploying``, ``running``, ``waiting``.
    text: one printable line for people.
    seconds: of ``running``: since the boards were looked for.
    """

    kind: str
    text: str
    seconds: float | None = None


def deploying(boards: int) -> Event:
    """So many are given their parts."""
    lack = "it lacks" if boards == 1 else "they lack"
    return Event("deploying", f"giving {counted(boards, 'board')} what {lack}")


def running(boards: int, topology: str, seconds: float) -> Event:
    """So many of what is there compute."""
    run = "runs" if boards == 1 else "run"
    return Event("running", f"{counted(boards, 'board')} of {topology} {run} the model", seconds)


OnEvent = Callable[[Event], None]


@dataclass(frozen=True)
class ServeOptions:
    """How patient a service is.

    patience_seconds: a board that says nothing for so long is lost; longer than any kernel takes.
    look_seconds: between two looks, while boards are missing, and between two roll calls, while
        nobody asks for anything.
    infer_seconds: longest time of one try of an inference.
    objective: of plans that are made.
    survive: 1: boards keep plans for the loss of each single one of them; 0: they do not.
    """

    patience_seconds: float = 2.0
    look_seconds: float = 10.0
    infer_seconds: float = 60.0
    objective: str = "latency"
    survive: int = 0

    def __post_init__(self) -> None:
        if min(self.patience_seconds, self.look_seconds, self.infer_seconds) <= 0:
            raise ClusterError("the times of a service must be more than 0 seconds")
        if self.survive not in (0, 1):
            raise ClusterError("plans are prepared for the loss of one board, or of none")
