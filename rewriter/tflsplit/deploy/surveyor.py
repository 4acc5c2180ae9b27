# SPDX-License-Identifier: Apache-2.0
"""Questions to boards by the way that leads to them, repeated until they are answered.

A survey frame may be lost, and a board that runs a plan drops the first one that it gets, so every
question is asked again every 100 ms. An answer counts only with the token and the way of a question
that is open, so nothing else from a wire is heeded.
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
_TURN_SECONDS = 0.005
_SENDS_A_TURN = 4
"""A board's queue has room for so many frames."""


@dataclass
class Question:
    """One request, and what became of it.

    stream: place of the port in the surveyor's list.
    """

    stream: int
    request: Survey
    tries: int
    due: float = 0.0
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
            question.tries -= 1
            if question.tries < 0:
                del self._open[token]
                given_up.append(question)
                continue
            self._ports[question.stream].stream.send(on_wire(question.request))
            question.due = now + REPEAT_SECONDS
            sent += 1
        return given_up

    def _take(self, stream: int, survey: Survey) -> Question | None:
        question = self._open.get(survey.token)
        if question is None or question.stream != stream:
            return None
        if not answers(survey, question.request):
            return None
        question.answer = survey
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
