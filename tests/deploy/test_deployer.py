# SPDX-License-Identifier: Apache-2.0
"""The order of a deployment, and boards that refuse, talk nonsense or repeat themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace

import pytest

from tflsplit.deploy.deployer import Deployer, Deployment
from tflsplit.deploy.messages import (
    Accepted,
    Commit,
    Committed,
    ImageState,
    Message,
    Offer,
    Refused,
    Run,
    Running,
)
from tflsplit.errors import LinkError

IMAGES = [bytes([1]) * 1000, bytes([2]) * 600]


class Boards:
    """In the place of a session: each answers as it is told to; chunks arrive at once."""

    def __init__(self, holds: Sequence[int], chunk_bytes: int = 512) -> None:
        self.on_message: Callable[[int, Message], None] = lambda rank, message: None
        self.endpoint = self
        self.error: LinkError | None = None
        self.sends: list[SimpleNamespace] = []
        self.wire_bytes = 0
        self.slowness = 1.0
        self.chunk_bytes = chunk_bytes
        self.states = list(holds)
        self.got = [b""] * len(holds)
        self.order: list[str] = []
        self.spoils: dict[int, Message] = {}
        self.answers: list[tuple[int, Message]] = []
        self._id = b""

    def name(self, rank: int) -> str:
        return f"rank {rank}"

    def stretched(self, seconds: float) -> float:
        return seconds * self.slowness

    def post_send(self, channel: int, ranks: list[int], data: bytes, lane: int) -> None:
        (rank,) = ranks
        assert (channel, lane) == (0xE000, rank)
        self.got[rank] += data
        self.order.append(f"chunk {rank}")
        if self.got[rank] == IMAGES[rank]:
            self.states[rank] = ImageState.PREPARED
            self.answers.append((rank, self._accepted(rank)))

    def _accepted(self, rank: int) -> Accepted:
        return Accepted(self.states[rank], self.chunk_bytes, len(self.got[rank]), self._id)

    def send(self, ranks: Sequence[int], message: Message) -> None:
        for rank in ranks:
            self.order.append(f"{type(message).__name__} {rank}")
            if isinstance(message, Offer):
                self._id = message.deployment
                answer: Message = self._accepted(rank)
            elif isinstance(message, Commit):
                answer = Committed(message.deployment)
            else:
                assert isinstance(message, Run)
                answer = Running(message.slice, message.deployment)
            self.answers.append((rank, self.spoils.get(rank, answer)))

    def turn(self, wait_seconds: float | None = None) -> None:
        answers, self.answers = self.answers, []
        for rank, message in answers:
            self.on_message(rank, message)

    def wait_until(self, condition: Callable[[], bool], seconds: float) -> bool:
        return condition()


def deployer(boards: Boards, **more: float) -> Deployer:
    return Deployer(boards, IMAGES, None, **more)  # type: ignore[arg-type]


def run(boards: Boards, **more: float) -> Deployment:
    one = deployer(boards, **more)
    one.prepare(lambda rank, sent: None)
    return one.finish()


def test_all_are_prepared_before_any_is_told_to_commit():
    boards = Boards([ImageState.WANTED] * 2)
    done = run(boards)
    assert boards.got == IMAGES
    assert done.sent_bytes == done.image_bytes == (1000, 600)
    first = boards.order.index("Commit 0")
    assert all(not word.startswith(("chunk", "Offer")) for word in boards.order[first:])
    assert boards.order[first:] == ["Commit 0", "Commit 1", "Run 0", "Run 1"]


def test_what_is_there_is_not_sent():
    boards = Boards([ImageState.PREPARED, ImageState.ACTIVE])
    done = run(boards)
    assert done.sent_bytes == (0, 0)
    assert not any(word.startswith("chunk") for word in boards.order)


def test_no_board_commits_if_one_refuses():
    boards = Boards([ImageState.WANTED] * 2)
    boards.spoils[1] = Refused(7, 1, 99_000, b"\x1b[2Jno room\xff")
    with pytest.raises(LinkError) as caught:
        run(boards)
    assert str(caught.value) == (
        "rank 1 refuses: 99,000 bytes of its store are missing: use more devices "
        r"(\x1b[2Jno room\xff)"
    )
    assert not any(word.startswith("Commit") for word in boards.order)


@pytest.mark.parametrize("chunk_bytes", [0, 255, 100_000])
def test_nonsense_about_chunks_ends_it(chunk_bytes: int):
    boards = Boards([ImageState.WANTED] * 2, chunk_bytes)
    with pytest.raises(LinkError, match="rank 0 answers an offer with nonsense"):
        run(boards)


def test_unknown_refusals_are_numbers():
    boards = Boards([ImageState.WANTED] * 2)
    boards.spoils[0] = Refused(200)
    with pytest.raises(LinkError, match=r"rank 0 refuses: it refuses \(code 200\)"):
        run(boards)


def test_answers_of_another_deployment_do_not_count():
    boards = Boards([ImageState.WANTED] * 2)
    boards.spoils[1] = Committed(bytes(16))
    with pytest.raises(LinkError, match=r"rank 1 has come no further for 0\.05 s"):
        run(boards, silent_seconds=0.05)


def test_boards_that_the_survey_found_slow_have_more_time():
    boards = Boards([ImageState.WANTED] * 2)
    boards.spoils[1], boards.slowness = Committed(bytes(16)), 4.0
    with pytest.raises(LinkError, match=r"rank 1 has come no further for 0\.2 s"):
        run(boards, silent_seconds=0.05)


def test_link_that_fails_is_told():
    boards = Boards([ImageState.WANTED] * 2)
    boards.error = LinkError("rank 1 does not answer")
    with pytest.raises(LinkError, match="rank 1 does not answer"):
        run(boards)
