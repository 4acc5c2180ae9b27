# SPDX-License-Identifier: Apache-2.0
"""Questions to boards by the way that leads to them, repeated until they are answered.

A survey frame may be lost, and a board that runs a plan drops the first one that it gets, so every
question is asked again every 100 ms. An answer counts only with the token and the way of a question
that is open, so nothing else from a wire is heeded.

Boards that take longer to answer than a chip does (an emulated one on a busy computer, one that
has just got its power) take longer in all that follows, too: nobody is given up in less than three
times as long as the slowest answer took, and what else waits for boards waits ``stretched``.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tflsplit.deploy.survey import (
    SURVEY_MTU_BYTES,
    Kind,
    Survey,
    SurveyError,
    answers,
    from_payload,
    on_wire,
    request,
)
from tflsplit.host.ports import Stream, wait_for_any
from tflsplit.wire.frames import FrameDecoder, FrameType, HeaderError, parse

REPEAT_SECONDS = 0.1
TRIES = 5
_SLACK = 3.0
_MOST_SECONDS = 15.0
"""No silence is waited for longer because others were slow."""
_PROMPT_SECONDS = 0.5
"""Within which a board answers that is no slower than a chip: also one that computes a plan."""
_MOST_STRETCH = 8.0
_TURN_SECONDS = 0.005
_SENDS_A_TURN = 4
"""A board's queue has room for so many frames."""


@dataclass
class Question:
    """One request, and what became of it.

    stream: place of the port in the surveyor's list.  tries: that are left; below 0: given up.
    """

    stream: int
    request: Survey
    tries: int
    due: float = 0.0
    begun: float | None = None
    answer: Survey | None = None

    @property
    def is_open(self) -> bool:
        """Whether an answer may still come."""
        return self.answer is None and self.tries >= 0


@dataclass
class _Port:
    stream: Stream
    decoder: FrameDecoder = field(default_factory=lambda: FrameDecoder(SURVEY_MTU_BYTES))
    received_bytes: int = 0
    frames: int = 0


class Surveyor:
    """Asks boards behind some ports.

    clock: seconds, for tests that do not wait.
    """

    def __init__(
        self, streams: Sequence[Stream], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ports = [_Port(stream) for stream in streams]
        self._clock = clock
        self._token = secrets.randbits(31)
        self._open: dict[int, Question] = {}
        self._slowest_seconds = self._round_trip_seconds = 0.0
        self._begun: float | None = None
        self._heard: float | None = None

    @property
    def stream_count(self) -> int:
        """How many ports there are."""
        return len(self._ports)

    def ask(
        self, stream: int, kind: Kind, way: bytes, body: bytes = b"", tries: int = TRIES
    ) -> Question:
        """Begin to ask the board behind ``way``; ``turn`` does the rest."""
        self._token = (self._token + 1) & 0xFFFF_FFFF
        question = Question(stream, request(kind, self._token, way, body), tries)
        self._open[self._token] = question
        return question

    def stretched(self, seconds: float) -> float:
        """How long to wait for boards for which a chip needs so long: up to eight times that.

        Only questions count that were begun when a board had answered: not the gateway's start.
        """
        return seconds * min(_MOST_STRETCH, max(1.0, self._round_trip_seconds / _PROMPT_SECONDS))

    def turn(self) -> list[Question]:
        """Send what is due, take what has come; the questions that were answered or given up."""
        done = self._send()
        streams = [port.stream for port in self._ports]
        several = len(streams) > 1
        if several:
            wait_for_any(streams, _TURN_SECONDS)
        for index, port in enumerate(self._ports):
            data = port.stream.receive(0.0 if several else _TURN_SECONDS)
            done += [found for survey in _surveys(port, data)
                     if (found := self._take(index, survey)) is not None]  # fmt: skip
        return done

    def wait(self, questions: Sequence[Question]) -> None:
        """Turns until all of them are answered or given up."""
        while any(question.is_open for question in questions):
            self.turn()

    def heard(self, stream: int) -> tuple[int, int]:
        """Bytes, and whole frames of any kind, that came by a port."""
        port = self._ports[stream]
        return port.received_bytes, port.frames

    def _send(self) -> list[Question]:
        """Sends a few of those that are due; what has been sent often enough is given up."""
        given_up = []
        now, sent = self._clock(), 0
        for token, question in list(self._open.items()):
            if question.due > now or sent == _SENDS_A_TURN:
                continue
            if question.begun is None:
                question.begun = now
            if self._begun is None:
                self._begun = now
            question.tries -= 1
            if question.tries < 0 and not self._is_soon(now - question.begun):
                del self._open[token]
                given_up.append(question)
                continue
            question.tries = max(0, question.tries)
            self._ports[question.stream].stream.send(on_wire(question.request))
            question.due = now + REPEAT_SECONDS
            sent += 1
        return given_up

    def _is_soon(self, waited_seconds: float) -> bool:
        """Whether boards as slow as those that have answered may need more time."""
        return waited_seconds < min(_MOST_SECONDS, _SLACK * self._slowest_seconds)

    def _note(self, question: Question) -> None:
        now = self._clock()
        begun = now if question.begun is None else question.begun
        self._slowest_seconds = max(self._slowest_seconds, now - begun)
        if self._heard is None:
            self._heard = now
        if begun >= self._heard:
            self._round_trip_seconds = max(self._round_trip_seconds, now - begun)

    def _take(self, stream: int, survey: Survey) -> Question | None:
        question = self._open.get(survey.token)
        if question is None and survey.is_answer and self._begun is not None:
            # Of a question that was given up, by whoever asked: boards are as slow as that.
            waited = self._clock() - self._begun
            self._slowest_seconds = max(self._slowest_seconds, waited)
        if question is None or question.stream != stream:
            return None
        if not answers(survey, question.request):
            return None
        question.answer = survey
        self._note(question)
        del self._open[survey.token]
        return question


def _surveys(port: _Port, data: bytes) -> list[Survey]:
    port.received_bytes += len(data)
    found = []
    for raw in port.decoder.feed(data):
        port.frames += 1
        try:
            frame = parse(raw)
            if frame.type is FrameType.SURVEY:
                found.append(from_payload(frame.payload))
        except (HeaderError, SurveyError):
            continue
    return found
