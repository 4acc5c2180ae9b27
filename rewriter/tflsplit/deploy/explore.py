# SPDX-License-Identifier: Apache-2.0
"""Finds all boards behind some ports, and the cables between them.

Each port of each board that answers is asked through: who is there? An answer is a cable, and its
other end, which may be a board that is known by now. All questions are asked side by side, so that
silent ports cost their time once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tflsplit.deploy.survey import (
    DEPLOY_VERSION,
    HOST_PORT,
    MAX_HOPS,
    BoardIdentity,
    BoardState,
    DeployVersionError,
    Kind,
    Refusal,
    SurveyError,
)
from tflsplit.deploy.surveyor import TRIES, Question, Surveyor
from tflsplit.deploy.wiring import NO_CHIP, Cable, FoundBoard, Wiring
from tflsplit.errors import LinkError
from tflsplit.host.ports import Stream
from tflsplit.wire.topology import MAX_LINKS

MAX_BOARDS = 63
_GATEWAY_TRIES = 30
_GUESS_TRIES = 15
_AGAIN_TRIES = 30
"""Where a plan tells of more boards than answer: one may be busy yet."""
_ECHO_TURNS = 300

Key = tuple[bytes, int]
"""Chip id and boot number: two boards of one id are told apart by the latter."""


@dataclass(frozen=True)
class _Probe:
    """Where a question goes out: a port of a board, or (board None) the host's port."""

    board: int | None
    port: int


class Explorer:
    """One survey; ``run`` it once.

    tries: how often each port of each board is asked through.
    again_tries: the same, once more, where plans tell of more boards than answer; 0: not again.
    """

    def __init__(
        self,
        surveyor: Surveyor,
        names: list[str],
        tries: int = TRIES,
        again_tries: int = _AGAIN_TRIES,
    ) -> None:
        self._surveyor = surveyor
        self._names = names
        self._tries, self._again_tries = tries, again_tries
        self._boards: list[FoundBoard] = []
        self._index: dict[Key, int] = {}
        self._gateways: dict[int, int] = {}
        self._ends: dict[tuple[int, int], tuple[int, int]] = {}
        self._asked: dict[int, _Probe] = {}
        self._problems: list[str] = []

    def run(self) -> Wiring:
        """What is there.  Raises LinkError if a gateway does not answer, or more than 63 do."""
        for stream in range(self._surveyor.stream_count):
            self._probe(stream, b"", _Probe(None, HOST_PORT), _GATEWAY_TRIES)
        self._explore()
        streams = range(self._surveyor.stream_count)
        silent = [stream for stream in streams if stream not in self._gateways]
        if silent:
            raise LinkError("; ".join(self._silence(stream) for stream in silent))
        planned = max(one.identity.world_size for one in self._boards)
        if self._again_tries and len(self._boards) < planned:
            self._look_again()
        self._find_twins()
        cables = {tuple(sorted(pair)) for pair in self._ends.items()}
        return Wiring(
            tuple(self._boards),
            tuple(Cable(*one, *other) for one, other in sorted(cables)),
            tuple(self._gateways[stream] for stream in streams),
            tuple(self._problems),
        ).in_order()

    def _explore(self) -> None:
        turns = 0
        while self._asked:
            for question in self._surveyor.turn():
                self._settle(question)
            turns += 1
            if turns % _ECHO_TURNS == 0:  # those that nobody asks would go back to their plan
                for board in self._boards:
                    self._surveyor.ask(board.stream, Kind.ECHO, board.way, tries=1)

    def _probe(self, stream: int, way: bytes, probe: _Probe, tries: int) -> None:
        question = self._surveyor.ask(stream, Kind.IDENTIFY, way, tries=tries)
        self._asked[question.request.token] = probe

    def _settle(self, question: Question) -> None:
        probe = self._asked.pop(question.request.token, None)
        try:
            identity = _identity_in(question)
        except DeployVersionError as error:
            problem = self._other_version(question, error.version)
            if probe is not None and probe.board is None:
                raise LinkError(problem) from None
            self._problems.append(problem)
            return
        if probe is None or identity is None:
            return
        board = self._known(identity)
        is_new = board is None
        if board is None:
            board = self._add(identity, question)
        if probe.board is None:
            self._gateways[question.stream] = board
        else:
            self._join((probe.board, probe.port), (board, identity.arrived))
        if is_new:
            self._probe_ports(board)

    def _known(self, identity: BoardIdentity) -> int | None:
        return self._index.get((identity.chip_id, identity.boot))

    def _add(self, identity: BoardIdentity, question: Question) -> int:
        if len(self._boards) == MAX_BOARDS:
            raise LinkError(
                f"more than {MAX_BOARDS} boards answer, or one that answers as if it were many: "
                "a cluster with a host has no more"
            )
        board = len(self._boards)
        self._boards.append(FoundBoard(identity, question.stream, question.request.out))
        self._index[identity.chip_id, identity.boot] = board
        return board

    def _probe_ports(self, board: int) -> None:
        one = self._boards[board]
        if len(one.way) == MAX_HOPS:
            return
        for port in range(one.identity.ports):
            if (board, port) not in self._ends:
                way = one.way + bytes([port])
                self._probe(one.stream, way, _Probe(board, port), self._tries)

    def _join(self, one: tuple[int, int], other: tuple[int, int]) -> None:
        known = self._ends.get(one), self._ends.get(other)
        if known == (other, one):
            return
        if known != (None, None):
            name, chip = self._boards[other[0]].kind, self._boards[other[0]].chip
            problem = (
                f"two boards ({name}) say that they are chip {chip or '(without an id)'} and "
                "cannot be told apart: reset one of them, and look again"
            )
            if problem not in self._problems:
                self._problems.append(problem)
            return
        self._ends[one] = other
        self._ends[other] = one

    def _look_again(self) -> None:
        """A plan tells of more boards: ask longer where nobody answered."""
        for index, one in enumerate(self._boards):
            for port in range(one.identity.ports):
                if (index, port) not in self._ends and len(one.way) < MAX_HOPS:
                    way = one.way + bytes([port])
                    self._probe(one.stream, way, _Probe(index, port), self._again_tries)
        self._explore()

    def _find_twins(self) -> None:
        by_chip: dict[bytes, list[int]] = {}
        for index, one in enumerate(self._boards):
            if one.identity.chip_id != NO_CHIP:
                by_chip.setdefault(one.identity.chip_id, []).append(index)
        for twins in by_chip.values():
            if len(twins) > 1 and not self._all_stay(twins):
                self._problems.append(
                    f"{self._boards[twins[0]].kind} {self._boards[twins[0]].chip} was reset while "
                    "it was looked at: look again"
                )

    def _all_stay(self, twins: list[int]) -> bool:
        """Whether boards of one id are several: each still answers with its own boot number."""
        asked = [
            self._surveyor.ask(self._boards[board].stream, Kind.IDENTIFY, self._boards[board].way)
            for board in twins
        ]
        self._surveyor.wait(asked)
        found = [_identity_in(question) for question in asked]
        return all(
            one is not None and one.boot == self._boards[board].identity.boot
            for board, one in zip(twins, found, strict=True)
        )

    def _other_version(self, question: Question, version: int) -> str:
        way, name = question.request.out, self._names[question.stream]
        by = f", by ports {' '.join(map(str, way))}," if way else ""
        return (
            f"the board behind {name}{by} has generic firmware of version {version}, this program "
            f"is for {DEPLOY_VERSION}: flash it anew (pio run -e generic -t upload)"
        )

    def _silence(self, stream: int) -> str:
        received, frames = self._surveyor.heard(stream)
        if received == 0:
            hint = "not one byte came: check its power, the cable and the port"
        elif frames == 0:
            hint = "what came are no frames: check the baud rate and the firmware"
        else:
            hint = "frames came, but no answer: it runs a firmware that cannot be found; flash it"
        return f"no board answers at {self._names[stream]}; {hint}"


