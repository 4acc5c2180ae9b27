# SPDX-License-Identifier: Apache-2.0
"""Frames of links straight on Ethernet, byte for byte as ``docs/ethernet.md`` says.

::

    to 6 | from 6 | 88 B5 | version, rank, receivers, 0, length 2 | frame of a link | receivers

``split_port/ethernet_frame.h`` in the firmware reads and writes the same;
``tests/ethernet_vectors.json`` tests both.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from tflsplit.wire.frames import CRC_BYTES, MIN_MTU_BYTES, OVERHEAD_BYTES

ETHER_TYPE = 0x88B5
"""IEEE 802: for local experiments."""
SEGMENT_VERSION = 1
ADDRESS_BYTES = 6
PLAN_BYTES = 3
"""Of the fingerprint, in every address."""
HEADER_BYTES = 20
RECEIVER_BYTES = 4
MAX_RECEIVERS = 15
LEAST_BYTES = 60
"""Without FCS; shorter frames are filled up with zeros."""

_OF_ONE, _OF_GROUP, _MARK, _ALL_RANKS = 0x02, 0x03, 0x54, 0xFF
_HEADER = struct.Struct("<BBBBH")
_HOP = slice(2, 5)
_DESTINATIONS = slice(8, 16)


@dataclass(frozen=True)
class SegmentPlace:
    """Who a device is on its segment.

    plan: the first three bytes of the fingerprint.  has_host: frames to the host come by this rank.
    """

    rank: int
    world_size: int
    plan: bytes
    mtu_bytes: int = MIN_MTU_BYTES * 2
    has_host: bool = False


def address_of(place: SegmentPlace, rank: int) -> bytes:
    """The Ethernet address of a rank."""
    return bytes([_OF_ONE, _MARK, *place.plan, rank])


def group_address(place: SegmentPlace) -> bytes:
    """That of all devices of the plan."""
    return bytes([_OF_GROUP, _MARK, *place.plan, _ALL_RANKS])


def is_group(address: bytes) -> bool:
    """Whether a switch passes it on to everybody."""
    return bool(address[0] & 1) if address else True


def goes_to_group(receivers: int, world_size: int) -> bool:
    """Whether a frame for so many leaves once, to everybody: for most of the others.

    A switch passes it on to all ports, those that it is not for as well.
    """
    return receivers > 1 and 2 * receivers > world_size - 1


def seal(place: SegmentPlace, frames: Sequence[tuple[int, bytes]]) -> tuple[bytes, ...]:
    """What leaves for link frames that are alike but for their hop: (receiver, frame with CRC)."""
    (first, raw), *others = frames
    entries = [bytes([first, 0, 0, 0])]
    if others:
        entries = [bytes([rank]) + frame[_HOP] for rank, frame in frames]
        reached = 0
        for _, frame in frames:
            reached |= int.from_bytes(frame[_DESTINATIONS], "little")
        raw = _with_crc(raw, b"\0\0\0", reached)
    tail = address_of(place, place.rank) + ETHER_TYPE.to_bytes(2, "big")
    tail += _HEADER.pack(SEGMENT_VERSION, place.rank, len(frames), 0, len(raw))
    tail += raw + b"".join(entries)
    addresses = [address_of(place, rank) for rank, _ in frames]
    if goes_to_group(len(frames), place.world_size):
        addresses = [group_address(place)]
    return tuple((address + tail).ljust(LEAST_BYTES, b"\0") for address in addresses)


def open_frame(place: SegmentPlace, ethernet: bytes) -> tuple[int, bytes] | None:
    """The sender's rank and the frame as its link wrote it; None: none of ours, or damaged."""
    if len(ethernet) < LEAST_BYTES or ethernet[12:14] != ETHER_TYPE.to_bytes(2, "big"):
        return None
    version, rank, receivers, _, raw_bytes = _HEADER.unpack_from(ethernet, 14)
    if version != SEGMENT_VERSION or rank >= place.world_size or rank == place.rank:
        return None
    if ethernet[:ADDRESS_BYTES] not in (address_of(place, place.rank), group_address(place)):
        return None
    end = HEADER_BYTES + raw_bytes
    fits = OVERHEAD_BYTES <= raw_bytes <= place.mtu_bytes and 0 < receivers <= MAX_RECEIVERS
    if ethernet[6:12] != address_of(place, rank) or not fits:
        return None
    if end + RECEIVER_BYTES * receivers > len(ethernet):
        return None
    raw = ethernet[HEADER_BYTES:end]
    entries = [
        ethernet[at : at + RECEIVER_BYTES]
        for at in range(end, end + RECEIVER_BYTES * receivers, RECEIVER_BYTES)
    ]
    mine = next((entry for entry in entries if entry[0] == place.rank), None)
    if mine is None:
        return None
    return (rank, raw) if receivers == 1 else _restored(place, rank, raw, mine[1:])


def _restored(place: SegmentPlace, rank: int, raw: bytes, hop: bytes) -> tuple[int, bytes] | None:
    body, crc = raw[:-CRC_BYTES], raw[-CRC_BYTES:]
    if zlib.crc32(body).to_bytes(CRC_BYTES, "little") != crc:
        return None
    own = 1 << place.rank | (1 << place.world_size if place.has_host else 0)
    return rank, _with_crc(raw, hop, int.from_bytes(raw[_DESTINATIONS], "little") & own)


def _with_crc(raw: bytes, hop: bytes, destinations: int) -> bytes:
    body = raw[:2] + hop + raw[5:8] + destinations.to_bytes(8, "little") + raw[16:-CRC_BYTES]
    return body + zlib.crc32(body).to_bytes(CRC_BYTES, "little")
