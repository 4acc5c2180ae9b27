# SPDX-License-Identifier: Apache-2.0
"""Several clusters of one plan: each inference goes to a team that is free.

    inputs: 0 1 2 3 4 5 ...     team 0:  0     3        6
                                team 1:  1        4     7       whoever is ready takes the next
                                team 2:  2   (lost)             its input goes to another team

A thread for each team drives its ``Coordinator``; they share nothing but the inputs that are left.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tflsplit.errors import LinkError
from tflsplit.host.coordinator import Coordinator, Inference
from tflsplit.host.figures import Links, WireFigures, wire_figures
from tflsplit.runtime.engines import Array

Inputs = Mapping[str, Array]
_LOOK_SECONDS = 0.05


@dataclass
class TeamsRun:
    """What came of some inputs.

    done: (team, inference) by the number of the input.
    failures: (team, what its devices said), in the order in which they came.
    seconds: from the first START to the last result, on this computer's clock.
    """

    done: dict[int, tuple[int, Inference]] = field(default_factory=dict)
    failures: list[tuple[int, LinkError]] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def inferences(self) -> list[Inference]:
        """In the order of the inputs."""
        return [inference for _, (_, inference) in sorted(self.done.items())]

    def of_team(self, team: int) -> list[Inference]:
        """Those that one team did."""
        return [inference for _, (by, inference) in sorted(self.done.items()) if by == team]


class _Left:
    """The inputs that nobody has taken yet; what is taken and not done may come back."""

    def __init__(self, inputs: Iterable[Inputs]) -> None:
        self._waiting = deque(enumerate(inputs))
        self._taken = 0
        self._is_over = False
        self._changed = threading.Condition()

    @property
    def is_empty(self) -> bool:
        return not self._waiting

    def take(self) -> tuple[int, Inputs] | None:
        """The next one; None once all are done, or nobody is to begin another."""
        with self._changed:
            while not self._waiting and self._taken and not self._is_over:
                self._changed.wait()
            if not self._waiting or self._is_over:
                return None
            self._taken += 1
            return self._waiting.popleft()

    def end_of(self, number: int, inputs: Inputs, is_done: bool) -> None:
        """What was taken is done, or has to be done again."""
        with self._changed:
            self._taken -= 1
            if not is_done:
                self._waiting.appendleft((number, inputs))
            self._changed.notify_all()

    def stop(self) -> None:
        """Nobody begins another."""
        with self._changed:
            self._is_over = True
            self._changed.notify_all()


class Teams:
    """Teams that can be asked; connect their coordinators first.

    retries: a team that fails so many times more, one after the other, is given no further input.
    """

    def __init__(self, coordinators: Sequence[Coordinator], retries: int = 0) -> None:
        self.coordinators = tuple(coordinators)
        self._retries = retries

    def infer_all(
        self,
        inputs: Iterable[Inputs],
        timeout_seconds: float,
        stage: Callable[[str], None] = lambda _: None,
    ) -> TeamsRun:
        """Every input once, whichever team takes it.

        stage: is told how many are done.
        Raises LinkError if no team is left that answers; whatever else a team raises.
        """
        left, run = _Left(inputs), TeamsRun()
        unexpected: list[BaseException] = []

        def work(team: int) -> None:
            try:
                self._work(team, left, run, timeout_seconds)
            except BaseException as error:
                unexpected.append(error)
                left.stop()

        began = time.monotonic()
        threads = [
            threading.Thread(target=work, args=(team,), daemon=True)
            for team in range(len(self.coordinators))
        ]
        try:
            for thread in threads:
                thread.start()
            while any(thread.is_alive() for thread in threads):
                next(t for t in threads if t.is_alive()).join(_LOOK_SECONDS)
                stage(f"{len(run.done)} inferences done")
        finally:
            left.stop()  # Ctrl-C: teams end after what they are at
        stage(f"{len(run.done)} inferences done")  # teams may have ended before the first look
        run.seconds = time.monotonic() - began
        if unexpected:
            raise unexpected[0]
        if not left.is_empty:
            team, error = run.failures[-1]
            raise LinkError(f"no team is left; the last to fail was team {team}: {error}")
        return run

    def _work(self, team: int, left: _Left, run: TeamsRun, timeout_seconds: float) -> None:
        """One team: an input after the other, until there is none, or the team fails."""
        tries = 0
        while tries <= self._retries and (taken := left.take()) is not None:
            try:
                run.done[taken[0]] = team, self.coordinators[team].infer(taken[1], timeout_seconds)
                tries = 0
            except LinkError as error:
                run.failures.append((team, error))
                tries += 1
            finally:
                left.end_of(*taken, is_done=taken[0] in run.done)


_AMOUNTS = ("bytes", "frames", "resent", "damaged", "polls", "lost_bytes")


def wires_of_teams(
    hosts: Sequence[Coordinator], before: Sequence[Links], run: TeamsRun, timeout_seconds: float
) -> list[WireFigures]:
    """What went over each wire of a team, per inference: the mean of all teams that never failed.

    before: what each host's ``links`` said before the run.  May raise LinkError, as that does.
    """
    lost = {team for team, _ in run.failures}
    sums: list[WireFigures] = []
    count = 0
    for team, host in enumerate(hosts):
        if team not in lost and run.of_team(team):
            count += len(run.of_team(team))
            wires = wire_figures(before[team], host.links(timeout_seconds), 1)
            sums = [_added(a, b) for a, b in zip(sums, wires, strict=True)] if sums else wires
    return [_scaled(wire, 1 / count) for wire in sums]


def _added(one: WireFigures, other: WireFigures) -> WireFigures:
    return replace(one, **{name: getattr(one, name) + getattr(other, name) for name in _AMOUNTS})


def _scaled(wire: WireFigures, by: float) -> WireFigures:
    return replace(wire, **{name: by * getattr(wire, name) for name in _AMOUNTS})
