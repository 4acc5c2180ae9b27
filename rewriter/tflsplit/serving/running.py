# SPDX-License-Identifier: Apache-2.0
"""From boards that were found to boards that run a plan, and the host's part of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tflsplit.deploy.deploying import deploy_images
from tflsplit.deploy.explore import refusal_in
from tflsplit.deploy.survey import BoardState, Kind
from tflsplit.errors import LinkError
from tflsplit.host import Coordinator
from tflsplit.host.ports import Stream
from tflsplit.host.starting import connect_soon
from tflsplit.serving.boards import Chip, Look
from tflsplit.serving.plans import Ready
from tflsplit.wire.handshake import fingerprint_bytes

_START_SECONDS = 5.0
_SILENT_SECONDS, _SILENT_SECONDS_A_MIB = 5.0, 30.0
"""Of a board in a deployment; while it erases its flash it says nothing."""


class LentStream:
    """A port that outlives the ``Coordinator`` which it is lent to."""

    def __init__(self, stream: Stream) -> None:
        self.name = stream.name
        self.receive = stream.receive
        self.send = stream.send
        self.waits_on = stream.waits_on

    def close(self) -> None:
        """Leave it open."""


@dataclass(frozen=True)
class Running:
    """Boards that run a plan.

    chips: by rank.  source: of the plan, see ``Ready``.  is_sent: whether a board lacked its part.
    """

    ready: Ready
    coordinator: Coordinator
    look: Look
    chips: tuple[Chip, ...]
    is_sent: bool


def start(look: Look, ready: Ready, key: bytes | None, on_deploying: Callable[[], None]) -> Running:
    """Let the boards run the plan; those that hold it are only told to.

    Raises LinkError if that fails; the boards may be anywhere then: look again.
    """
    coordinator = _coordinator(look, ready)
    is_sent = False
    holds = holds_plan(look, ready)
    if not (holds and _go(look, ready) and _connected(coordinator)):
        on_deploying()
        if holds or not look.is_fresh:
            look = look.renewed()
        is_sent = _deploy(look, ready, key)
        coordinator = _coordinator(look, ready)
        connect_soon(coordinator, _START_SECONDS)
    chips = tuple(look.chips[board] for board in ready.prepared.placement.boards)
    return Running(ready, coordinator, look, chips, is_sent)


def _coordinator(look: Look, ready: Ready) -> Coordinator:
    stream = LentStream(look.streams[ready.prepared.streams[0]])
    return Coordinator(stream, ready.bundle, ready.setup)


def holds_plan(look: Look, ready: Ready) -> bool:
    """Whether every board says that it has its rank of the plan."""
    fingerprint = fingerprint_bytes(ready.setup.fingerprint)
    size = ready.setup.world_size
    identities = [look.wiring.boards[board].identity for board in ready.prepared.placement.boards]
    return all(
        (one.state, one.fingerprint, one.rank, one.world_size)
        == (BoardState.ACTIVE, fingerprint, rank, size)
        for rank, one in enumerate(identities)
    )


def _go(look: Look, ready: Ready) -> bool:
    """Send the boards to the plan that they hold, the farthest first; whether all went."""
    boards = [look.wiring.boards[board] for board in ready.prepared.placement.boards]
    for hops in sorted({len(one.way) for one in boards}, reverse=True):
        asked = [
            look.surveyor.ask(one.stream, Kind.RUN, one.way, b"\0")
            for one in boards if len(one.way) == hops
        ]  # fmt: skip
        look.surveyor.wait(asked)
        if any(question.answer is None or refusal_in(question) for question in asked):
            return False
    return True


def _connected(coordinator: Coordinator) -> bool:
    try:
        connect_soon(coordinator, _START_SECONDS)
    except LinkError:
        return False
    return True


def _deploy(look: Look, ready: Ready, key: bytes | None) -> bool:
    largest = max(map(len, ready.prepared.images))
    done = deploy_images(
        ready.prepared, look.surveyor, look.streams, look.wiring, key,
        silent_seconds=_SILENT_SECONDS + _SILENT_SECONDS_A_MIB * largest / (1 << 20),
    )  # fmt: skip
    return any(done.deployment.sent_bytes)
