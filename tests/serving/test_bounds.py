# SPDX-License-Identifier: Apache-2.0
"""However boards behave, a service is back within a stated time."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.native import needs_cxx, needs_wheel_reader
from tests.serving.desk import desk, folder_of
from tflsplit.emulate.interventions import pause, resume
from tflsplit.errors import LinkError
from tflsplit.host.watch import SilentError
from tflsplit.serving.bounds import BoundedStream, Limit, OverError
from tflsplit.serving.events import ServeOptions
from tflsplit.serving.service import Service


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Port:
    name = "p"

    def receive(self, timeout_seconds: float) -> bytes:
        return b"x"

    def send(self, data: bytes) -> None:
        pass

    def close(self) -> None:
        pass

    def waits_on(self) -> None:
        return None


def test_a_port_ends_what_waits_at_it_too_long():
    clock = Clock()
    limit = Limit(clock)
    port = BoundedStream(Port(), limit)
    with limit.within(10.0, "an inference"):
        with limit.within(60.0, "a look"), limit.within(None, "nothing"):
            assert port.receive(0.0) == b"x"
            clock.now = 10.1
            with pytest.raises(OverError, match=r"^an inference took longer than 10 s$"):
                port.receive(0.0)
        with pytest.raises(OverError), limit.within(60.0, "a look"):
            port.receive(0.0)
    assert port.receive(0.0) == b"x"


def service_with(outcomes: list[float | None]) -> Service:
    """Boards are always there; tries fail for silence (None), or have one of so many seconds."""
    limit = SimpleNamespace(limit=Limit())
    given = SimpleNamespace(model=SimpleNamespace(nodes=[], inputs=[]))
    service = Service(SimpleNamespace(given=given), limit, ServeOptions(2.0))  # type: ignore
    look = SimpleNamespace(is_like=lambda other: True, wiring=None)

    def bring_up() -> None:
        service._running = SimpleNamespace(look=look, chips=(), coordinator=None)  # type: ignore

    def once(running: Any, inputs: Any) -> tuple[tuple[()], float]:
        silent = outcomes.pop(0)
        if silent is None:
            raise SilentError("rank 1 says nothing")
        service._note_silence(silent)
        return (), 0.1

    service._try_to_bring_up = lambda seconds=None: bring_up()  # type: ignore
    service._look_if_due = lambda: None  # type: ignore[method-assign]
    service._once = once  # type: ignore[method-assign, assignment]
    return service


def test_patience_that_faults_have_cost_is_not_kept():
    service = service_with([None, None, 0.1, None, 7.0, 0.0])
    assert service._infer({}, None).repeated == 2
    assert service._watch_seconds == 2.0  # 8 s, had it been needed
    assert service._infer({}, None).repeated == 1
    assert service._watch_seconds == 4.0  # of kernels that take 7 s
    service._infer({}, None)
    assert service._watch_seconds == 2.0


@needs_wheel_reader
@needs_cxx
def test_an_inference_ends_when_its_time_is_over_whatever_the_boards_do(tmp_path: Path):
    """All of them stand still, in every step: each says nothing, and none is gone."""
    folder = folder_of(tmp_path / "two", "ds_cnn", 2)
    with desk(tmp_path, 2) as boards, boards.serve(folder) as service:
        for seconds in (0.5, 3.0):
            for rank in (0, 1):
                pause(boards.cluster, rank)
            begun = time.monotonic()
            with pytest.raises(LinkError, match="nothing can be computed now: "):
                boards.right(service, folder, seconds)
            assert seconds <= time.monotonic() - begun < seconds + 1.5
            for rank in (0, 1):
                resume(boards.cluster, rank)
        assert boards.right(service, folder).boards == 2
