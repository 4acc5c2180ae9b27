# SPDX-License-Identifier: Apache-2.0
"""Inferences given to whichever of several clusters is free."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
import pytest

from tflsplit.errors import LinkError
from tflsplit.host import Coordinator, Inference
from tflsplit.host.teams import Teams
from tflsplit.runtime.engines import Array


class Team:
    """Answers with its input; ``act`` may wait or raise first."""

    def __init__(self, act: Callable[[int], None] = lambda number: None) -> None:
        self._act = act

    def infer(self, inputs: Mapping[str, Array], timeout_seconds: float) -> Inference:
        self._act(int(inputs["x"][0]))
        return Inference([inputs["x"]], (), 0.001)


def teams(*members: Team, retries: int = 0) -> Teams:
    return Teams(cast("list[Coordinator]", list(members)), retries)


def numbered(count: int) -> list[dict[str, Any]]:
    return [{"x": np.array([number], np.int8)} for number in range(count)]


def answers(done: list[Inference]) -> list[int]:
    return [int(inference.outputs[0][0]) for inference in done]


def lose(number: int) -> None:
    raise LinkError("rank 0 does not answer")


def test_every_input_once_in_its_order_and_by_all_teams():
    meeting = threading.Barrier(3, timeout=10)

    def meet(number: int) -> None:
        if number < 3:
            meeting.wait()

    members = [Team(meet) for _ in range(3)]
    stages: list[str] = []
    run = teams(*members).infer_all(numbered(20), 1.0, stages.append)
    assert answers(run.inferences) == [*range(20)]
    shared_out = [number for team in range(3) for number in answers(run.of_team(team))]
    assert sorted(shared_out) == [*range(20)]
    assert all(run.of_team(team) for team in range(3)), "three began at one time"
    assert stages[-1] == "20 inferences done"
    assert run.seconds > 0
    assert not run.failures


def test_what_a_team_fails_at_another_does_even_if_it_had_nothing_left_to_do():
    other_is_idle = threading.Event()

    def fail_late(number: int) -> None:
        other_is_idle.wait(10)
        lose(number)

    def last(number: int) -> None:
        if number == 4:
            other_is_idle.set()

    run = teams(Team(fail_late), Team(last)).infer_all(numbered(5), 1.0)
    assert answers(run.inferences) == [*range(5)]
    assert [team for team, _ in run.failures] == [0]
    assert not run.of_team(0)


def test_a_team_that_fails_now_and_then_goes_on_if_it_may():
    failed = set()

    def once(number: int) -> None:
        if number % 2 and number not in failed:
            failed.add(number)
            lose(number)

    run = teams(Team(once), retries=1).infer_all(numbered(6), 1.0)
    assert answers(run.inferences) == [*range(6)]
    assert len(run.failures) == 3


def test_no_team_is_left():
    with pytest.raises(LinkError, match=r"no team is left; the last to fail was team \d: rank 0"):
        teams(Team(lose), Team(lose)).infer_all(numbered(5), 1.0)


def test_an_error_of_ours_is_not_swallowed():
    def break_down(number: int) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        teams(Team(break_down), Team()).infer_all(numbered(50), 1.0)
