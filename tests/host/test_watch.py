# SPDX-License-Identifier: Apache-2.0
"""Who is asked while an inference takes long, and who is given up."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tflsplit.host.watch import SilentError, Watch


class Devices:
    """Inbox and gateway in one; whoever is not dead answers at once."""

    def __init__(self) -> None:
        self.now = 100.0
        self.ranks = range(3)
        self.heard: dict[int, float] = {}
        self.dead: set[int] = set()
        self.asked: list[float] = []
        self.failed = 0
        self.gateway = self
        self.endpoint = SimpleNamespace(fail_with_timeout=self._fail)
        self.on_turn: Any = None

    def clock(self) -> float:
        return self.now

    def send(self, ranks: range, message: object) -> None:
        self.asked.append(self.now)
        self.heard |= dict.fromkeys(set(ranks) - self.dead, self.now)

    def turn(self) -> None:
        self.on_turn()

    def pass_time(self, seconds: float) -> None:
        until = self.now + seconds
        while self.now < until:
            self.now += 0.01
            self.turn()

    def _fail(self) -> None:
        self.failed += 1


@pytest.fixture
def devices() -> Devices:
    return Devices()


def watch(devices: Devices) -> Watch:
    return Watch(devices, 2.0, devices.clock)  # type: ignore[arg-type]


def test_nobody_is_asked_in_an_inference_that_does_not_take_long(devices: Devices):
    with watch(devices):
        devices.pass_time(0.9)
    devices.dead = {0, 1, 2}
    devices.pass_time(100)
    assert devices.asked == []


def test_devices_that_answer_may_take_as_long_as_they_like(devices: Devices):
    with watch(devices):
        devices.pass_time(50)
    assert len(devices.asked) > 100


@pytest.mark.parametrize(
    ("dead", "said"),
    [
        ({1}, "^rank 1 says nothing for 2 s of an inference$"),
        ({1, 2}, "^ranks 1, 2 say nothing for 2 s"),
        ({0, 1, 2}, "^no rank says anything for 2 s"),
    ],
)
def test_who_is_silent_is_named_and_the_inference_ended(
    devices: Devices, dead: set[int], said: str
):
    with watch(devices):
        devices.pass_time(1.5)
        devices.dead = dead
        with pytest.raises(SilentError, match=said):
            devices.pass_time(2.5)
        assert devices.failed == 1
        devices.pass_time(10)  # and that is told once
    assert devices.failed == 1
