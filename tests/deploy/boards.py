# SPDX-License-Identifier: Apache-2.0
"""Boards of a cluster, simulated: their side of a survey, over any graph of wires.

Time is the simulation's own, so that tests of silence wait for nothing.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import count, pairwise

from tflsplit.deploy.survey import (
    DEPLOY_VERSION,
    HOST_PORT,
    BoardIdentity,
    BoardState,
    Kind,
    Survey,
    SurveyError,
    from_payload,
    on_wire,
    to_payload,
)
from tflsplit.wire.control import CONTROL_VERSION
from tflsplit.wire.frames import FrameDecoder, FrameType, parse

HOP_SECONDS = 0.001


def step(payload: bytes, port: int, ports: int) -> tuple[Survey, int | None] | None:
    """The message and the port by which it leaves, None if it is for this board; None: dropped."""
    try:
        survey = from_payload(payload)
    except SurveyError:
        return None
    if survey.is_answer:
        return None if port == HOST_PORT else _pass_on(survey, ports, HOST_PORT)
    if (survey.crossed == 0) != (port == HOST_PORT):
        return None
    if survey.crossed:
        back = bytearray(survey.back)
        back[survey.crossed - 1] = port
        survey = replace(survey, back=bytes(back))
    return _pass_on(survey, ports, None)


def _pass_on(survey: Survey, ports: int, at_end: int | None) -> tuple[Survey, int | None] | None:
    if survey.crossed == len(survey.out):
        return survey, at_end
    leaves = survey.out[survey.crossed]
    return (replace(survey, crossed=survey.crossed + 1), leaves) if leaves < ports else None


def identity_of(name: str, **fields: object) -> BoardIdentity:
    blank = BoardIdentity(
        chip_id=name.encode().ljust(16, b"\0"), board=b"native", boot=7, arrived=HOST_PORT,
        ports=2, state=BoardState.BLANK, flags=1, store_bytes=1 << 20, work_bytes=1 << 19, baud=0,
        mtu_bytes=1024, slices=0, cluster=CONTROL_VERSION, deploy=DEPLOY_VERSION, slice=255,
        deployment=bytes(16), fingerprint=bytes(16), rank=255, world_size=0, rx_ring_bytes=0,
        tx_ring_bytes=0,
    )  # fmt: skip
    return replace(blank, **fields)  # type: ignore[arg-type]


@dataclass
class Board:
    """One of them, and how it misbehaves.

    deaf_until: seconds; before, it answers and forwards nothing.  late_seconds: of its answers.
    spoils: changes its answers, as bytes of a frame's payload.
    asked: kinds of the requests that reached it.
    """

    identity: BoardIdentity
    deaf_until: float = 0.0
    late_seconds: float = 0.0
    spoils: Callable[[bytes], bytes] | None = None
    asked: list[int] = field(default_factory=list)
    on_asked: Callable[[], None] = lambda: None
    identify_boots: list[int] = field(default_factory=list)

    def answer(self, request: Survey) -> Survey:
        self.asked.append(request.kind)
        self.on_asked()
        arrived = request.back[-1] if request.back else HOST_PORT
        kind, body = request.kind + 128, b""
        if request.kind == Kind.IDENTIFY:
            boot = self.identify_boots.pop(0) if self.identify_boots else self.identity.boot
            body = replace(self.identity, arrived=arrived, boot=boot).to_body()
        return Survey(kind, request.token, request.back[::-1], request.out[::-1], 0, body)


class Wires:
    """A graph of boards; ``port(name)`` is a stream to a board's host link."""

    def __init__(self, boards: dict[str, Board], wires: list[tuple[str, int, str, int]]) -> None:
        self.boards = boards
        self.now = 0.0
        self.lost: Callable[[], bool] = lambda: False
        self._ends: dict[tuple[str, int], tuple[str, int]] = {}
        for one, port, other, its_port in wires:
            self._ends[one, port] = other, its_port
            self._ends[other, its_port] = one, port
        self._events: list[tuple[float, int, str, int, bytes]] = []
        self._order = count()
        self.to_host: dict[str, bytearray] = {}

    def clock(self) -> float:
        return self.now

    def port(self, name: str) -> HostPort:
        self.to_host[name] = bytearray()
        return HostPort(self, name)

    def deliver(self, name: str, port: int, payload: bytes, after: float = HOP_SECONDS) -> None:
        if not self.lost():
            event = (self.now + after, next(self._order), name, port, payload)
            heapq.heappush(self._events, event)

    def advance(self, until: float, waits_for: str) -> None:
        """Let time pass until then, or until bytes are there for the host of a board."""
        while self._events and self._events[0][0] <= until and not self.to_host[waits_for]:
            self.now, _, name, port, payload = heapq.heappop(self._events)
            self._arrive(name, port, payload)
        if not self.to_host[waits_for]:
            self.now = until

    def _arrive(self, name: str, port: int, payload: bytes) -> None:
        board = self.boards[name]
        if self.now < board.deaf_until:
            return
        found = step(payload, port, board.identity.ports)
        if found is None:
            return
        survey, leaves = found
        if leaves is not None:
            self._leave(name, leaves, to_payload(survey))
            return
        answer = to_payload(board.answer(survey))
        if board.spoils is not None:
            answer = board.spoils(answer)
        if not survey.out or len(answer) < 9:
            self._leave(name, HOST_PORT, answer, board.late_seconds)
        else:
            moved = answer[:3] + bytes([answer[3] + 1]) + answer[4:]
            self._leave(name, answer[8], moved, board.late_seconds)

    def _leave(self, name: str, port: int, payload: bytes, late: float = 0.0) -> None:
        if port == HOST_PORT:
            if name in self.to_host:
                is_survey = payload[:1] == b"\1"
                self.to_host[name] += on_wire(from_payload(payload)) if is_survey else payload
            return
        end = self._ends.get((name, port))
        if end is not None:
            self.deliver(*end, payload, HOP_SECONDS + late)


class HostPort:
    """The host's stream to one board."""

    def __init__(self, wires: Wires, name: str) -> None:
        self.name = f"port of {name}"
        self._wires, self._board = wires, name
        self._decoder = FrameDecoder(1024)
        self.sent_bytes = 0

    def send(self, data: bytes) -> None:
        self.sent_bytes += len(data)
        for raw in self._decoder.feed(data):
            frame = parse(raw)
            assert frame.type is FrameType.SURVEY
            self._wires.deliver(self._board, HOST_PORT, frame.payload)

    def receive(self, timeout_seconds: float) -> bytes:
        self._wires.advance(self._wires.now + max(timeout_seconds, 0.002), self._board)
        waiting = self._wires.to_host[self._board]
        data = bytes(waiting)
        waiting.clear()
        return data

    def close(self) -> None:
        pass

    def waits_on(self) -> None:
        return None


def boards_named(names: str, **fields: object) -> dict[str, Board]:
    return {name: Board(identity_of(name, **fields)) for name in names}


def line_of(names: str) -> list[tuple[str, int, str, int]]:
    """Port 1 of each to port 0 of the next."""
    return [(one, 1, other, 0) for one, other in pairwise(names)]


def ring_of(names: str) -> list[tuple[str, int, str, int]]:
    return [*line_of(names), (names[-1], 1, names[0], 0)]
