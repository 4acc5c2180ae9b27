# SPDX-License-Identifier: Apache-2.0
"""What is wrong between devices, from what their links say: one sentence for each fault.

A link says what it expects at its other end (``peer``), what came from there (``claimed``) and how
it is. What one rank sees is often explained by what others see: a silent rank that somebody hears
has a broken cable, not a broken supply.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tflsplit.host.firmware_json import FirmwareSetup
from tflsplit.wire.control import NO_RANK, LinkReport
from tflsplit.wire.handshake import ErrorCode, describe
from tflsplit.wire.topology import port_to

_UP = 1
_REFUSALS = range(ErrorCode.VERSION_MISMATCH, ErrorCode.MTU_MISMATCH + 1)


@dataclass(frozen=True)
class Seen:
    """A link, as the rank sees it that told."""

    rank: int
    link: LinkReport

    @property
    def is_up(self) -> bool:
        """Whether it works."""
        return self.link.state == _UP

    @property
    def finds_another(self) -> bool:
        """Whether a rank answers there that does not belong there."""
        return self._mismatch and self.link.claimed not in (self.link.peer, NO_RANK)

    @property
    def is_sent_away(self) -> bool:
        """Whether the right rank answers there, but says that we are wired to its wrong port."""
        return self._mismatch and self.link.claimed == self.link.peer

    @property
    def _mismatch(self) -> bool:
        return not self.is_up and self.link.code == ErrorCode.RANK_MISMATCH


def problems(setup: FirmwareSetup, there: Iterable[int], links: Iterable[Seen]) -> list[str]:
    """Sentences for people, each once; [] if every link that somebody told of is up.

    there: the ranks that answer the host.
    """
    seen = [each for each in links if each.link.peer < setup.world_size]
    alive = {*there, *(each.link.peer for each in seen if each.is_up)}
    own_view = set(_own_view(seen))
    wrong_ports = own_view | {each.link.peer for each in seen if each.is_sent_away}
    found = [_exchanged_cables(setup, rank, rank in own_view) for rank in sorted(wrong_ports)]
    for each in seen:
        explained = each.rank in wrong_ports or each.link.peer in wrong_ports
        if not each.is_up and not explained:
            found.append(_sentence(setup, each, alive))
    return list(dict.fromkeys(found))


def _own_view(seen: list[Seen]) -> Iterator[int]:
    """Ranks that find at each of two links the neighbour that belongs at the other."""
    for each in seen:
        for other in seen:
            pair = each.rank == other.rank and each.finds_another and other.finds_another
            if pair and (each.link.claimed, other.link.claimed) == (
                other.link.peer,
                each.link.peer,
            ):
                yield each.rank


def _exchanged_cables(setup: FirmwareSetup, rank: int, is_own_view: bool) -> str:
    """From its own end alone, its two neighbours in each other's place look the same."""
    near = [(rank - 1) % setup.world_size, (rank + 1) % setup.world_size]
    ports = [
        f"port {_port(setup, rank, peer)} belongs to port {_port(setup, peer, rank)} of rank {peer}"
        for peer in near
    ]
    text = f"the cables of rank {rank} are in each other's ports: {' and '.join(ports)}"
    return (
        f"{text}; or the boards of ranks {near[1]} and {near[0]} are exchanged"
        if is_own_view
        else text
    )


def _sentence(setup: FirmwareSetup, seen: Seen, alive: set[int]) -> str:
    rank, link = seen.rank, seen.link
    port = _port(setup, rank, link.peer)
    if seen.finds_another:
        return (
            f"rank {link.claimed} is wired to port {port} of rank {rank}, where rank {link.peer} "
            "belongs: exchange the boards, or flash them anew"
        )
    if link.code in _REFUSALS:
        return describe(link.code, link.peer, reporter=rank)
    if link.peer in alive:
        a, b = sorted((rank, link.peer))
        return (
            f"rank {a} (port {_port(setup, a, b)}) and rank {b} (port {_port(setup, b, a)}) do not "
            "hear each other, and both run: check the cable between them"
        )
    return (
        f"rank {link.peer} does not answer on port {port} of rank {rank}: it has no power or "
        f"hangs, or the cable to its port {_port(setup, link.peer, rank)} is broken; nobody else "
        "hears it"
    )


def _port(setup: FirmwareSetup, rank: int, peer: int) -> int:
    return port_to(setup.topology, setup.world_size, rank, peer)
