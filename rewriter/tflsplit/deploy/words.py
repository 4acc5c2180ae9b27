# SPDX-License-Identifier: Apache-2.0
"""How boards are wired, in words and drawn in text."""

from __future__ import annotations

from collections.abc import Iterator

from tflsplit.deploy.survey import BoardFlags
from tflsplit.deploy.wiring import Cable, Wiring
from tflsplit.errors import counted
from tflsplit.wire.topology import NEXT_PORT, PREVIOUS_PORT

_DRAWING_WIDTH = 76


def components(wiring: Wiring) -> list[list[int]]:
    """The boards that cables join, cluster by cluster."""
    left = set(range(len(wiring.boards)))
    found = []
    while left:
        reached, waiting = set[int](), [min(left)]
        while waiting:
            board = waiting.pop()
            if board not in reached:
                reached.add(board)
                waiting += [there for _, there, _ in wiring.neighbours(board)]
        found.append(sorted(reached))
        left -= reached
    return found


def shape(wiring: Wiring, boards: list[int]) -> str:
    """``ring``, ``line``, ``star``, ``tree``, ``mesh``, or ``one`` of boards that are joined."""
    size = len(boards)
    degrees = sorted(wiring.degree(board) for board in boards)
    if size == 1:
        return "one"
    if size == 2:
        return "line" if degrees == [1, 1] else "ring"
    if degrees == [2] * size:
        return "ring"
    if sum(degrees) == 2 * (size - 1):
        if degrees == [1, 1] + [2] * (size - 2):
            return "line"
        return "star" if degrees == [1] * (size - 1) + [size - 1] else "tree"
    return "mesh"


_WORDS = {
    "one": "one board",
    "ring": "a ring of {size}",
    "line": "a line of {size}",
    "star": "a star of {size}",
    "tree": "a tree of {size}",
    "mesh": "a mesh of {size}",
}


def topology_words(wiring: Wiring) -> str:
    """``a ring of 8 boards``; ``a line of 3 boards, and one board apart``."""
    groups = components(wiring)
    texts = [
        _WORDS[shape(wiring, group)].format(size=counted(len(group), "board")) for group in groups
    ]
    return ", and ".join([texts[0], *(f"{text} apart" for text in texts[1:])])


def remarks(wiring: Wiring) -> Iterator[str]:
    """What somebody who has wired these boards may not expect."""
    for group in components(wiring):
        if shape(wiring, group) == "line" and len(group) > 2:
            ends = [wiring.name(board) for board in group if wiring.degree(board) == 1]
            yield (
                f"a ring whose cable between {ends[0]} and {ends[1]} is cut, or not plugged in, "
                "looks like this line"
            )
    for cable in wiring.cables:
        yield from _cable_remarks(wiring, cable)
    yield from _missing(wiring)
    prepared = [
        wiring.name(board)
        for board, one in enumerate(wiring.boards)
        if one.identity.flags & BoardFlags.IS_PREPARED
    ]
    if prepared:
        yield (
            f"a deployment to {', '.join(prepared)} was not completed: they have it whole, and the "
            "same deploy again sends them nothing"
        )


def _cable_remarks(wiring: Wiring, cable: Cable) -> Iterator[str]:
    here, there = wiring.name(cable.from_board), wiring.name(cable.to_board)
    if cable.ends()[0] == cable.ends()[1]:
        yield f"port {cable.from_port} of {here} is joined to itself: its TX to its own RX"
    elif cable.is_loop:
        yield f"ports {cable.from_port} and {cable.to_port} of {here} are joined to each other"
    elif cable.from_port == cable.to_port and cable.from_port in (PREVIOUS_PORT, NEXT_PORT):
        is_of_star = max(wiring.degree(cable.from_board), wiring.degree(cable.to_board)) > 2
        if not is_of_star:
            yield (
                f"ports {cable.from_port} of {here} and of {there} are joined, where a ring or "
                f"line has port {NEXT_PORT} to port {PREVIOUS_PORT}: deploy takes that as it is, "
                "firmware that is built for one rank does not"
            )


def _missing(wiring: Wiring) -> Iterator[str]:
    """Boards that a plan tells of and that did not answer."""
    plans: dict[bytes, tuple[int, set[int]]] = {}
    for one in wiring.boards:
        identity = one.identity
        if identity.world_size:
            _, ranks = plans.setdefault(identity.fingerprint, (identity.world_size, set()))
            ranks.add(identity.rank)
    for world_size, ranks in plans.values():
        missing = [str(rank) for rank in range(world_size) if rank not in ranks]
        if missing:
            yield (
                f"boards hold a plan for {world_size}, of which rank{'s' * (len(missing) > 1)} "
                f"{', '.join(missing)} did not answer"
            )
    if len(plans) > 1:
        yield f"boards hold {len(plans)} different plans: none of them runs before a deploy"


def drawing(wiring: Wiring, ports: list[str]) -> list[str]:
    """Chains of boards: ``host ══ A 1──0 B 1──0 C``; between two boards the ports of their cable.

    A ring ends with the board that it began with; a branch begins with a board that is there.
    """
    lines = []
    used: set[Cable] = set()
    seen: set[int] = set()
    for port, gateway in zip(ports, wiring.gateways, strict=True):
        lines += _chains(wiring, f"{port} ══ ", gateway, used, seen)
    return lines


def _chains(wiring: Wiring, head: str, start: int, used: set[Cable], seen: set[int]) -> list[str]:
    lines, waiting = [], [start]
    is_first = True
    while waiting:
        board = waiting[0]
        cells, walked = _walk(wiring, board, used, seen)
        if len(cells) == 1 and not is_first:
            waiting.pop(0)
            continue
        lines += _wrapped(head if is_first else " " * len(head), cells)
        is_first = False
        waiting += walked
    return lines


def _walk(
    wiring: Wiring, start: int, used: set[Cable], seen: set[int]
) -> tuple[list[str], list[int]]:
    """A chain along cables that are not drawn yet, and the boards on it."""
    board, cells, walked = start, [wiring.name(start)], []
    seen.add(start)
    while (step := _next(wiring, board, used)) is not None:
        cable, port, there, its_port = step
        used.add(cable)
        cells.append(f"{port}──{its_port} {wiring.name(there)}")
        if there in seen:
            break
        seen.add(there)
        walked.append(there)
        board = there
    return cells, walked


def _next(wiring: Wiring, board: int, used: set[Cable]) -> tuple[Cable, int, int, int] | None:
    """The cable to go on by: that of port 1, where a ring goes on, else of the lowest port."""
    found = [(cable, *way) for cable, way in wiring.cables_at(board) if cable not in used]
    preferred = [step for step in found if step[1] == NEXT_PORT]
    return min(preferred or found, key=lambda step: step[1], default=None)


def _wrapped(head: str, cells: list[str]) -> list[str]:
    lines, line = [], head + cells[0]
    for cell in cells[1:]:
        if len(line) + 1 + len(cell) > _DRAWING_WIDTH:
            lines.append(line)
            line = " " * len(head) + "   "
        line += " " + cell
    return [*lines, line]
