# SPDX-License-Identifier: Apache-2.0
"""Boards and cables are found as they are, whatever answers."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest

from tests.deploy.boards import Board, Wires, boards_named, identity_of, line_of, ring_of
from tflsplit.deploy.explore import Explorer, release
from tflsplit.deploy.survey import BoardFlags, BoardState, Kind, Survey, on_wire
from tflsplit.deploy.surveyor import Surveyor
from tflsplit.deploy.wiring import Wiring
from tflsplit.deploy.words import drawing, remarks, topology_words
from tflsplit.errors import LinkError


def surveyor_of(wires: Wires, *gateways: str) -> Surveyor:
    return Surveyor([wires.port(name) for name in gateways or ("a",)], wires.clock)


def look(wires: Wires, *gateways: str) -> Wiring:
    names = [f"port-{name}" for name in gateways or ("a",)]
    return Explorer(surveyor_of(wires, *gateways), names).run()


def cables(wiring: Wiring) -> set[tuple[str, int, str, int]]:
    """In the simulation's names; each from the lesser end."""
    chips = [bytes.fromhex(one.chip).decode() for one in wiring.boards]
    ends = [sorted((chips[board], port) for board, port in c.ends()) for c in wiring.cables]
    return {(*one, *other) for one, other in ends}


def sorted_wires(wires: list[tuple[str, int, str, int]]) -> set[tuple[str, int, str, int]]:
    pairs = [sorted([(a, p), (b, q)]) for a, p, b, q in wires]
    return {(*one, *other) for one, other in pairs}


def test_ring():
    wires = ring_of("abcdefgh")
    found = look(Wires(boards_named("abcdefgh"), wires))
    assert cables(found) == sorted_wires(wires)
    assert topology_words(found) == "a ring of 8 boards"
    assert list(remarks(found)) == []
    chain = "A 1──0 B 1──0 C 1──0 D 1──0 E 1──0 F 1──0 G 1──0 H 1──0 A"
    assert drawing(found, ["/dev/ttyACM0"]) == [f"/dev/ttyACM0 ══ {chain}"]
    assert drawing(found, ["/dev/serial/by-id/usb"]) == [
        f"/dev/serial/by-id/usb ══ {chain[:-7]}", " " * 29 + "1──0 A",
    ]  # fmt: skip


def test_line_from_its_middle():
    wires = line_of("abcde")
    found = look(Wires(boards_named("abcde"), wires), "c")
    assert cables(found) == sorted_wires(wires)
    assert topology_words(found) == "a line of 5 boards"
    assert "a ring whose cable between" in "; ".join(remarks(found))
    assert drawing(found, ["p"]) == ["p ══ A 1──0 B 1──0 C", "     A 0──1 D 0──1 E"]


def test_two_boards_need_no_remark():
    found = look(Wires(boards_named("ab"), line_of("ab")))
    assert topology_words(found) == "a line of 2 boards"
    assert list(remarks(found)) == []


def test_star_from_a_leaf():
    boards = boards_named("bcdefg") | {"h": Board(identity_of("h", ports=6))}
    wires = [("h", index, leaf, 0) for index, leaf in enumerate("bcdefg")]
    found = look(Wires(boards, wires), "c")
    assert cables(found) == sorted_wires(wires)
    assert topology_words(found) == "a star of 7 boards"
    assert list(remarks(found)) == []
    assert len(drawing(found, ["p"])) == 5


def test_one_board_alone():
    found = look(Wires(boards_named("a"), []))
    assert topology_words(found) == "one board"
    assert drawing(found, ["p"]) == ["p ══ A"]
    assert not found.cables


def test_tree_and_mesh_are_said():
    tree = [("a", 0, "b", 0), ("a", 1, "c", 0), ("c", 1, "d", 0), ("c", 2, "e", 0)]
    assert topology_words(look(Wires(boards_named("abcde", ports=3), tree))) == "a tree of 5 boards"
    mesh = [*ring_of("abcd"), ("a", 2, "c", 2)]
    assert topology_words(look(Wires(boards_named("abcd", ports=3), mesh))) == "a mesh of 4 boards"


def test_ring_that_is_cut_looks_like_a_line():
    found = look(Wires(boards_named("abcd"), ring_of("abcd")[1:]))
    assert topology_words(found) == "a line of 4 boards"
    ends = {bytes.fromhex(found.boards[i].chip).decode() for i in range(4) if found.degree(i) == 1}
    assert ends == {"a", "b"}


def test_swapped_ports_are_said():
    wires = [("a", 1, "b", 1), ("b", 0, "c", 0), ("c", 1, "a", 0)]
    found = look(Wires(boards_named("abc"), wires))
    assert cables(found) == sorted_wires(wires)
    assert topology_words(found) == "a ring of 3 boards"
    said = list(remarks(found))
    assert len(said) == 2
    assert "ports 1 of A and of B are joined" in said[0]


