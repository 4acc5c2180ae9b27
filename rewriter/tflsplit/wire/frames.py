# SPDX-License-Identifier: Apache-2.0
"""Frames on a wire: COBS, CRC-32 and the header, byte for byte as ``docs/wire_format.md`` says.

::

    00 | COBS( header 24 | payload 0..mtu-28 | crc32 4 ) | 00

``split_core`` in the firmware reads and writes the same; ``tests/wire_vectors.json`` tests both.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum

PROTOCOL_VERSION = 2
HEADER_BYTES = 24
CRC_BYTES = 4
OVERHEAD_BYTES = HEADER_BYTES + CRC_BYTES
MIN_MTU_BYTES = 256
MAX_MTU_BYTES = 1024
MAX_NODES = 64
"""Bits in a destination set."""

_HEADER = struct.Struct("<BBBBBBHQIHH")
_LONGEST_BLOCK = 254


class FrameType(IntEnum):
    """What a frame is for; DATA to FAULT are sequenced: in order and once, hop by hop."""

    HELLO = 1
    WELCOME = 2
    REFUSE = 3
    ACK = 4
    NAK = 5
    POLL = 6
    STATUS = 7
    DATA = 16
    GRANT = 17
    DATAGRAM = 18
    FAULT = 19
    SURVEY = 32
    """Carries its own way (``docs/deployment.md``); a link drops it."""

    @property
    def is_sequenced(self) -> bool:
        """Whether the link numbers it, acknowledges it and sends it again when lost."""
        return FrameType.DATA <= self < FrameType.SURVEY

    @property
    def tells_held(self) -> bool:
        """Whether ``offset`` tells what was kept out of order: bit i, frame ``ack + i``."""
        return FrameType.ACK <= self <= FrameType.STATUS


@dataclass(frozen=True)
class Frame:
    """One frame: the fields of its header, and its payload.

    ``sequence``, ``ack`` and ``credit`` belong to the hop and change on every wire; the others
    travel from ``source`` to every rank whose bit is set in ``destinations``.
    """

    type: FrameType
    sequence: int = 0
    ack: int = 0
    credit: int = 0
    source: int = 0
    channel: int = 0
    destinations: int = 0
    offset: int = 0
    epoch: int = 0
    payload: bytes = field(default=b"", repr=False)


class HeaderError(ValueError):
    """A whole, undamaged frame whose header this version cannot use."""

    def __init__(self, reason: str, type_number: int, source: int) -> None:
        super().__init__(reason)
        self.reason = reason  # "version", "type", "length", or "survey" of parse_of_link()
        self.type_number = type_number
        self.source = source


def max_payload_bytes(mtu_bytes: int) -> int:
    """The most payload bytes of one frame."""
    return mtu_bytes - OVERHEAD_BYTES


def max_encoded_bytes(raw_bytes: int) -> int:
    """The most wire bytes of a frame of ``raw_bytes`` (header, payload and CRC)."""
    return raw_bytes + raw_bytes // _LONGEST_BLOCK + 1 + 2


def cobs_encode(data: bytes) -> bytes:
    """``data`` without zeros (Cheshire and Baker, Consistent Overhead Byte Stuffing, 1999)."""
    out = bytearray()
    begin = 0
    while True:
        end = data.find(0, begin, begin + _LONGEST_BLOCK)
        if end >= 0:  # a block stands for its bytes and the zero behind them
            out.append(end - begin + 1)
            out += data[begin:end]
            begin = end + 1
        elif len(data) - begin >= _LONGEST_BLOCK:  # a full block stands for its bytes alone
            out.append(0xFF)
            out += data[begin : begin + _LONGEST_BLOCK]
            begin += _LONGEST_BLOCK
            if begin == len(data):
                return bytes(out)
        else:
            out.append(len(data) - begin + 1)
            out += data[begin:]
            return bytes(out)


def encode(frame: Frame) -> bytes:
    """The frame as it goes onto the wire, with both delimiters."""
    header = _HEADER.pack(
        PROTOCOL_VERSION, frame.type, frame.sequence, frame.ack, frame.credit, frame.source,
        frame.channel, frame.destinations, frame.offset, len(frame.payload), frame.epoch,
    )  # fmt: skip
    raw = header + frame.payload
    return b"\0" + cobs_encode(raw + struct.pack("<I", zlib.crc32(raw))) + b"\0"


def parse(raw: bytes) -> Frame:
    """The frame in ``raw`` (header and payload, CRC already checked and dropped).

    Raises ``HeaderError`` with the reason; type and source are readable in every version.
    """
    version, kind, sequence, ack, credit, source, channel, destinations, offset, length, epoch = (
        _HEADER.unpack_from(raw)
    )
    if version != PROTOCOL_VERSION:
        raise HeaderError("version", kind, source)
    if kind not in FrameType.__members__.values():
        raise HeaderError("type", kind, source)
    if length != len(raw) - HEADER_BYTES:
        raise HeaderError("length", kind, source)
    return Frame(
        FrameType(kind), sequence, ack, credit, source, channel, destinations, offset, epoch,
        raw[HEADER_BYTES:],
    )  # fmt: skip


def parse_of_link(raw: bytes) -> Frame:
    """The same, of what a link takes: a SURVEY frame raises too, but is no fault of a header."""
    frame = parse(raw)
    if frame.type is FrameType.SURVEY:
        raise HeaderError("survey", frame.type, frame.source)
    return frame


@dataclass
class DecoderCounters:
    """What came in, and what had to be dropped, by kind."""

    frames: int = 0
    crc_errors: int = 0
    cobs_errors: int = 0
    too_long: int = 0
    too_short: int = 0

    @property
    def errors(self) -> int:
        """Everything that came broken."""
        return self.crc_errors + self.cobs_errors + self.too_long + self.too_short


class FrameDecoder:
    """Finds frames in a stream of bytes; garbage costs at most the frames that it touches."""

    def __init__(self, mtu_bytes: int) -> None:
        self._mtu_bytes = mtu_bytes
        self._out = bytearray()
        self._restart()
        self.counters = DecoderCounters()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The raw frames (for ``parse``) that ``data`` completes.

        Feeds lazily: consume the iterator to the end before the next call.
        """
        for byte in data:
            raw = self._push(byte)
            if raw is not None:
                yield raw

    def _restart(self) -> None:
        self._out.clear()
        self._block_left = 0
        self._owes_zero = False
        self._started = False
        self._skipping = False

    def _push(self, byte: int) -> bytes | None:
        if byte == 0:
            raw = self._finish() if self._started and not self._skipping else None
            self._restart()
            return raw
        if self._skipping:
            return None
        if self._block_left == 0:
            if self._started and self._owes_zero:
                self._append(0)
            self._started = True
            self._block_left = byte - 1
            self._owes_zero = byte != 0xFF
        else:
            self._block_left -= 1
            self._append(byte)
        return None

    def _append(self, byte: int) -> None:
        if len(self._out) == self._mtu_bytes:
            self._skipping = True
            self.counters.too_long += 1
            return
        self._out.append(byte)

    def _finish(self) -> bytes | None:
        counters = self.counters
        if self._block_left:
            counters.cobs_errors += 1
        elif len(self._out) < OVERHEAD_BYTES:
            counters.too_short += 1
        elif zlib.crc32(self._out[:-CRC_BYTES]) != int.from_bytes(self._out[-CRC_BYTES:], "little"):
            counters.crc_errors += 1
        else:
            counters.frames += 1
            return bytes(self._out[:-CRC_BYTES])
        return None
