# SPDX-License-Identifier: Apache-2.0
"""Every point of an inference at which a board may die, from a recording of one.

::

    recorded bytes by port --> frames, with the place and the time of each
        --> by rank: within and behind each frame that it sends or that comes to it,
            and in the middle of what it computes behind what it has received
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from threading import Lock

from tflsplit.emulate.wiring import Port as End
from tflsplit.wire.frames import MAX_MTU_BYTES, FrameDecoder, FrameType, parse

PHASES = (
    "idle", "taking input", "SEND", "RECV", "in a kernel", "giving output", "passing on",
    "grants and control", "deployment",
)  # fmt: skip
_LEAST_KERNEL_SECONDS = 0.0001
"""Of what a board computes between two frames: less is none."""


@dataclass(frozen=True)
class Kill:
    """One of them.

    end: the port whose bytes are counted, None: at once.  after_seconds: that late behind them.
    is_gateway: its death is only survived by its return.
    """

    phase: str
    rank: int
    end: End | None = None
    after_bytes: int = 0
    after_seconds: float = 0.0

    @property
    def is_gateway(self) -> bool:
        """Whether the host reaches the others through it."""
        return self.rank == 0


@dataclass(frozen=True)
class Passed:
    """A frame on a wire.  begin, end: places in what the port has sent; at: when it was whole."""

    type: FrameType
    source: int
    destinations: int
    begin: int
    end: int
    at: float


class Recording:
    """Bytes by the port that sent them; an instance is what ``FaultProxy.listener`` may be."""

    def __init__(self, port_of: Callable[[object], End | None]) -> None:
        self._port_of = port_of
        self._lock = Lock()
        self._pieces: dict[End, list[tuple[float, bytes]]] = {}

    def __call__(self, source: object, data: bytes) -> None:
        """Keep what came from a socket."""
        end = self._port_of(source)
        if end is not None:
            with self._lock:
                self._pieces.setdefault(end, []).append((time.monotonic(), data))

    def frames(self) -> dict[End, list[Passed]]:
        """What each port has sent."""
        with self._lock:
            return {end: list(_frames(pieces)) for end, pieces in self._pieces.items()}


def _frames(pieces: Iterable[tuple[float, bytes]]) -> Iterator[Passed]:
    decoder, place, begin = FrameDecoder(MAX_MTU_BYTES), 0, 0
    for at, data in pieces:
        for byte in data:
            place += 1
            for raw in decoder.feed(bytes([byte])):
                frame = parse(raw)
                yield Passed(frame.type, frame.source, frame.destinations, begin, place, at)
            if byte == 0:
                begin = place


def phase_of(frame: Passed, rank: int, host: int, is_sent: bool) -> str:
    """What a rank does with a frame that it sends, or that comes to it."""
    if frame.type is not FrameType.DATA:
        return "grants and control"
    if frame.source == rank:
        return "giving output" if frame.destinations >> host & 1 else "SEND"
    if is_sent or not frame.destinations >> rank & 1:
        return "passing on"
    return "taking input" if frame.source == host else "RECV"


def kills(
    frames: Mapping[End, Sequence[Passed]], peers: Mapping[End, End], world_size: int
) -> Iterator[Kill]:
    """All of an inference.

    frames: what each port has sent in one that nothing happens to.  peers: the cables' ends.
    """
    for rank in range(world_size):
        yield Kill("idle", rank)
        for own in sorted((end for end in peers if end.rank == rank), key=lambda end: end.link):
            for end in (own, peers[own]):
                for frame in frames.get(end, ()):
                    phase = phase_of(frame, rank, world_size, end == own)
                    middle = (frame.begin + frame.end) // 2
                    for place in (middle, frame.end):
                        yield Kill(phase, rank, end, place)
        yield from _in_kernels(frames, peers, rank)


def _in_kernels(
    frames: Mapping[End, Sequence[Passed]], peers: Mapping[End, End], rank: int
) -> Iterator[Kill]:
    """Half way between the last DATA that came to a rank and the first that it sent then."""
    own = [end for end in peers if end.rank == rank]
    came = [(f.at, False, peers[e], f) for e in own for f in frames.get(peers[e], ())
            if f.type is FrameType.DATA and f.destinations >> rank & 1]  # fmt: skip
    left = [(f.at, True, e, f) for e in own for f in frames.get(e, ())
            if f.type is FrameType.DATA and f.source == rank]  # fmt: skip
    events = sorted([*came, *left], key=lambda event: event[0])
    for (at, was_sent, end, frame), (later, is_sent, _, _) in pairwise(events):
        if not was_sent and is_sent and later - at > _LEAST_KERNEL_SECONDS:
            yield Kill("in a kernel", rank, end, frame.end, (later - at) / 2)