def test_port_that_is_joined_to_itself_and_two_that_are_joined():
    wires = [("a", 0, "a", 0), ("a", 1, "b", 0), ("b", 1, "b", 2)]
    found = look(Wires(boards_named("ab", ports=3), wires))
    assert topology_words(found) == "a line of 2 boards"
    assert list(remarks(found)) == [
        "port 0 of A is joined to itself: its TX to its own RX",
        "ports 1 and 2 of B are joined to each other",
    ]


def test_two_boards_of_one_id_are_two_boards():
    boards = boards_named("ab")
    boards["b"].identity = replace(boards["a"].identity, boot=8)
    found = look(Wires(boards, line_of("ab")))
    assert topology_words(found) == "a line of 2 boards"
    assert not found.problems


def test_two_boards_of_one_id_and_one_boot_number_are_a_problem():
    boards = boards_named("abc")
    boards["c"].identity = boards["b"].identity
    found = look(Wires(boards, ring_of("abc")))
    assert "cannot be told apart" in "; ".join(found.problems)


def test_board_that_is_reset_meanwhile_is_a_problem():
    boards = boards_named("abc")
    boards["b"].identify_boots = [6]  # the first time
    wires = Wires(boards, ring_of("abc"))
    assert "b was reset" in "; ".join(look(wires).problems).replace("62 was", "b was")


def test_boards_without_an_id_are_told_apart_by_their_boot_numbers():
    boards = boards_named("abcd")
    for number, board in enumerate(boards.values()):
        board.identity = replace(board.identity, chip_id=bytes(16), boot=number)
    assert topology_words(look(Wires(boards, ring_of("abcd")))) == "a ring of 4 boards"


def test_board_that_answers_late():
    boards = boards_named("abc")
    boards["b"].late_seconds = 0.25
    assert topology_words(look(Wires(boards, ring_of("abc")))) == "a ring of 3 boards"


def test_boards_that_have_just_got_their_power_are_waited_for():
    """As long as the first of them needed, and more; not for ever."""
    boards = boards_named("abc")
    boards["a"].deaf_until, boards["b"].deaf_until = 1.2, 2.0
    boards["c"].deaf_until = 2.4
    wires = Wires(boards, ring_of("abc"))
    assert topology_words(look(wires)) == "a ring of 3 boards"
    boards["c"].deaf_until = 1e9
    begun = wires.now
    assert topology_words(look(wires)) == "a line of 2 boards"
    assert wires.now - begun < 1.0


def test_a_gateway_that_still_answers_an_earlier_look_is_waited_for():
    boards = boards_named("a")
    boards["a"].deaf_until = 7.0
    wires = Wires(boards, [])
    surveyor = surveyor_of(wires)
    surveyor.ask(0, Kind.IDENTIFY, b"", tries=1)
    while wires.now < 2.0:
        surveyor.turn()
    earlier = Survey(Kind.IDENTITY, 12345, b"", b"", 0, boards["a"].identity.to_body())
    wires.to_host["a"] += on_wire(earlier)
    assert topology_words(Explorer(surveyor, ["p"]).run()) == "one board"


@pytest.mark.parametrize(("late", "wanted"), [(0.1, 30.0), (1.0, 60.0), (9.0, 240.0)])
def test_what_waits_for_slow_boards_waits_longer(late: float, wanted: float):
    boards = boards_named("ab")
    boards["a"].deaf_until, boards["b"].late_seconds = 2.0, late
    wires = Wires(boards, line_of("ab"))
    surveyor = surveyor_of(wires)
    Explorer(surveyor, ["p"], tries=100).run()
    assert surveyor.stretched(30.0) == pytest.approx(wanted, rel=0.05)


def test_board_that_answers_never():
    boards = boards_named("abcd")
    boards["c"].deaf_until = 1e9
    found = look(Wires(boards, ring_of("abcd")))
    assert topology_words(found) == "a line of 3 boards"


def test_board_that_is_busy_is_waited_for_where_a_plan_tells_of_it():
    boards = boards_named("abc", state=BoardState.ACTIVE, world_size=3, fingerprint=b"f" * 16)
    for rank, board in enumerate(boards.values()):
        board.identity = replace(board.identity, rank=rank)
    boards["c"].deaf_until = 2.0
    wires = Wires(boards, line_of("abc"))
    assert topology_words(look(wires)) == "a line of 3 boards"
    boards["c"].deaf_until = 1e9
    said = list(remarks(look(wires)))
    assert said == ["boards hold a plan for 3, of which rank 2 did not answer"]


def test_different_plans_are_said():
    boards = boards_named("ab", world_size=1)
    for rank, board in enumerate(boards.values()):
        board.identity = replace(board.identity, rank=0, fingerprint=bytes([rank]) * 16)
    said = list(remarks(look(Wires(boards, line_of("ab")))))
    assert said == ["boards hold 2 different plans: none of them runs before a deploy"]


def test_deployment_that_was_not_completed_is_said():
    boards = boards_named("abc")
    boards["b"].identity = replace(boards["b"].identity, flags=BoardFlags.IS_PREPARED)
    said = list(remarks(look(Wires(boards, ring_of("abc")))))
    assert len(said) == 1
    assert said[0].startswith("a deployment to B was not completed")


