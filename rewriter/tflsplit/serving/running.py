# SPDX-License-Identifier: Apache-2.0
"""From boards that were found to boards that run a plan, and the host's part of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from tflsplit.deploy.deploying import deploy_images
from tflsplit.deploy.explore import refusal_in
from tflsplit.deploy.image import NO_BOARD, Slice, build_image
from tflsplit.deploy.survey import BoardState, Kind
from tflsplit.errors import LinkError
from tflsplit.host import Coordinator
from tflsplit.host.ports import Stream
from tflsplit.host.starting import connect_soon
from tflsplit.serving.boards import Chip, Look
from tflsplit.serving.losses import image_bytes
from tflsplit.serving.plans import Ready

Slices = Mapping[Chip, tuple[Slice, ...]]
"""Of images, by board."""

_START_SECONDS = 8.0
"""A board that a belated survey frame took out of its plan goes back after 5 s."""
_SILENT_SECONDS, _SILENT_SECONDS_A_MIB = 5.0, 30.0
"""Of a board in a deployment; while it erases its flash it says nothing."""

_MOST_START_SECONDS, _LEAST_BYTES_A_SECOND = 60.0, 5_000


class LentStream:
    """A port that outlives the ``Coordinator`` which it is lent to."""

    def __init__(self, stream: Stream) -> None:
        self.name = stream.name
        self.receive = stream.receive
        self.send = stream.send
        self.waits_on = stream.waits_on

    def close(self) -> None:
        """Leave it open."""


class Stored:
    """What each board's active image is known to hold: what it was given by this service."""

    def __init__(self) -> None:
        self._slices: dict[Chip, tuple[Slice, ...]] = {}

    def places(self, look: Look, ready: Ready, wanted: Slices) -> list[int] | None:
        """By rank, which slice of its image each board is to run; None if one lacks its.

        wanted: what the whole images must be.
        """
        found = []
        for rank, board in enumerate(ready.prepared.placement.boards):
            identity, chip = look.wiring.boards[board].identity, look.chips[board]
            held = self._slices.get(chip, ())
            is_held = identity.state == BoardState.ACTIVE and identity.slices == len(held)
            if not is_held or (wanted and held != wanted[chip]):
                return None
            plain = [replace(one, lost=NO_BOARD) for one in held]
            if ready.prepared.slices[rank] not in plain:
                return None
            found.append(plain.index(ready.prepared.slices[rank]))
        return found

    def forget(self, chips: Iterable[Chip]) -> None:
        """Something is being written to these."""
        for chip in chips:
            self._slices.pop(chip, None)

    def keep(self, slices: Slices) -> None:
        """These boards have it."""
        self._slices |= slices


def start_bound(look: Look, ready: Ready, wanted: Slices) -> float:
    """Seconds that ``start`` may take.

    A minute, and what the images take at a twentieth of 1 Mbaud; of slow boards more.
    """
    images = [image_bytes(some) for some in wanted.values()] or map(len, ready.prepared.images)
    seconds = _MOST_START_SECONDS + sum(images) / _LEAST_BYTES_A_SECOND
    return look.surveyor.stretched(round(seconds))


@dataclass(frozen=True)
class Running:
    """Boards that run a plan.

    chips: by rank.  how: "told" (the boards held it), "moved" (from a slot, nothing was sent) or
        "sent".
    """

    ready: Ready
    coordinator: Coordinator
    look: Look
    chips: tuple[Chip, ...]
    how: str


def start(
    look: Look,
    ready: Ready,
    stored: Stored,
    wanted: Slices,
    key: bytes | None,
    on_deploying: Callable[[], None],
) -> Running:
    """Let the boards run the plan; those that hold it are only told to.

    wanted: the whole image of each board; empty: its slice of the plan alone will do.
    Raises LinkError if that fails; the boards may be anywhere then: look again.
    """
    if not look.is_fresh:
        look = look.renewed()
    coordinator, how = _coordinator(look, ready), "told"
    places = stored.places(look, ready, wanted)
    if not (places and _go(look, ready, places) and _connected(coordinator, look)):
        on_deploying()
        if places:
            look = look.renewed()
        is_sent = _deploy(look, ready, stored, wanted, key)
        coordinator, how = _coordinator(look, ready), "sent" if is_sent else "moved"
        connect_soon(coordinator, look.surveyor.stretched(_START_SECONDS))
    return Running(ready, coordinator, look, tuple(_chips(look, ready)), how)


def _chips(look: Look, ready: Ready) -> list[Chip]:
    return [look.chips[board] for board in ready.prepared.placement.boards]


def _coordinator(look: Look, ready: Ready) -> Coordinator:
    places = zip(ready.setup.gateways, ready.prepared.streams, strict=True)
    streams = {rank: LentStream(look.streams[place]) for rank, place in places}
    return Coordinator(streams, ready.bundle, ready.setup)


def _go(look: Look, ready: Ready, places: Sequence[int]) -> bool:
    """Send the boards to slices that they hold, the farthest first; whether all went."""
    boards = [look.wiring.boards[board] for board in ready.prepared.placement.boards]
    for hops in sorted({len(one.way) for one in boards}, reverse=True):
        asked = [
            look.surveyor.ask(one.stream, Kind.RUN, one.way, bytes([place]))
            for one, place in zip(boards, places, strict=True) if len(one.way) == hops
        ]  # fmt: skip
        look.surveyor.wait(asked)
        if any(question.answer is None or refusal_in(question) for question in asked):
            return False
    return True


def _connected(coordinator: Coordinator, look: Look) -> bool:
    try:
        connect_soon(coordinator, look.surveyor.stretched(_START_SECONDS))
    except LinkError:
        return False
    return True


def _deploy(look: Look, ready: Ready, stored: Stored, wanted: Slices, key: bytes | None) -> bool:
    """Whether anything was sent: boards have it in their other slot, too."""
    chips = _chips(look, ready)
    given = {
        chip: wanted.get(chip, (one,))
        for chip, one in zip(chips, ready.prepared.slices, strict=True)
    }
    images = tuple(build_image(given[chip]) for chip in chips)
    stored.forget(chips)
    done = deploy_images(
        replace(ready.prepared, images=images), look.surveyor, look.streams, look.wiring, key,
        silent_seconds=_SILENT_SECONDS
        + _SILENT_SECONDS_A_MIB * max(map(len, images)) / (1 << 20),
    )  # fmt: skip
    stored.keep(given)
    return any(done.deployment.sent_bytes)
