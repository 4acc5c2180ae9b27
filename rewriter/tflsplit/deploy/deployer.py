# SPDX-License-Identifier: Apache-2.0
"""Gives every board of a session its image: all boards at once, committed on all or on none.

::

    OFFER ──▶ all       ACCEPTED ◀── each: it is wanted, or here already
    chunks ──▶ those that want it, as each asks for them
                        ACCEPTED ◀── each: prepared
    COMMIT ──▶ all      COMMITTED ◀── each
    RUN ──▶ all         RUNNING ◀── each, which leaves for its plan
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tflsplit.deploy.messages import (
    CHUNK_CHANNEL,
    Accepted,
    Commit,
    Committed,
    ImageState,
    Message,
    Offer,
    Refused,
    Run,
    Running,
    deployment_id,
    is_chunk_size,
    offer_of,
)
from tflsplit.deploy.refusals import refused
from tflsplit.deploy.session import Session
from tflsplit.errors import LinkError

_REPEAT_SECONDS = 0.5
SILENT_SECONDS = 30.0
"""Longest time without any news: the erasing of a large flash takes seconds."""
_RUN_SECONDS = 5.0
_LEAVING_SECONDS = 0.4
_POSTED_CHUNKS = 2

Progress = Callable[[int, int], None]
"""Called with (rank, bytes of its image that have left, or were there)."""


@dataclass
class _Board:
    """How far one of them is.

    offset: what was posted; left: what of that has left.  news: when it last came
        further.
    """

    image: bytes = field(repr=False)
    offer: Offer
    state: int | None = None
    chunk_bytes: int = 0
    offset: int = 0
    left: int = 0
    was_here: bool = False
    is_committed: bool = False
    is_running: bool = False
    received_bytes: int = 0
    asked: float = 0.0
    news: float = 0.0

    @property
    def progress(self) -> tuple[object, ...]:
        """What changes as it gets on."""
        return self.state, self.received_bytes, self.is_committed, self.is_running


@dataclass(frozen=True)
class Deployment:
    """What was done.

    sent_bytes: of images, by rank; 0 where the board had it already.
    seconds: until all were prepared, and until all ran.
    wire_bytes: over the host's port, both ways.
    """

    deployment: bytes
    image_bytes: tuple[int, ...]
    sent_bytes: tuple[int, ...]
    prepare_seconds: float
    seconds: float
    wire_bytes: int


class Deployer:
    """One deployment: ``prepare`` it, then ``finish`` it, once.

    meanwhile: called between turns, for other sessions to take theirs.
    """

    def __init__(
        self,
        session: Session,
        images: Sequence[bytes],
        key: bytes | None,
        silent_seconds: float = SILENT_SECONDS,
    ) -> None:
        self._silent_seconds = session.stretched(silent_seconds)
        self._session = session
        self._progress: Progress = lambda rank, sent: None
        self._prepare_seconds = 0.0
        self.meanwhile: Callable[[], None] = lambda: None
        self._id = deployment_id(images)
        now = time.monotonic()
        self._boards = [_Board(image, offer_of(image, self._id, key), news=now) for image in images]
        session.on_message = self._take

    def idle(self) -> None:
        """Take a turn that waits for nothing, while another deployment is under way."""
        self._session.turn(0.0)

    def prepare(self, progress: Progress) -> None:
        """Give each board its image.  LinkError names the rank; nothing is changed then."""
        begun, self._progress = time.monotonic(), progress
        self._until(lambda one: one.state is not None, self._offer)
        for rank, one in enumerate(self._boards):
            one.was_here = one.state != ImageState.WANTED
            self._progress(rank, len(one.image) if one.was_here else 0)
        self._until(lambda one: one.state in (ImageState.PREPARED, ImageState.ACTIVE), self._feed)
        self._prepare_seconds = time.monotonic() - begun

    def finish(self) -> Deployment:
        """Let all of them take it, and run.

        Raises LinkError, naming the rank; what is said after the first COMMIT is not undone:
        deploying again completes it.
        """
        begun = time.monotonic()
        self._until(lambda one: one.is_committed, self._commit)
        self._start()
        return Deployment(
            self._id,
            tuple(len(one.image) for one in self._boards),
            tuple(0 if one.was_here else len(one.image) for one in self._boards),
            self._prepare_seconds,
            self._prepare_seconds + time.monotonic() - begun,
            self._session.wire_bytes,
        )

    def _until(
        self, done: Callable[[_Board], bool], act: Callable[[list[int], float], None]
    ) -> None:
        """Acts for those that are not done, again and again, until all are."""
        for one in self._boards:
            one.asked = 0.0
            one.news = time.monotonic()
        while left := [rank for rank, one in enumerate(self._boards) if not done(one)]:
            now = time.monotonic()
            for rank in left:
                if now - self._boards[rank].news > self._silent_seconds:
                    raise LinkError(
                        f"{self._session.name(rank)} has come no further for "
                        f"{self._silent_seconds:g} s"
                    )
            act(left, now)
            self._session.turn()
            self.meanwhile()
            if self._session.endpoint.error is not None:
                raise self._session.endpoint.error

    def _due(self, ranks: list[int], now: float) -> list[int]:
        """Those that were not asked for a while; they are from now on."""
        due = [rank for rank in ranks if now - self._boards[rank].asked > _REPEAT_SECONDS]
        for rank in due:
            self._boards[rank].asked = now
        return due

    def _offer(self, ranks: list[int], now: float) -> None:
        for rank in self._due(ranks, now):
            self._session.send([rank], self._boards[rank].offer)

    def _feed(self, ranks: list[int], now: float) -> None:
        """Keep a few chunks posted for each; ask again who has them all and says nothing."""
        endpoint = self._session.endpoint
        sent = []
        for rank in ranks:
            one = self._boards[rank]
            while (
                one.offset < len(one.image)
                and self._posted(rank) < _POSTED_CHUNKS
                and endpoint.error is None
            ):
                chunk = one.image[one.offset : one.offset + one.chunk_bytes]
                endpoint.post_send(CHUNK_CHANNEL, [rank], chunk, lane=rank)
                one.offset += len(chunk)
                one.news = now
                self._progress(rank, one.offset)
            left = one.offset - self._waiting_bytes(rank)
            if left != one.left:
                one.left, one.news = left, now
            if one.offset == len(one.image) and not self._posted(rank):
                sent.append(rank)
        self._offer(sent, now)

    def _posted(self, rank: int) -> int:
        """Chunks that were posted and have not left whole."""
        return sum(send.remaining >> rank & 1 for send in self._session.endpoint.sends)

    def _waiting_bytes(self, rank: int) -> int:
        """Of posted chunks, what has not left."""
        sends = self._session.endpoint.sends
        return sum(len(send.data) - send.offset for send in sends if send.remaining >> rank & 1)

    def _commit(self, ranks: list[int], now: float) -> None:
        self._session.send(self._due(ranks, now), Commit(self._id))

    def _start(self) -> None:
        """Let all run; whoever has left already can no longer be asked."""
        deadline = time.monotonic() + self._session.stretched(_RUN_SECONDS)
        asked = 0.0
        while not all(one.is_running for one in self._boards) and time.monotonic() < deadline:
            if time.monotonic() - asked > _REPEAT_SECONDS:
                asked = time.monotonic()
                waiting = [rank for rank, one in enumerate(self._boards) if not one.is_running]
                self._session.send(waiting, Run(0, self._id))
            self._session.turn()
            self.meanwhile()
        # They forward for 300 ms more; whoever knocked earlier would be turned away.
        self._session.wait_until(lambda: False, _LEAVING_SECONDS)

    def _take(self, rank: int, message: Message) -> None:
        one = self._boards[rank]
        if isinstance(message, Refused):
            name = self._session.name(rank)
            raise refused(name, message.code, message.number, message.text)
        if getattr(message, "deployment", None) != self._id:
            return
        before = one.progress
        if isinstance(message, Accepted):
            self._accepted(rank, one, message)
        elif isinstance(message, Committed):
            one.is_committed = True
        elif isinstance(message, Running):
            one.is_running = True
        if one.progress != before:  # a board that only repeats itself is stuck
            one.news = time.monotonic()

    def _accepted(self, rank: int, one: _Board, message: Accepted) -> None:
        is_sound = message.state in ImageState.__members__.values()
        if not is_sound or not is_chunk_size(message.chunk_bytes):
            raise LinkError(f"{self._session.name(rank)} answers an offer with nonsense")
        if one.state is None:
            one.chunk_bytes = message.chunk_bytes
        one.state, one.received_bytes = message.state, message.received_bytes