def _identity_in(question: Question) -> BoardIdentity | None:
    """What an answer says, if it is sound; None if there is none.

    Raises DeployVersionError if it is of another version.
    """
    answer = question.answer
    if answer is None or answer.kind != Kind.IDENTITY:
        return None
    try:
        identity = BoardIdentity.from_body(answer.body)
    except DeployVersionError:
        raise
    except SurveyError:
        return None
    arrived = answer.out[0] if answer.out else HOST_PORT
    is_port = arrived < identity.ports if answer.out else True
    is_sound = identity.arrived == arrived and is_port and identity.ports <= MAX_LINKS
    return identity if is_sound else None


def release(surveyor: Surveyor, wiring: Wiring) -> None:
    """Let boards go back to the plans that they hold, the farthest first."""
    holds = (BoardState.ACTIVE, BoardState.FIXED)
    ways = [one for one in wiring.boards if one.identity.state in holds]
    for hops in sorted({len(one.way) for one in ways}, reverse=True):
        surveyor.wait([
            surveyor.ask(one.stream, Kind.RUN, one.way, b"\xff", tries=3)
            for one in ways if len(one.way) == hops
        ])  # fmt: skip


def refusal_in(question: Question) -> Refusal | None:
    """Why a board refuses what it was asked; None if it does not."""
    if question.answer is None or question.answer.kind != Kind.REFUSED:
        return None
    try:
        return Refusal.from_body(question.answer.body)
    except SurveyError:
        return Refusal(0)


def answering(
    streams: Sequence[Stream], clock: Callable[[], float] = time.monotonic
) -> list[Stream]:
    """Those of some ports behind which a board answers; the others may be anything."""
    surveyor = Surveyor(streams, clock)
    asked = [
        surveyor.ask(index, Kind.IDENTIFY, b"", tries=_GUESS_TRIES) for index in range(len(streams))
    ]
    surveyor.wait(asked)
    return [stream for stream, question in zip(streams, asked, strict=True) if _is_board(question)]


def _is_board(question: Question) -> bool:
    try:
        return _identity_in(question) is not None
    except DeployVersionError:
        return True  # who looks behind it says so


def explore(
    streams: Sequence[Stream], tries: int = TRIES, again_tries: int = _AGAIN_TRIES
) -> tuple[Surveyor, Wiring]:
    """Look behind ports; who asked, for more questions, and what was found.

    tries, again_tries: see ``Explorer``.
    Raises LinkError if no board answers at one of them.
    """
    surveyor = Surveyor(streams)
    names = [stream.name for stream in streams]
    return surveyor, Explorer(surveyor, names, tries, again_tries).run()
