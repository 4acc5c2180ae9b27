# SPDX-License-Identifier: Apache-2.0
"""Control messages of a session, in which boards get their images (``docs/deployment.md``).

Each is the payload of one DATAGRAM on ``DEPLOY_CHANNEL``; ``tests/deploy_vectors.json`` tests them
here and in C++ (``split_deploy``).
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from enum import IntEnum
from typing import ClassVar

from tflsplit.deploy.survey import MAX_TEXT_BYTES

SESSION_VERSION = 1
DEPLOY_CHANNEL = 2
CHUNK_CHANNEL = 0xE000
MIN_CHUNK_BYTES, MAX_CHUNK_BYTES, CHUNK_STEP_BYTES = 256, 65_536, 16
_SIGNED = b"tflsplit deployment 1"


class Code(IntEnum):
    """Why something is refused."""

    MALFORMED = 1
    CONFIGURATION = 2
    WORK_MEMORY = 3
    NO_IMAGE = 4
    FIXED = 5
    UNKNOWN_KIND = 6
    STORE_TOO_SMALL = 7
    SIGNATURE = 8
    STORE_FAILED = 9
    DIGEST = 10
    IMAGE = 11
    NOT_PREPARED = 12
    OTHER_DEPLOYMENT = 13


class ImageState(IntEnum):
    """How far a board is with the image that was offered."""

    WANTED = 0
    PREPARED = 1
    ACTIVE = 2


@dataclass(frozen=True)
class Offer:
    """Host to one board: take this image."""

    TYPE: ClassVar[int] = 1
    LAYOUT: ClassVar[struct.Struct] = struct.Struct("<BBxxI16s32s32s")
    image_bytes: int
    deployment: bytes
    sha256: bytes
    hmac: bytes = bytes(32)


@dataclass(frozen=True)
class Commit:
    """Host to boards: what is prepared is from now on what you hold."""

    TYPE: ClassVar[int] = 2
    LAYOUT: ClassVar[struct.Struct] = struct.Struct("<BBxx16s")
    deployment: bytes


@dataclass(frozen=True)
class Run:
    """Host to boards: end the session and run a slice of the committed image."""

    TYPE: ClassVar[int] = 3
    LAYOUT: ClassVar[struct.Struct] = struct.Struct("<BBBx16s")
    slice: int
    deployment: bytes


@dataclass(frozen=True)
class Accepted:
    """Board to host: how far it is with what was offered."""

    TYPE: ClassVar[int] = 129
    LAYOUT: ClassVar[struct.Struct] = struct.Struct("<BBBxII16s")
    state: int
    chunk_bytes: int
    received_bytes: int
    deployment: bytes


@dataclass(frozen=True)
class Committed:
    """Board to host: it holds the deployment."""

    TYPE: ClassVar[int] = 130
    LAYOUT: ClassVar[struct.Struct] = struct.Struct("<BBxx16s")
    deployment: bytes


@dataclass(frozen=True)
class Running:
    """Board to host: it leaves the session to run."""

    TYPE: ClassVar[int] = 131
    LAYOUT: ClassVar[struct.Struct] = struct.Struct("<BBBx16s")
    slice: int
    deployment: bytes


@dataclass(frozen=True)
class Refused:
    """Board to host: it will not, and why.  ``about``: the type of the message, 0 if of none."""

    TYPE: ClassVar[int] = 255
    LAYOUT: ClassVar[struct.Struct] = struct.Struct("<BBBBI")
    code: int
    about: int = 0
    number: int = 0
    text: bytes = b""


Message = Offer | Commit | Run | Accepted | Committed | Running | Refused
_FIXED_SIZE = {one.TYPE: one for one in (Offer, Commit, Run, Accepted, Committed, Running)}


def encode_message(message: Message) -> bytes:
    """The payload of the datagram."""
    head = (SESSION_VERSION, message.TYPE)
    if isinstance(message, Refused):
        return message.LAYOUT.pack(*head, *astuple(message)[:-1]) + message.text
    return message.LAYOUT.pack(*head, *astuple(message))


def decode_message(payload: bytes) -> Message | None:
    """The message, or None if it is of another version, type or size."""
    if len(payload) < 2 or payload[0] != SESSION_VERSION:
        return None
    if payload[1] == Refused.TYPE:
        size = Refused.LAYOUT.size
        if not size <= len(payload) <= size + MAX_TEXT_BYTES:
            return None
        _, _, code, about, number = Refused.LAYOUT.unpack_from(payload)
        return Refused(code, about, number, payload[size:])
    kind = _FIXED_SIZE.get(payload[1])
    if kind is None or len(payload) != kind.LAYOUT.size:
        return None
    return kind(*kind.LAYOUT.unpack(payload)[2:])


def deployment_id(images: Iterable[bytes]) -> bytes:
    """The 16 bytes that name a deployment of these images, in the order of their ranks."""
    digests = b"".join(hashlib.sha256(image).digest() for image in images)
    return hashlib.sha256(digests).digest()[:16]


def signature(key: bytes, deployment: bytes, image_bytes: int, sha256: bytes) -> bytes:
    """The 32 bytes by which a board knows that who has the key offers the image."""
    text = _SIGNED + deployment + image_bytes.to_bytes(4, "little") + sha256
    return hmac.new(key, text, "sha256").digest()


def offer_of(image: bytes, deployment: bytes, key: bytes | None = None) -> Offer:
    """The offer of an image, signed if there is a key."""
    digest = hashlib.sha256(image).digest()
    signed = signature(key, deployment, len(image), digest) if key else bytes(32)
    return Offer(len(image), deployment, digest, signed)


def is_chunk_size(chunk_bytes: int) -> bool:
    """Whether a board may ask for chunks of this size."""
    in_range = MIN_CHUNK_BYTES <= chunk_bytes <= MAX_CHUNK_BYTES
    return in_range and chunk_bytes % CHUNK_STEP_BYTES == 0
