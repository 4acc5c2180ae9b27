# SPDX-License-Identifier: Apache-2.0
"""Boards and the cables between them, as they were found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tflsplit.deploy.survey import BoardIdentity
from tflsplit.untrusted import one_line
from tflsplit.wire.topology import NEXT_PORT

NO_CHIP = bytes(16)


@dataclass(frozen=True)
class FoundBoard:
    """A board that has answered.

    stream: place of the port that leads to it, in the list of ports.
    way: the ports by which a frame for it leaves the devices before it; b"" for a gateway.
    """

    identity: BoardIdentity
    stream: int
    way: bytes

    @property
    def kind(self) -> str:
        """The name of its kind, fit for a terminal."""
        return one_line(self.identity.board.decode("ascii", "backslashreplace"))

    @property
    def chip(self) -> str:
        """Its unique id without the zeros that fill it; "" if it has none."""
        return self.identity.chip_id.rstrip(b"\0").hex()


@dataclass(frozen=True)
class Cable:
    """What joins two ports; ``from_board`` and ``to_board`` are places in ``Wiring.boards``."""

    from_board: int
    from_port: int
    to_board: int
    to_port: int

    @property
    def is_loop(self) -> bool:
        """Whether it joins a board to itself."""
        return self.from_board == self.to_board

    def ends(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """(board, port) of both."""
        return (self.from_board, self.from_port), (self.to_board, self.to_port)


@dataclass(frozen=True)
class Wiring:
    """What was found.

    boards: see ``in_order``.
    cables: every one once.
    gateways: the board that each of the host's ports leads to.
    problems: what keeps ranks from being given to boards, in words.
    """

    boards: tuple[FoundBoard, ...]
    cables: tuple[Cable, ...]
    gateways: tuple[int, ...] = (0,)
    problems: tuple[str, ...] = ()

    def name(self, board: int) -> str:
        """What a board is called here: A to Z, then AA, AB, …."""
        name = ""
        board += 1
        while board:
            board, letter = divmod(board - 1, 26)
            name = chr(ord("A") + letter) + name
        return name

    def neighbours(self, board: int) -> Iterator[tuple[int, int, int]]:
        """(own port, other board, its port) of each cable, but for loops, by port."""
        return iter(sorted(way for cable, way in self.cables_at(board) if not cable.is_loop))

    def cables_at(self, board: int) -> Iterator[tuple[Cable, tuple[int, int, int]]]:
        """Each cable of a board with (own port, other board, its port); a loop once by each end."""
        for cable in self.cables:
            for (here, port), (there, its_port) in (cable.ends(), cable.ends()[::-1]):
                if here == board:
                    yield cable, (port, there, its_port)

    def degree(self, board: int) -> int:
        """How many cables lead from it to others."""
        return sum(1 for _ in self.neighbours(board))

    def in_order(self) -> Wiring:
        """The same with the boards in the order in which somebody walks along the cables.

        From each gateway by port 1 as far as it goes, then by the other ports: the order of a ring
        or line whose ranks begin at its gateway.
        """
        order: dict[int, int] = {}
        waiting = list(self.gateways[::-1])
        while waiting:
            board = waiting.pop()
            if board not in order:
                order[board] = len(order)
                ways = sorted(self.neighbours(board), key=lambda way: (way[0] != NEXT_PORT, way[0]))
                waiting += [there for _, there, _ in reversed(ways)]
        for board in range(len(self.boards)):
            order.setdefault(board, len(order))
        cables = []
        for cable in self.cables:
            ends = sorted((order[board], port) for board, port in cable.ends())
            cables.append(Cable(*ends[0], *ends[1]))
        return Wiring(
            tuple(self.boards[board] for board in sorted(order, key=order.__getitem__)),
            tuple(sorted(cables, key=Cable.ends)),
            tuple(order[gateway] for gateway in self.gateways),
            self.problems,
        )
