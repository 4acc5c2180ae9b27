# SPDX-License-Identifier: Apache-2.0
"""Control messages between a host and its devices: the tables of ``docs/cluster_protocol.md``.

Each message is the payload of one DATAGRAM frame on ``CONTROL_CHANNEL``::

    version u8 | type u8 | fields, little-endian, as in the document

``split_device/cluster_protocol.h`` is the same in C++; ``tests/control_vectors.json`` tests both.
"""

from __future__ import annotations

import struct
from dataclasses import astuple, dataclass, replace
from enum import IntEnum, IntFlag
from typing import ClassVar

from tflsplit.untrusted import one_line

CONTROL_VERSION = 4
OLDER_VERSIONS = (2, 3)
"""QUERY has been the same in all, so that devices of an older version can be told apart."""
CONTROL_CHANNEL = 1
INPUT_CHANNEL = 0xF000
"""Channel of operand 0 of a device's graph inputs; operand i has this plus i."""
OUTPUT_CHANNEL = 0xF800
"""Channel of operand 0 of a device's graph outputs."""
MAX_OPERANDS = 2048
"""Graph inputs, and graph outputs, that a device may have."""
NO_CHANNEL = 0xFFFF
NO_RANK = 0xFF
NO_LINK = 0xFF
OPERATOR_FAILED = 64
"""Code of a REPORT: an operator failed; TEXT says which."""

LINK_COUNTERS = (
    "frames_sent", "frames_resent", "frames_received", "duplicates", "gaps", "bad_headers",
    "bad_acks", "over_credit", "dropped", "stalls", "polls", "sessions", "bytes_sent",
    "bytes_received", "crc_errors", "cobs_errors", "too_long", "too_short",
)  # fmt: skip
"""The counters of LINK, in their order on the wire."""

_BOARD_BYTES = 16
_BOARD_AT = 15
"""Place of ``board`` among the fields of INFO."""
_MAX_TEXT_BYTES = 160


class Ask(IntFlag):
    """What a QUERY wants to know."""

    INFO = 1
    REPORT = 2
    LINKS = 4
    TEXT = 8


class DeviceState(IntEnum):
    """What a device is doing."""

    IDLE = 0
    BUSY = 1
    BROKEN = 2


class ResetReason(IntEnum):
    """Why a device began to run this time."""

    UNKNOWN = 0
    POWER = 1
    BUTTON = 2
    WATCHDOG = 3
    SOFTWARE = 4


class Status(IntEnum):
    """How an inference ended."""

    DONE = 0
    FAULT = 1
    NONE = 2
    STALE = 3
    BROKEN = 4
    SUPERSEDED = 5


class Phase(IntEnum):
    """Where an inference was when it ended."""

    NONE = 0
    INPUT = 1
    GRAPH = 2
    OUTPUT = 3


EPOCH_VALID = 1
LINKS_UP = 2
AHEAD = 1
"""Flag of a START: begins when the inference before it has ended."""


@dataclass(frozen=True)
class Query:
    """Host to devices: tell me. ``what`` is a sum of ``Ask``."""

    TYPE: ClassVar[int] = 1
    LAYOUT: ClassVar[struct.Struct] = struct.Struct("<BBHI")
    what: int
    token: int


@dataclass(frozen=True)
class Start:
    """Host to devices: begin inference ``epoch``; with ``AHEAD`` when the one before has ended."""

    TYPE: ClassVar[int] = 2
    LAYOUT: ClassVar[struct.Struct] = struct.Struct("<BBHIBxxx")
    epoch: int
    timeout_ms: int = 0
    flags: int = 0


@dataclass(frozen=True)
class Info:
    """Device to host: what it is, and whether it is ready."""

    TYPE: ClassVar[int] = 129
    LAYOUT: ClassVar[struct.Struct] = struct.Struct("<BBBBIIHBBIIIIIIII16sBxxxIIII")
    state: int = DeviceState.IDLE
    flags: int = 0
    token: int = 0
    boot: int = 0
    epoch: int = 0
    inputs: int = 0
    outputs: int = 0
    arena_bytes: int = 0
    arena_used_bytes: int = 0
    model_bytes: int = 0
    ticks_per_second: int = 0
    inferences: int = 0
    faults: int = 0
    uptime_ms: int = 0
    link_bytes: int = 0
    board: str = ""
    reset_reason: int = 0
    console_lost_bytes: int = 0
    stack_bytes: int = 0
    stack_used_bytes: int = 0
    next_input_bytes: int = 0

    @property
    def links_up(self) -> bool:
        """Whether every link of this device is up."""
        return bool(self.flags & LINKS_UP)

    @property
    def last_epoch(self) -> int | None:
        """The last inference that it began; None if it has begun none since its reset."""
        return self.epoch if self.flags & EPOCH_VALID else None