@pytest.mark.parametrize(
    "spoils",
    [
        lambda payload: b"",
        lambda payload: payload[:-1],
        lambda payload: payload + b"\0",
        lambda payload: b"\2" + payload[1:],
        lambda payload: payload[:4] + bytes(4) + payload[8:],  # another token
        lambda payload: payload[:9] + b"\7" + payload[10:],  # another way
        lambda payload: payload[:-96] + bytes(96),  # a board without ports that came by port 0
        lambda payload: payload[:1] + b"\xc8" + payload[2:],  # an answer that nobody knows
        lambda payload: bytes(random.Random(1).randbytes(200)),
    ],
)
def test_board_that_answers_garbage_is_not_there(spoils: Callable[[bytes], bytes]):
    boards = boards_named("abc")
    boards["c"].spoils = spoils
    found = look(Wires(boards, line_of("abc")))
    assert topology_words(found) == "a line of 2 boards"


def test_names_from_a_wire_are_escaped():
    boards = {"a": Board(identity_of("a", board=b"\x1b[2J\xff\0evil\n\0\0\0\0\0"))}
    assert look(Wires(boards, [])).boards[0].kind == r"\x1b[2J\xff\x00evil\x0a"


def test_gateway_that_is_silent_or_talks_nonsense():
    boards = boards_named("a")
    boards["a"].deaf_until = 1e9
    with pytest.raises(LinkError, match="port-a; not one byte came: check its power"):
        look(Wires(boards, []))
    boards = boards_named("a")
    boards["a"].spoils = lambda payload: b"\2" + payload[1:]
    wires = Wires(boards, [])
    with pytest.raises(LinkError, match="what came are no frames: check the baud rate"):
        look(wires)


def test_firmware_of_another_version_is_named_and_not_misread():
    boards = boards_named("abc")
    boards["b"].spoils = lambda payload: payload[: 10 + 56] + b"\1" + payload[10 + 57 : -2]
    found = look(Wires(boards, line_of("abc")))
    assert topology_words(found) == "one board"
    (problem,) = found.problems
    assert problem.startswith(
        "the board behind port-a, by ports 1, has generic firmware of version 1, this program is "
        "for 2: flash it anew"
    )
    boards["a"].spoils = lambda payload: payload[: 8 + 56] + b"\3" + payload[8 + 57 :]
    with pytest.raises(LinkError, match="behind port-a has generic firmware of version 3"):
        look(Wires(boards, line_of("abc")))


def test_no_more_than_63_boards():
    names = [chr(0x100 + i) for i in range(64)]
    boards = {name: Board(identity_of(name)) for name in names}
    wires = [(one, 1, other, 0) for one, other in pairwise(names)]
    with pytest.raises(LinkError, match="more than 63 boards"):
        look(Wires(boards, wires), names[32])


def test_63_boards_in_a_line():
    names = [chr(0x100 + i) for i in range(63)]
    boards = {name: Board(identity_of(name)) for name in names}
    wires = Wires(boards, [(a, 1, b, 0) for a, b in pairwise(names)])
    assert topology_words(look(wires, names[0])) == "a line of 63 boards"
    assert wires.now < 6  # of which 4 are 1 ms for each of so many hops


def test_wires_that_lose_every_third_frame():
    random_one = random.Random(3)
    wires = Wires(boards_named("abcdef"), ring_of("abcdef"))
    wires.lost = lambda: random_one.random() < 0.1
    found = look(wires)
    assert cables(found) == sorted_wires(ring_of("abcdef"))


def test_several_ports():
    wires = Wires(boards_named("abcdef"), [*ring_of("abc"), *line_of("def")])
    found = look(wires, "a", "e", "b")
    assert topology_words(found) == "a ring of 3 boards, and a line of 3 boards apart"
    assert [bytes.fromhex(found.boards[i].chip) for i in found.gateways] == [b"a", b"e", b"b"]
    assert len(drawing(found, ["x", "y", "z"])) == 4
    wires.boards["e"].deaf_until = 1e9
    with pytest.raises(LinkError, match="no board answers at port-e"):
        look(wires, "a", "e")


def test_boards_go_back_to_their_plans_farthest_first():
    boards = boards_named("abc", state=BoardState.ACTIVE, world_size=3, rank=0)
    boards["b"].identity = replace(boards["b"].identity, state=BoardState.BLANK)
    wires = Wires(boards, line_of("abc"))
    surveyor = surveyor_of(wires)
    found = Explorer(surveyor, ["p"]).run()
    order: list[str] = []
    for name, board in boards.items():
        board.on_asked = lambda name=name: order.append(name)  # type: ignore[misc]
    release(surveyor, found)
    assert order == ["c", "a"]
    assert boards["c"].asked[-1] == Kind.RUN


def test_silent_ports_cost_their_time_once():
    wires = Wires(boards_named("a", ports=16), [])
    begun = time.monotonic()
    look(wires)
    assert wires.now < 1.5
    assert time.monotonic() - begun < 30
