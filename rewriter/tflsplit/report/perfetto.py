# SPDX-License-Identifier: Apache-2.0
"""Traces that https://ui.perfetto.dev opens: Perfetto's native track events, in few lines.

A trace file is one protobuf message ``Trace`` of ``TracePacket``s.  What is written here of it::

    TracePacket       timestamp 8 (ns), trusted_packet_sequence_id 10, track_event 11,
                      track_descriptor 60
    TrackDescriptor   uuid 1, name 2, process 3, thread 4, parent_uuid 5, counter 8
    TrackEvent        debug_annotations 4, type 9, track_uuid 11, name 23, counter_value 30,
                      flow_ids 47, terminating_flow_ids 48

Numbers of fields: protos/perfetto/trace/{trace_packet,track_event/*}.proto of Perfetto; a test
reads what is written here with the messages that its Python package generates from them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

_BEGIN, _END, _INSTANT, _COUNTER = 1, 2, 3, 4
_BYTES_UNIT = 3
_SEQUENCE = 1
Value = int | float | str


@dataclass
class Trace:
    """A trace that is being written: tracks first, then what happens on them.

    Events may be added in any order of time, on one track from early to late.
    """

    _tracks: list[bytes] = field(default_factory=list)
    _events: list[tuple[int, int, bytes]] = field(default_factory=list)

    def process(self, pid: int, name: str) -> int:
        """A device, or the host; returns its track.  pid: from 1 on."""
        inside = _number(1, pid) + _text(6, name)
        return self._track(_message(3, inside))

    def thread(self, pid: int, tid: int, name: str) -> int:
        """What one thing of a process does, one after the other; returns its track."""
        inside = _number(1, pid) + _number(2, tid) + _text(5, name)
        return self._track(_message(4, inside))

    def counter(self, parent: int, name: str) -> int:
        """An amount of bytes of a process over time; returns its track."""
        counter = _message(8, _number(3, _BYTES_UNIT))
        return self._track(_text(2, name) + _number(5, parent) + counter)

    def _track(self, inside: bytes) -> int:
        uuid = len(self._tracks) + 1
        self._tracks.append(_message(60, _number(1, uuid) + inside))
        return uuid

    def slice(
        self,
        track: int,
        name: str,
        start_us: float,
        end_us: float,
        values: Mapping[str, Value] | None = None,
    ) -> None:
        """Something that takes time, a nanosecond at least; ``values`` are shown with it."""
        if round(end_us * 1000) <= round(start_us * 1000):
            return  # it would end before it begins
        notes = b"".join(_annotation(key, value) for key, value in (values or {}).items())
        begin = notes + _number(9, _BEGIN) + _number(11, track) + _text(23, name)
        self._at(start_us, begin, 1)
        self._at(end_us, _number(9, _END) + _number(11, track), 0)

    def instant(
        self, track: int, name: str, at_us: float, flows: Sequence[int] = (), ends: bool = False
    ) -> None:
        """Something that takes none; flows: what leaves from here, or (``ends``) arrives."""
        event = _number(9, _INSTANT) + _number(11, track) + _text(23, name)
        event += b"".join(_fixed(48 if ends else 47, flow) for flow in flows)
        self._at(at_us, event, 2)

    def count(self, track: int, value: int, at_us: float) -> None:
        """What a counter is from now on."""
        self._at(at_us, _number(9, _COUNTER) + _number(11, track) + _number(30, value), 2)

    def _at(self, when_us: float, event: bytes, order: int) -> None:
        self._events.append((round(when_us * 1000), order, event))

    def serialized(self) -> bytes:
        """The file."""
        packets = [_message(1, _number(10, _SEQUENCE) + track) for track in self._tracks]
        # What ends at a moment ends before what begins then.
        for when_ns, _, event in sorted(self._events, key=lambda each: each[:2]):
            head = _number(8, when_ns) + _number(10, _SEQUENCE)
            packets.append(_message(1, head + _message(11, event)))
        return b"".join(packets)


def _annotation(name: str, value: Value) -> bytes:
    if isinstance(value, str):
        inside = _text(6, value)
    elif isinstance(value, float):
        inside = _text(6, f"{value:.3f}")
    else:
        inside = _number(4, value)
    return _message(4, inside + _text(10, name))


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value & (1 << 64) - 1)


def _fixed(number: int, value: int) -> bytes:
    return _varint(number << 3 | 1) + value.to_bytes(8, "little")


def _message(number: int, inside: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(inside)) + inside


def _text(number: int, text: str) -> bytes:
    return _message(number, text.encode("utf-8", "replace"))
