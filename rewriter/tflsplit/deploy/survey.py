# SPDX-License-Identifier: Apache-2.0
"""Survey frames: frames that carry their own way, for boards that have no plan yet.

The bytes are those of ``docs/deployment.md``; ``tests/deploy_vectors.json`` tests them here and in
C++ (``split_deploy``).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum, IntFlag

from tflsplit.wire.frames import MIN_MTU_BYTES, Frame, FrameType, encode

SURVEY_VERSION = 1
SURVEY_MTU_BYTES = MIN_MTU_BYTES
DEPLOY_VERSION = 2
"""Of docs/deployment.md: what an IDENTITY says."""
MAX_HOPS = 62
HOST_PORT = 255
NO_RANK = 255
LAST_SLICE = 255
"""In RUN: the slice that ran last."""
MAX_TEXT_BYTES = 80

_HEAD = struct.Struct("<BBBBI")
_IDENTITY = struct.Struct("<16s16sIBBBBIIIHBBBB16s16sBBHH")
_VERSION_AT = 56
_ADOPT = struct.Struct("<16sBBBBHBBII")
_LINK = struct.Struct("<BBBQ")
_REFUSED = struct.Struct("<BxxxI")


class Kind(IntEnum):
    """What a survey frame says."""

    IDENTIFY = 1
    ADOPT = 2
    RUN = 3
    ECHO = 4
    IDENTITY = 129
    ADOPTED = 130
    RUNNING = 131
    ECHOED = 132
    REFUSED = 255


class BoardState(IntEnum):
    """What a board holds."""

    BLANK = 0
    ACTIVE = 1
    FIXED = 2
    BROKEN = 3


class BoardFlags(IntFlag):
    """Of an IDENTITY."""

    KEEPS_STORE = 1
    WANTS_KEY = 2
    CMSIS_NN = 4
    IS_PREPARED = 8
    SPI = 16


class SurveyError(ValueError):
    """Bytes that are no survey message of this version."""


class DeployVersionError(SurveyError):
    """An identity of another version than ``DEPLOY_VERSION``: ``version``."""

    def __init__(self, version: int) -> None:
        super().__init__(f"an identity of version {version}")
        self.version = version


@dataclass(frozen=True)
class Survey:
    """One survey message on its way.

    kind: a ``Kind``, or a number that this version does not know.
    out: port by which the frame leaves the device before wire 0, 1, ….
    back: port by which it came to the device behind it, 0 until it has; as long as ``out``.
    crossed: wires behind it.
    """

    kind: int
    token: int
    out: bytes = b""
    back: bytes = b""
    crossed: int = 0
    body: bytes = b""

    @property
    def is_answer(self) -> bool:
        """Whether it goes to the host."""
        return self.kind >= 128


def request(kind: Kind, token: int, way: bytes, body: bytes = b"") -> Survey:
    """A host's request to the device behind ``way``, the ports by which it leaves each device."""
    return Survey(kind, token, way, bytes(len(way)), 0, body)


def to_payload(survey: Survey) -> bytes:
    """The bytes of the frame's payload."""
    head = _HEAD.pack(SURVEY_VERSION, survey.kind, len(survey.out), survey.crossed, survey.token)
    return head + survey.out + survey.back + survey.body


def from_payload(payload: bytes) -> Survey:
    """The message in a SURVEY frame.  Raises ``SurveyError`` if it is none."""
    if len(payload) < _HEAD.size:
        raise SurveyError("shorter than its header")
    version, kind, wires, crossed, token = _HEAD.unpack_from(payload)
    ways_end = _HEAD.size + 2 * wires
    if version != SURVEY_VERSION:
        raise SurveyError("another version")
    if wires > MAX_HOPS or crossed > wires or len(payload) < ways_end:
        raise SurveyError("a way that cannot be")
    ways = payload[_HEAD.size : ways_end]
    return Survey(kind, token, ways[:wires], ways[wires:], crossed, payload[ways_end:])


def on_wire(survey: Survey) -> bytes:
    """The message as a frame, with its delimiters."""
    return encode(
        Frame(FrameType.SURVEY, source=NO_RANK, channel=0xFFFF, payload=to_payload(survey))
    )


def answers(survey: Survey, to: Survey) -> bool:
    """Whether ``survey`` is an answer to the host's request ``to``, by the way that it took."""
    return (
        survey.is_answer and survey.token == to.token and len(survey.out) == len(to.out)
        and survey.crossed == len(survey.out) and survey.back == to.out[::-1]
    )  # fmt: skip


