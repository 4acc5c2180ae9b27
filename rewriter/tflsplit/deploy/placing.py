# SPDX-License-Identifier: Apache-2.0
"""Which found board becomes which rank, by where it is: its cables must be those of the plan.

::

    plan       0 ── 1 ── 2 ── 3            gateway: the rank that the host is wired to
    found      C ── A ── B ── D            A is the board at the host's port
    gateway 1  0    1    2    3
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from tflsplit.deploy.wiring import Wiring
from tflsplit.deploy.words import topology_words
from tflsplit.errors import ClusterError, counted
from tflsplit.wire.topology import Topology, link_tables, port_to

_MOST_TRIES = 20_000


@dataclass(frozen=True)
class Placement:
    """Boards by rank, as places in ``Wiring.boards``, and the ports that join them.

    ports: (rank, peer) -> the port of ``rank``'s board that leads to ``peer``'s.
    """

    boards: tuple[int, ...]
    ports: dict[tuple[int, int], int]


def place(
    wiring: Wiring,
    topology: Topology,
    kinds: Sequence[str],
    gateway: int,
    stream: int = 0,
    taken: Collection[int] = (),
) -> Placement:
    """Ranks for boards.

    kinds: of board, by rank.  gateway: the rank of the board that ``stream`` leads to.
    taken: boards that get none.
    Raises ClusterError saying what does not fit: too few boards, another wiring, another kind.
    """
    if wiring.problems:
        raise ClusterError("; ".join(wiring.problems))
    if len(wiring.boards) - len(taken) < len(kinds):
        raise ClusterError(
            f"the plan is for {counted(len(kinds), 'device')}, but {topology_words(wiring)} is "
            f"there: plan for fewer (tflsplit deploy MODEL does), or plug in "
            f"{len(kinds) - len(wiring.boards)} more"
        )
    for of_kind in (tuple(kinds), None):
        search = _Search(wiring, topology, of_kind, len(kinds), taken)
        found = search.run(gateway, wiring.gateways[stream])
        if found is not None and of_kind is not None:
            return Placement(tuple(found), _ports(wiring, search.edges, found))
        if found is not None:
            raise ClusterError(_wrong_kinds(wiring, kinds, found))
    raise ClusterError(
        f"the plan is for {_planned(topology, len(kinds), gateway)}, but what is there is "
        f"{topology_words(wiring)}: join the boards so, or give the plan these wires "
        "(tflsplit firmware DIR --topology …)"
    )


class _Search:
    """Goes from the gateway along the plan's wires, and back where a board does not fit."""

    def __init__(
        self,
        wiring: Wiring,
        topology: Topology,
        kinds: tuple[str, ...] | None,
        size: int,
        taken: Collection[int],
    ) -> None:
        self._wiring, self._kinds, self._taken = wiring, kinds, taken
        self._preferred = {
            (rank, peer): port_to(topology, size, rank, peer)
            for rank, links in enumerate(link_tables(topology, size))
            for peer in (link.peer_rank for link in links)
        }
        self.edges = sorted(self._preferred)
        self._tries = 0

    def run(self, gateway: int, board: int) -> list[int] | None:
        """The boards by rank; None if they cannot be given ranks so."""
        placed = {gateway: board} if self._is_kind(gateway, board) else {}
        found = self._go_on(placed) if placed else None
        return None if found is None else [found[rank] for rank in sorted(found)]

    def _go_on(self, placed: dict[int, int]) -> dict[int, int] | None:
        self._tries += 1
        if self._tries > _MOST_TRIES:
            return None
        edge = next(((a, b) for a, b in self.edges if a in placed and b not in placed), None)
        if edge is None:
            return placed
        for board in self._candidates(placed[edge[0]], edge):
            is_free = board not in placed.values() and board not in self._taken
            fits = is_free and self._is_kind(edge[1], board)
            if fits and self._is_joined(edge[1], board, placed):
                found = self._go_on({**placed, edge[1]: board})
                if found is not None:
                    return found
        return None

    def _candidates(self, board: int, edge: tuple[int, int]) -> list[int]:
        """Neighbours; the one behind the port that the plan's wiring has there is first."""
        wanted = self._preferred[edge]
        ways = sorted(self._wiring.neighbours(board), key=lambda way: way[0] != wanted)
        return list(dict.fromkeys(there for _, there, _ in ways))

    def _is_joined(self, rank: int, board: int, placed: dict[int, int]) -> bool:
        neighbours = {there for _, there, _ in self._wiring.neighbours(board)}
        peers = (peer for own, peer in self.edges if own == rank and peer in placed)
        return all(placed[peer] in neighbours for peer in peers)

    def _is_kind(self, rank: int, board: int) -> bool:
        return self._kinds is None or self._kinds[rank] == self._wiring.boards[board].kind


def _ports(
    wiring: Wiring, edges: Sequence[tuple[int, int]], boards: Sequence[int]
) -> dict[tuple[int, int], int]:
    """By the first cable that joins two boards, the same from both ends."""
    ports = {}
    for rank, peer in edges:
        if rank < peer:
            here, there = boards[rank], boards[peer]
            port, its_port = next((p, q) for p, b, q in wiring.neighbours(here) if b == there)
            ports[rank, peer], ports[peer, rank] = port, its_port
    return ports


def _planned(topology: Topology, size: int, gateway: int) -> str:
    if size == 1:
        return "one board"
    return f"a {topology.value} of {counted(size, 'board')} with the host at rank {gateway}"


def _wrong_kinds(wiring: Wiring, kinds: Sequence[str], boards: Sequence[int]) -> str:
    """Names each rank whose board is of another kind."""
    wrong = [
        f"rank {rank} is planned for {kind}, board {wiring.name(board)} is {found}"
        for rank, (kind, board) in enumerate(zip(kinds, boards, strict=True))
        if (found := wiring.boards[board].kind) != kind
    ]
    names = list(dict.fromkeys(wiring.boards[board].kind for board in boards))
    named = names[0] if len(names) == 1 else ",".join(wiring.boards[b].kind for b in boards)
    return f"{'; '.join(wrong)}: make it for these (tflsplit firmware DIR --board {named})"
