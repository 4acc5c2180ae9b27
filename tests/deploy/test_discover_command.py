# SPDX-License-Identifier: Apache-2.0
"""``tflsplit discover``: what it says, for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import pytest

from tests.deploy.boards import HostPort, Wires, boards_named, line_of, ring_of
from tflsplit.cli import main, survey_ports
from tflsplit.deploy.survey import BoardFlags, BoardState, Kind


@pytest.fixture
def plugged(monkeypatch: pytest.MonkeyPatch) -> Callable[[Wires, str], None]:
    """Simulated boards in place of ports: ``a`` is the port of board a."""

    def plug(wires: Wires, names: str) -> None:
        ports: dict[str, HostPort] = {name: wires.port(name) for name in names}
        monkeypatch.setattr(survey_ports, "open_port", lambda name, baud: ports[name])

    return plug


def test_words_drawing_and_table(plugged, capsys: pytest.CaptureFixture[str]):
    boards = boards_named("abcd", state=BoardState.ACTIVE, world_size=4, fingerprint=b"\xa5" * 16)
    for rank, board in enumerate(boards.values()):
        board.identity = replace(board.identity, rank=rank, baud=6_000_000)
    plugged(Wires(boards, ring_of("abcd")), "a")
    assert main(["discover", "--port", "a"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("a ring of 4 boards at port of a\n")
    assert "port of a ══ A 1──0 B 1──0 C 1──0 D 1──0 A" in out
    assert "rank 3 of 4, plan a5a5a5a5" in out
    assert "1.00 MiB flash" in out
    assert "UART 6 Mbaud" in out
    assert all(board.asked[-1] == Kind.RUN for board in boards.values())


def test_blank_line_with_remarks(plugged, capsys: pytest.CaptureFixture[str]):
    boards = boards_named("abc", flags=BoardFlags.WANTS_KEY)
    boards["b"].identity = replace(
        boards["b"].identity, board=b"\x1b[31mred", store_bytes=0, chip_id=bytes(16)
    )
    boards["c"].identity = replace(boards["c"].identity, state=BoardState.BROKEN)
    plugged(Wires(boards, line_of("abc")), "a")
    assert main(["discover", "--port", "a"]) == 0
    out, err = capsys.readouterr()
    assert "a line of 3 boards" in out
    assert "\x1b" not in out
    assert r"\x1b[31mred" in out
    assert "1.00 MiB RAM, wants a key" in out
    assert "no id" in out
    assert "an image that is broken" in out
    assert "a ring whose cable between A and C is cut" in err
    assert Kind.RUN not in boards["a"].asked


def test_json(plugged, capsys: pytest.CaptureFixture[str]):
    plugged(Wires(boards_named("ab"), [("a", 1, "b", 1)]), "ab")
    assert main(["discover", "--port", "a", "--port", "b", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["topology"] == "a line of 2 boards"
    assert document["clusters"] == [{"shape": "line", "boards": ["A", "B"]}]
    assert [board["port"] for board in document["boards"]] == ["port of a", "port of b"]
    assert document["cables"] == [{"from": "A", "from_port": 1, "to": "B", "to_port": 1}]
    assert document["boards"][0]["state"] == "blank"
    assert document["boards"][0]["rank"] is None
    assert len(document["remarks"]) == 1


def test_without_a_port_those_that_answer_are_taken(
    plugged, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    boards = boards_named("abc")
    boards["c"].deaf_until = 1e9
    plugged(Wires(boards, line_of("ab")), "ac")
    devices = [SimpleNamespace(device=name) for name in "ac"]
    monkeypatch.setattr(survey_ports, "ports_of", lambda boards: devices)
    assert main(["discover"]) == 0
    assert "a line of 2 boards at port of a\n" in capsys.readouterr().out
    boards["a"].deaf_until = 1e9
    assert main(["discover"]) == 2
    assert "no board answers at a, c: flash the generic firmware" in capsys.readouterr().err


def test_nothing_there(plugged, capsys: pytest.CaptureFixture[str], monkeypatch):
    monkeypatch.setattr(survey_ports, "ports_of", lambda boards: [])
    assert main(["discover"]) == 2
    assert "no board is plugged in here" in capsys.readouterr().err
    assert main(["discover", "--port", "socket://localhost"]) == 2
    assert "is not socket://host:port" in capsys.readouterr().err
