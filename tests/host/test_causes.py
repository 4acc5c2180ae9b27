# SPDX-License-Identifier: Apache-2.0
"""What a device met in an inference, and what all of them say of its cause."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.bundles import bundle_of
from tests.soft_cluster import quick_setup
from tflsplit.bundle import read_bundle
from tflsplit.errors import LinkError
from tflsplit.host import FirmwareSetup
from tflsplit.host.causes import explained
from tflsplit.wire.control import OPERATOR_FAILED, Info, LinkReport, ResetReason
from tflsplit.wire.handshake import ErrorCode, PeerError

_UP = 2
SILENT = PeerError(ErrorCode.PEER_SILENT, 1, None, 0)
LATE = PeerError(ErrorCode.TIMEOUT, 2, 65, 0)
STRANGE = PeerError(ErrorCode.RANK_MISMATCH, 2, None, 0)


@pytest.fixture(scope="module")
def setup(tmp_path_factory: pytest.TempPathFactory) -> FirmwareSetup:
    folder: Path = tmp_path_factory.mktemp("causes") / "plan"
    return quick_setup(read_bundle(bundle_of(folder, "autoencoder", 3)))


class Answers:
    """An inbox in which the answers are already there; all links are up, unless told."""

    def __init__(self, infos: dict[int, Info], down: set[tuple[int, int]] = frozenset()) -> None:  # type: ignore[assignment]
        self.ranks, self.infos, self.texts = range(3), infos, {2: "it ran out of sums"}
        self.links = {
            (rank, link): LinkReport(
                link=link,
                peer=(rank + step) % 3,
                state=int((rank, (rank + step) % 3) not in down),
                links=2,
                code=ErrorCode.PEER_SILENT,
            )
            for rank in infos
            for link, step in enumerate((-1, 1))
        }
        self.gateway = SimpleNamespace(
            open=lambda _: None,
            wait_until=lambda *_: None,
            ask_older=lambda _: None,
            other_versions={},
        )

    def ask(self, _what: Any, done: Callable[[], bool], *_: Any) -> bool:
        return done()

    def links_of(self, rank: int) -> list[LinkReport]:
        return [link for (owner, _), link in self.links.items() if owner == rank]


BEFORE = [Info(flags=_UP, boot=rank) for rank in range(3)]


def told(error: PeerError, setup: FirmwareSetup, answers: Answers) -> str:
    return str(explained(error, answers, setup, BEFORE))  # type: ignore[arg-type]


def test_what_is_well_again_is_told_as_it_was_met(setup: FirmwareSetup):
    well = Answers(dict(enumerate(BEFORE)))
    assert told(LATE, setup, well) == str(LATE)
    assert told(SILENT, setup, well) == str(SILENT)
    coming_up = Answers({rank: Info(boot=rank) for rank in range(3)})
    assert told(SILENT, setup, coming_up) == str(SILENT)


def test_where_nobody_answers_nobody_is_accused_by_old_reports(setup: FirmwareSetup):
    silent = Answers(dict(enumerate(BEFORE)))
    silent.infos = {}  # what their links said is from before
    assert told(LATE, setup, silent) == (
        "none of 3 devices answers, though the link to rank 0 is up: too busy to answer in time, "
        "or the program of rank 0 hangs; try again, then reset it"
    )


def test_a_cut_cable_is_told_by_its_ports(setup: FirmwareSetup):
    infos = dict(enumerate(BEFORE)) | {0: Info(boot=0)}
    text = told(LATE, setup, Answers(infos, {(0, 1)}))
    assert text.startswith(
        "rank 0 (port 1) and rank 1 (port 0) do not hear each other, and both run"
    )


def test_cables_in_each_other_s_ports(setup: FirmwareSetup):
    """Rank 0 finds at each port the neighbour that belongs at the other."""
    answers = Answers({0: Info(boot=0), 1: Info(boot=1), 2: Info(boot=2)}, {(0, 1), (0, 2)})
    for (rank, link), report in answers.links.items():
        if rank == 0:
            other = 3 - report.peer
            answers.links[rank, link] = replace(report, code=ErrorCode.RANK_MISMATCH, claimed=other)
    text = told(STRANGE, setup, answers)
    assert text.startswith("the cables of rank 0 are in each other's ports: ")


def test_a_rank_without_power_is_told_by_the_ports_that_lead_to_it(setup: FirmwareSetup):
    text = told(SILENT, setup, Answers({0: Info(boot=0), 2: Info(boot=2)}, {(0, 1), (2, 1)}))
    assert text.startswith("rank 1 does not answer on port 1 of rank 0: it has no power or hangs")
    assert "port 0 of rank 2" in text


def test_a_program_that_hangs_behind_links_that_work(setup: FirmwareSetup):
    text = told(LATE, setup, Answers({0: BEFORE[0], 1: BEFORE[1]}))
    assert text == (
        "rank 2 does not answer, though its link to rank 1 is up: its program hangs; reset it "
        "(2 of 3 devices answer)"
    )


@pytest.mark.parametrize("error", [LATE, SILENT, PeerError(ErrorCode.PEER_RESET, 2)])
def test_a_rank_that_its_watchdog_has_reset(setup: FirmwareSetup, error: PeerError):
    back = Info(flags=_UP, boot=99, reset_reason=ResetReason.WATCHDOG)
    text = told(error, setup, Answers(dict(enumerate(BEFORE)) | {2: back}))
    assert text == "rank 2 was reset during the inference, by its watchdog: its program hung"


def test_a_gateway_that_is_gone(setup: FirmwareSetup):
    answers = Answers({})

    def gone(_: float) -> None:
        raise LinkError("rank 0, the gateway, does not answer")

    answers.gateway.open = gone
    assert told(SILENT, setup, answers) == "rank 0, the gateway, does not answer"


def test_an_operator_that_failed_is_told_in_its_own_words(setup: FirmwareSetup):
    answers = Answers(dict(enumerate(BEFORE)))
    assert told(PeerError(OPERATOR_FAILED, 2), setup, answers) == "rank 2: it ran out of sums"
    assert told(PeerError(OPERATOR_FAILED, 1), setup, answers) == "rank 1: it does not say why"