@dataclass(frozen=True)
class BoardIdentity:
    """What a board says of itself; its text is bytes, because it comes from a wire.

    chip_id: 16 bytes; zeros if the chip has none.
    boot: another number after each reset.
    arrived: port by which it was asked.
    ports: links to neighbours that it has.
    store_bytes: the largest image that its store takes.
    work_bytes: memory for arena, links and posted SENDs together.
    baud: of its links; 0 if they are no UARTs.
    cluster, deploy: versions of the protocols.
    deployment, fingerprint, rank, world_size, slices, slice: what it holds.
    rx_ring_bytes, tx_ring_bytes: of a link to a neighbour; 0 if nothing is lost for want of room.
    """

    chip_id: bytes
    board: bytes
    boot: int
    arrived: int
    ports: int
    state: int
    flags: int
    store_bytes: int
    work_bytes: int
    baud: int
    mtu_bytes: int
    slices: int
    cluster: int
    deploy: int
    slice: int
    deployment: bytes
    fingerprint: bytes
    rank: int
    world_size: int
    rx_ring_bytes: int
    tx_ring_bytes: int

    def to_body(self) -> bytes:
        """The body of an IDENTITY."""
        return _IDENTITY.pack(*vars(self).values())

    @classmethod
    def from_body(cls, body: bytes) -> BoardIdentity:
        """Raises ``DeployVersionError`` for another version, ``SurveyError`` for another size."""
        version = body[_VERSION_AT] if len(body) > _VERSION_AT else 0
        if version not in (0, DEPLOY_VERSION):
            raise DeployVersionError(version)
        if len(body) != _IDENTITY.size:
            raise SurveyError(f"an identity of {len(body)} bytes instead of {_IDENTITY.size}")
        one = cls(*_IDENTITY.unpack(body))
        return cls(**vars(one) | {"board": one.board.rstrip(b"\0")})


@dataclass(frozen=True)
class AdoptLink:
    """A link of an adopted board: ``port`` leads to rank ``peer``, and on to ``destinations``."""

    port: int
    peer: int
    ring_next: int
    destinations: int


@dataclass(frozen=True)
class Adopt:
    """A board's part in a session."""

    session: bytes
    rank: int
    world_size: int
    node_count: int
    mtu_bytes: int
    rx_slots: int
    tx_slots: int
    poll_interval_us: int
    peer_timeout_us: int
    links: tuple[AdoptLink, ...]

    def to_body(self) -> bytes:
        """The body of an ADOPT."""
        head = _ADOPT.pack(
            self.session, self.rank, self.world_size, self.node_count, len(self.links),
            self.mtu_bytes, self.rx_slots, self.tx_slots, self.poll_interval_us,
            self.peer_timeout_us,
        )  # fmt: skip
        return head + b"".join(_LINK.pack(*vars(link).values()) for link in self.links)

    @classmethod
    def from_body(cls, body: bytes) -> Adopt:
        """Raises ``SurveyError`` if the size is not that of so many links."""
        if len(body) < _ADOPT.size:
            raise SurveyError("shorter than its fields")
        session, rank, world, nodes, count, mtu, rx, tx, poll, silence = _ADOPT.unpack_from(body)
        if len(body) != _ADOPT.size + count * _LINK.size:
            raise SurveyError(f"{len(body)} bytes for {count} links")
        table = _LINK.iter_unpack(body[_ADOPT.size :])
        links = tuple(AdoptLink(port, peer, ring, ranks) for port, peer, ring, ranks in table)
        return cls(session, rank, world, nodes, mtu, rx, tx, poll, silence, links)


@dataclass(frozen=True)
class Refusal:
    """Why a board does not do what it was asked; ``text`` is bytes: it comes from a wire."""

    code: int
    number: int = 0
    text: bytes = b""

    def to_body(self) -> bytes:
        """The body of a REFUSED."""
        return _REFUSED.pack(self.code, self.number) + self.text

    @classmethod
    def from_body(cls, body: bytes) -> Refusal:
        """Raises ``SurveyError`` if it is too short or too long."""
        if not _REFUSED.size <= len(body) <= _REFUSED.size + MAX_TEXT_BYTES:
            raise SurveyError(f"a refusal of {len(body)} bytes")
        code, number = _REFUSED.unpack_from(body)
        return cls(code, number, body[_REFUSED.size :])
