# SPDX-License-Identifier: Apache-2.0
"""Why an inference failed, asked while the fault is there.

A device reports what it met itself: that it was reset, or did not hear a neighbour.  What lies
behind that, a cut cable or a watchdog, shows in what all of them say.
"""

from __future__ import annotations

from collections.abc import Sequence

from tflsplit.errors import LinkError
from tflsplit.host.firmware_json import FirmwareSetup
from tflsplit.host.inbox import Inbox
from tflsplit.host.roll_call import ANSWER_SECONDS, diagnosis, links_are_up
from tflsplit.wire.control import OPERATOR_FAILED, Ask, Info, ResetReason
from tflsplit.wire.handshake import ErrorCode, PeerError, describe

BY_WATCHDOG = "by its watchdog: its program hung"
_TEXT_SECONDS = 2.0
_SLOW_SECONDS = 4 * ANSWER_SECONDS
_OF_OTHER_CAUSES = (ErrorCode.PEER_SILENT, ErrorCode.TIMEOUT, ErrorCode.RANK_MISMATCH)
"""What one device says of a cable that is cut, or in another port, of a neighbour that hangs."""


def explained(
    error: PeerError, inbox: Inbox, setup: FirmwareSetup, before: Sequence[Info]
) -> LinkError:
    """The error, or in its place what the devices say of its cause.

    before: what they said at the last roll call, by rank.
    """
    if error.code == ErrorCode.PEER_RESET and _has_hung(inbox, error.rank):
        return LinkError(f"{error}, {BY_WATCHDOG}")
    if error.code in _OF_OTHER_CAUSES:
        cause = _cause(inbox, setup, before)
        return LinkError(cause) if cause else error
    if error.code != OPERATOR_FAILED or error.rank is None:
        return error
    return LinkError(f"rank {error.rank}: {text_of(inbox, error.rank)}")


def text_of(inbox: Inbox, rank: int) -> str:
    """The last thing that went wrong on a device; it sends that unasked after a fault."""
    inbox.gateway.wait_until(lambda: rank in inbox.texts, _TEXT_SECONDS)
    return inbox.texts.get(rank) or "it does not say why"


def _has_hung(inbox: Inbox, rank: int | None) -> bool:
    """Whether a device that was reset says, when it is back, that its watchdog did it."""
    if rank is None or rank not in inbox.ranks:
        return False
    inbox.ask(Ask.INFO, lambda: rank in inbox.infos, ANSWER_SECONDS, [rank])
    return rank in inbox.infos and inbox.infos[rank].reset_reason == ResetReason.WATCHDOG


def _cause(inbox: Inbox, setup: FirmwareSetup, before: Sequence[Info]) -> str | None:
    """None if everybody answers and hears everybody now."""
    try:
        inbox.gateway.open(ANSWER_SECONDS)
    except LinkError as error:
        return str(error)
    everybody = len(inbox.ranks)
    answered = inbox.ask(Ask.INFO, lambda: len(inbox.infos) == everybody, ANSWER_SECONDS)
    if not inbox.infos:  # the boards are slow, if they are there at all
        answered = inbox.ask(Ask.INFO, lambda: len(inbox.infos) == everybody, _SLOW_SECONDS)
    again = [
        _reset(rank, info)
        for rank, info in sorted(inbox.infos.items())
        if rank < len(before) and info.boot != before[rank].boot
    ]
    if again:
        return "; ".join(again)
    return None if answered and links_are_up(inbox) else diagnosis(inbox, setup)


def _reset(rank: int, info: Info) -> str:
    why = f", {BY_WATCHDOG}" if info.reset_reason == ResetReason.WATCHDOG else ""
    return describe(ErrorCode.PEER_RESET, rank) + why
