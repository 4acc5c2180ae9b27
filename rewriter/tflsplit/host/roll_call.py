# SPDX-License-Identifier: Apache-2.0
"""Who is there, and who is not: before each first inference, and after every fault."""

from __future__ import annotations

import time

from tflsplit.errors import LinkError
from tflsplit.host.diagnosis import Seen, problems
from tflsplit.host.firmware_json import FirmwareSetup
from tflsplit.host.inbox import Inbox
from tflsplit.wire.control import CONTROL_VERSION, Ask, DeviceState, Info
from tflsplit.wire.handshake import ErrorCode, describe

ANSWER_SECONDS = 1.5
_LEAST_SECONDS = 0.5
_PAUSE_SECONDS = 0.05
_UNSTEADY = "the links between the devices keep failing: check wires and baud rate"


def call_roll(inbox: Inbox, setup: FirmwareSetup, timeout_seconds: float) -> tuple[Info, ...]:
    """What every device says of itself, once all of them answer and all their links are up.

    Raises LinkError naming the ranks that are missing, silent, broken or of another plan.
    """
    deadline = time.monotonic() + timeout_seconds
    inbox.gateway.open(timeout_seconds)
    patience = ANSWER_SECONDS

    def all_there() -> bool:
        return len(inbox.infos) == setup.world_size

    # Devices that have answered are asked again: their links may have come up since.  Slow ones
    # get ever more time, because only answers to the newest question count.
    while True:
        left = max(_LEAST_SECONDS, deadline - time.monotonic())
        answered = inbox.ask(Ask.INFO, all_there, min(left, patience))
        if answered and _ready(inbox):
            break
        if time.monotonic() >= deadline or _broken(inbox):
            raise LinkError(diagnosis(inbox, setup) or _UNSTEADY)
        if answered:
            inbox.gateway.wait_until(lambda: False, _PAUSE_SECONDS)
        else:
            patience *= 2
    return tuple(inbox.infos[rank] for rank in inbox.ranks)


def _ready(inbox: Inbox) -> bool:
    return not _broken(inbox) and links_are_up(inbox)


def links_are_up(inbox: Inbox) -> bool:
    """Of all devices that have answered."""
    return all(info.links_up for info in inbox.infos.values())


def _broken(inbox: Inbox) -> list[int]:
    return [rank for rank, info in inbox.infos.items() if info.state == DeviceState.BROKEN]


def diagnosis(inbox: Inbox, setup: FirmwareSetup) -> str | None:
    """What is wrong, and with whom, once the devices have been asked who is there.

    None: it is nobody's fault that one could name.
    """
    broken = _broken(inbox)
    if broken:
        inbox.ask(Ask.TEXT, lambda: set(broken) <= set(inbox.texts), ANSWER_SECONDS, broken)
        texts = (
            f"rank {r} refuses to run: {inbox.texts.get(r, 'no reason given')}" for r in broken
        )
        return "; ".join(texts)
    there = set(inbox.infos)
    if older := _of_another_version(inbox, [rank for rank in inbox.ranks if rank not in there]):
        return older
    if not there:
        return _nobody(setup)
    inbox.ask(Ask.LINKS, lambda: all(map(inbox.links_of, there)), ANSWER_SECONDS, there)
    seen = [Seen(rank, link) for (rank, _), link in sorted(inbox.links.items())]
    found = problems(setup, there, seen)
    missing = [rank for rank in inbox.ranks if rank not in there]
    if not found:
        up_to = {each.link.peer: each for each in seen if each.is_up}
        found = [_missing(rank, up_to.get(rank)) for rank in missing]
    if not found:
        return None
    answers = f"{len(there)} of {setup.world_size} devices answer"
    return "; ".join(found) + f" ({answers})"


def _of_another_version(inbox: Inbox, silent: list[int]) -> str | None:
    gateway = inbox.gateway
    if not silent:
        return None
    gateway.other_versions.clear()
    gateway.ask_older(silent)
    gateway.wait_until(lambda: set(silent) <= set(gateway.other_versions), ANSWER_SECONDS / 3)
    found = [f"rank {r} speaks version {v}" for r, v in sorted(gateway.other_versions.items())]
    if not found:
        return None
    return (
        f"{', '.join(found)} of the cluster protocol, this computer version {CONTROL_VERSION}: "
        "generate the firmware again with this tflsplit, then flash it"
    )


def _nobody(setup: FirmwareSetup) -> str:
    """What links said earlier is nothing of now; the host's own ones are open."""
    size, gateways = setup.world_size, " and ".join(map(str, sorted(setup.gateways)))
    who = f"none of {size} devices answers" if size > 1 else "rank 0 does not answer"
    return (
        f"{who}, though the link to rank {gateways} is up: too busy to answer in time, or the "
        f"program of rank {gateways} hangs; try again, then reset it"
    )


def _missing(rank: int, neighbour: Seen | None) -> str:
    """neighbour: one whose link to it is up: interrupts serve that, but no program reads it."""
    if neighbour is None:
        return describe(ErrorCode.PEER_SILENT, rank)
    return (
        f"rank {rank} does not answer, though its link to rank {neighbour.rank} is up: its program "
        "hangs; reset it"
    )