@dataclass(frozen=True)
class Report:
    """Device to host: how its last inference went; times in microseconds."""

    TYPE: ClassVar[int] = 130
    LAYOUT: ClassVar[struct.Struct] = struct.Struct("<BBBBIHHBBBBIIIIQQII")
    status: int = Status.NONE
    code: int = 0
    token: int = 0
    epoch: int = 0
    channel: int = NO_CHANNEL
    rank: int = NO_RANK
    link: int = NO_LINK
    reporter: int = NO_RANK
    phase: int = Phase.NONE
    input_us: int = 0
    graph_us: int = 0
    wait_us: int = 0
    output_us: int = 0
    graph_ticks: int = 0
    wait_ticks: int = 0
    sent_bytes: int = 0
    received_bytes: int = 0


@dataclass(frozen=True)
class LinkReport:
    """Device to host: one of its links, with the counters that ``LINK_COUNTERS`` names."""

    TYPE: ClassVar[int] = 131
    LAYOUT: ClassVar[struct.Struct] = struct.Struct("<BBBBIBBBB18II")
    link: int = 0
    peer: int = NO_RANK
    token: int = 0
    state: int = 0
    code: int = 0
    links: int = 0
    claimed: int = NO_RANK
    counters: tuple[int, ...] = (0,) * len(LINK_COUNTERS)
    lost_bytes: int = 0

    def count(self, name: str) -> int:
        """One counter by its name in ``LINK_COUNTERS``."""
        return self.counters[LINK_COUNTERS.index(name)]


@dataclass(frozen=True)
class TextReport:
    """Device to host: the last thing that went wrong there, for people."""

    TYPE: ClassVar[int] = 132
    LAYOUT: ClassVar[struct.Struct] = struct.Struct("<BBBxI")
    token: int = 0
    text: str = ""


Message = Query | Start | Info | Report | LinkReport | TextReport


def pack(message: Message) -> bytes:
    """The payload of a message."""
    begin = CONTROL_VERSION, message.TYPE
    if isinstance(message, TextReport):
        text = _ascii(message.text)[:_MAX_TEXT_BYTES]
        return message.LAYOUT.pack(*begin, len(text), message.token) + text
    if isinstance(message, Info):
        numbers = list(astuple(message))
        numbers[_BOARD_AT] = _ascii(message.board)[:_BOARD_BYTES]
        return message.LAYOUT.pack(*begin, *numbers)
    if isinstance(message, LinkReport):
        fields = astuple(replace(message, counters=()))
        return message.LAYOUT.pack(*begin, *fields[:7], *message.counters, message.lost_bytes)
    return message.LAYOUT.pack(*begin, *astuple(message))


def unpack(payload: bytes) -> Message | None:
    """The message in a payload; None for another version, an unknown type or a wrong size."""
    if len(payload) < 2 or payload[0] != CONTROL_VERSION:
        return None
    kind = payload[1]
    if kind == TextReport.TYPE:
        return _unpack_text(payload)
    for cls in (Query, Start, Info, Report, LinkReport):
        if kind == cls.TYPE and len(payload) == cls.LAYOUT.size:
            fields = cls.LAYOUT.unpack(payload)[2:]
            if cls is LinkReport:
                fields = (*fields[:7], fields[7:-1], fields[-1])
            elif cls is Info:
                fields = (
                    *fields[:_BOARD_AT], _text(fields[_BOARD_AT]), *fields[_BOARD_AT + 1 :]
                )  # fmt: skip
            return cls(*fields)
    return None


def _unpack_text(payload: bytes) -> TextReport | None:
    size = TextReport.LAYOUT.size
    if len(payload) < size:
        return None
    _, _, length, token = TextReport.LAYOUT.unpack_from(payload)
    if length > _MAX_TEXT_BYTES or len(payload) != size + length:
        return None
    return TextReport(token, _text(payload[size:]))


def _ascii(text: str) -> bytes:
    return text.encode("ascii", "replace")


def _text(data: bytes) -> str:
    """What a device said, on one line: it may be any bytes, and people will see it."""
    return one_line(data.rstrip(b"\0").decode("ascii", "replace"))


def is_later(later: int, earlier: int) -> bool:
    """Whether inference ``later`` comes after ``earlier``, across the wrap at 2^16."""
    return 0 < (later - earlier) & 0xFFFF < 0x8000
