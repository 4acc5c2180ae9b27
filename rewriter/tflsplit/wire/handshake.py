# SPDX-License-Identifier: Apache-2.0
"""Who may talk to whom: the payloads of HELLO, WELCOME and REFUSE, and the check of identities.

A link opens only between neighbours of one plan. Two devices flashed from different plans, or two
boards in each other's place, find out here, and say which rank it is.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from enum import IntEnum

from tflsplit.errors import LinkError

FINGERPRINT_BYTES = 16
_HELLO = struct.Struct("<IIHHHBB16s")


class ErrorCode(IntEnum):
    """Errors that travel in REFUSE and FAULT frames (``error.h`` in split_core)."""

    OK = 0
    VERSION_MISMATCH = 1
    FINGERPRINT_MISMATCH = 2
    RANK_MISMATCH = 3
    WORLD_SIZE_MISMATCH = 4
    MTU_MISMATCH = 5
    PEER_SILENT = 16
    PEER_RESET = 17
    TIMEOUT = 18
    SIZE_MISMATCH = 32
    UNEXPECTED_DATA = 33
    BAD_OFFSET = 34
    BAD_ARGUMENT = 48
    SEND_SLOTS_FULL = 49
    RECV_SLOTS_FULL = 50
    GRANT_SLOTS_FULL = 51
    MEMORY_TOO_SMALL = 52
    OPERATOR_FAILED = 64


_TEXTS = {
    ErrorCode.VERSION_MISMATCH: "speaks another protocol version; flash it again",
    ErrorCode.FINGERPRINT_MISMATCH: "runs another plan; flash it from this one",
    ErrorCode.RANK_MISMATCH: "is wired here but the plan has another rank here",
    ErrorCode.WORLD_SIZE_MISMATCH: "was built for another number of devices",
    ErrorCode.MTU_MISMATCH: "uses another frame size (MTU)",
    ErrorCode.PEER_SILENT: "does not answer; check its power and wires",
    ErrorCode.PEER_RESET: "was reset during the inference",
    ErrorCode.TIMEOUT: "did not deliver in time",
    ErrorCode.SIZE_MISMATCH: "expects another message size on this channel",
    ErrorCode.UNEXPECTED_DATA: "sent data that nobody asked for",
    ErrorCode.BAD_OFFSET: "sent data outside of the message",
    ErrorCode.GRANT_SLOTS_FULL: "has all grant slots in use",
    ErrorCode.OPERATOR_FAILED: "failed in an operator; its own report says why",
}


def describe(code: int, rank: int | None, channel: int | None = None, reporter: int | None = None,
             ) -> str:  # fmt: skip
    """One line, as ``format_error`` in split_core writes it.

    ``code`` is a plain integer because it may come from a wire; an unknown one is named by number.
    """
    who = "a device" if rank is None else f"rank {rank}"
    where = "" if channel is None else f" (channel {channel})"
    by = "" if reporter is None else f" [seen by rank {reporter}]"
    known = code in ErrorCode.__members__.values()
    text = _TEXTS.get(ErrorCode(code)) if known else None
    return f"{who}{where} {text or f'reports error {code}'}{by}"


class PeerError(LinkError):
    """A device, or the wire to it, failed; ``code`` and ``rank`` say how and whose."""

    def __init__(self, code: int, rank: int | None, channel: int | None = None,
                 reporter: int | None = None) -> None:  # fmt: skip
        super().__init__(describe(code, rank, channel, reporter))
        self.code = code
        self.rank = rank
        self.channel = channel
        self.reporter = reporter


def fingerprint_bytes(fingerprint_hex: str) -> bytes:
    """The 16 bytes that devices compare: plan.json's fingerprint.

    Raises ``LinkError`` if it is anything but 32 hexadecimal digits in lower case.
    """
    if re.fullmatch(f"[0-9a-f]{{{2 * FINGERPRINT_BYTES}}}", fingerprint_hex) is None:
        raise LinkError(f"the plan's fingerprint {fingerprint_hex!a} is not 32 hex digits")
    return bytes.fromhex(fingerprint_hex)


@dataclass(frozen=True)
class Identity:
    """What both ends of a link must agree on, and who this end is."""

    rank: int
    world_size: int
    node_count: int
    mtu_bytes: int
    fingerprint: bytes


@dataclass(frozen=True)
class Hello:
    """Payload of HELLO and WELCOME, 32 bytes.

    ``boot`` is another after every reset, ``session`` counts how often this end opened the link
    since; a WELCOME repeats in ``echo_*`` those of the HELLO that it answers.
    """

    boot: int
    session: int
    mtu_bytes: int
    world_size: int
    node_count: int
    fingerprint: bytes
    echo_boot: int = 0
    echo_session: int = 0

    def pack(self) -> bytes:
        """The 32 bytes on the wire."""
        return _HELLO.pack(
            self.boot, self.echo_boot, self.session, self.echo_session, self.mtu_bytes,
            self.world_size, self.node_count, self.fingerprint,
        )  # fmt: skip

    @classmethod
    def unpack(cls, payload: bytes) -> Hello | None:
        """The reverse; None if the size is wrong."""
        if len(payload) != _HELLO.size:
            return None
        boot, echo_boot, session, echo_session, mtu, world, nodes, mark = _HELLO.unpack(payload)
        return cls(boot, session, mtu, world, nodes, mark, echo_boot, echo_session)


def check_identity(own: Identity, peer_rank: int, source: int, hello: Hello) -> ErrorCode:
    """What is wrong with a HELLO from ``source`` where ``peer_rank`` belongs; OK if nothing is."""
    if hello.fingerprint != own.fingerprint:
        return ErrorCode.FINGERPRINT_MISMATCH
    if (hello.world_size, hello.node_count) != (own.world_size, own.node_count):
        return ErrorCode.WORLD_SIZE_MISMATCH
    if source != peer_rank:
        return ErrorCode.RANK_MISMATCH
    if hello.mtu_bytes != own.mtu_bytes:
        return ErrorCode.MTU_MISMATCH
    return ErrorCode.OK


def hello_of(
    own: Identity, boot: int, session: int, echo_boot: int = 0, echo_session: int = 0
) -> Hello:
    """What this end says of itself."""
    return Hello(
        boot, session, own.mtu_bytes, own.world_size, own.node_count, own.fingerprint, echo_boot,
        echo_session,
    )  # fmt: skip
