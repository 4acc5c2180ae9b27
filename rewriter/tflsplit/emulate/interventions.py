# SPDX-License-Identifier: Apache-2.0
"""What happens to a cluster on a desk: power, buttons, cables.  For clusters that are pluggable.

In words, for ``tflsplit emulate --event``: ``kill 2``, ``start 2``, ``reset 2``, ``hang 2``,
``pause 2``, ``resume 2``, ``cut 0-1``, ``join 0-1``, ``swap 2`` (its cables in each other's ports).
"""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from socket import socket

from tflsplit.emulate import rp2040
from tflsplit.emulate.cluster import Cluster, Device
from tflsplit.emulate.hang import hang_in_qemu
from tflsplit.emulate.machines import HOST_BOARD
from tflsplit.emulate.wiring import NEXT_LINK, PREVIOUS_LINK, Port
from tflsplit.errors import ClusterError


def cut(cluster: Cluster, a: int, b: int) -> None:
    """Nothing passes between two neighbours."""
    cluster.proxy.cut(_wire_between(cluster, a, b), True)


def join(cluster: Cluster, a: int, b: int) -> None:
    """Their cable is whole again."""
    cluster.proxy.cut(_wire_between(cluster, a, b), False)


def swap(cluster: Cluster, rank: int) -> None:
    """Exchange the two cables of a rank; a second time puts them right."""
    cluster.proxy.exchange(*_two_plugs(cluster, rank))


def start(cluster: Cluster, rank: int) -> None:
    """A rank that lost its power has it again; one that runs loses it first."""
    cluster.restart(rank)


def pause(cluster: Cluster, rank: int) -> None:
    """A rank neither reads nor writes nor computes, until it is resumed."""
    cluster.signal(rank, signal.SIGSTOP)


def resume(cluster: Cluster, rank: int) -> None:
    """It goes on where it was."""
    cluster.signal(rank, signal.SIGCONT)


def reset(cluster: Cluster, rank: int) -> None:
    """A rank begins anew: its button if it is emulated, else as another process."""
    if cluster.control(rank):
        cluster.reset(rank)
    else:
        cluster.restart(rank)


def hang(cluster: Cluster, rank: int) -> None:
    """The program of a rank of whole firmware gets no further; its interrupts go on.

    Its watchdog resets it, where the emulated board has one.
    """
    control = cluster.control(rank)
    if control is None:
        cluster.signal(rank, signal.SIGUSR1)
    elif cluster.board(rank) == rp2040.BOARD:
        control.sendall(b"hang")
    else:
        hang_in_qemu(control, rank)


def _two_plugs(cluster: Cluster, rank: int) -> tuple[socket, socket]:
    plugs = [cluster.plugs.get(Port(rank, link)) for link in (PREVIOUS_LINK, NEXT_LINK)]
    if plugs[0] is None or plugs[1] is None:
        raise ClusterError(f"rank {rank} has not two cables to exchange")
    return plugs[0], plugs[1]


def _wire_between(cluster: Cluster, a: int, b: int) -> int:
    for index, wire in enumerate(cluster.wires):
        if {wire.a.rank, wire.b.rank} == {a, b}:
            return index
    raise ClusterError(f"no cable leads from rank {a} to rank {b}")


_ONE_RANK: dict[str, Callable[[Cluster, int], None]] = {
    "kill": Cluster.kill, "start": start, "reset": reset, "hang": hang, "pause": pause,
    "resume": resume, "swap": swap,
}  # fmt: skip
_TWO_RANKS: dict[str, Callable[[Cluster, int, int], None]] = {"cut": cut, "join": join}
_NATIVE_WATCHDOG_MS = 1_000
_EMULATED_WATCHDOG_MS = 10_000
"""Of a clock that QEMU drives at 16 million instructions a second."""
WORDS = (*_ONE_RANK, *_TWO_RANKS)
_EVENT = re.compile(r"(\d+(?:\.\d+)?) +([a-z]+) +(\d+)(?:-(\d+))?")


@dataclass(frozen=True)
class Event:
    """Something that is done to a cluster ``seconds`` after its first inference has begun."""

    seconds: float
    word: str
    ranks: tuple[int, ...]

    def happen(self, cluster: Cluster) -> None:
        """Do it."""
        if len(self.ranks) == 1:
            _ONE_RANK[self.word](cluster, *self.ranks)
        else:
            _TWO_RANKS[self.word](cluster, *self.ranks)

    def check(self, cluster: Cluster) -> None:
        """Raises ClusterError if this cluster has not the cables that it is about."""
        if self.word in _TWO_RANKS:
            _wire_between(cluster, *self.ranks)
        if self.word == "swap":
            _two_plugs(cluster, *self.ranks)


def read_event(text: str, world_size: int) -> Event:
    """``0.5 reset 2`` or ``1 cut 0-1``; ClusterError says what is wrong with another text."""
    match = _EVENT.fullmatch(text.strip())
    if match is None:
        raise ClusterError(f"event '{text}': write SECONDS WORD RANK, as in '0.5 reset 2'")
    seconds, word, *numbers = match.groups()
    ranks = tuple(int(number) for number in numbers if number is not None)
    if word not in WORDS:
        raise ClusterError(f"event '{text}': '{word}' is none of {', '.join(WORDS)}")
    wanted = 2 if word in _TWO_RANKS else 1
    if len(ranks) != wanted:
        form = "two ranks, as in 'cut 0-1'" if wanted == 2 else "one rank"
        raise ClusterError(f"event '{text}': {word} takes {form}")
    if max(ranks) >= world_size:
        raise ClusterError(f"event '{text}': there is no rank {max(ranks)} of {world_size}")
    return Event(float(seconds), word, ranks)


def impatient(devices: Sequence[Device], events: Sequence[Event]) -> list[Device]:
    """The same, but watchdogs of devices that are to hang wait less than the minutes of a board
    that an emulator slows down. One device alone may compute for long without a sign of life."""
    hanging = {event.ranks[0] for event in events if event.word == "hang" and len(devices) > 1}
    return [
        replace(each, arguments=_impatient(each) if rank in hanging else each.arguments)
        for rank, each in enumerate(devices)
    ]


def _impatient(device: Device) -> dict[str, str]:
    native = device.board == HOST_BOARD
    limit_ms = _NATIVE_WATCHDOG_MS if native else _EMULATED_WATCHDOG_MS
    return {"watchdog_ms": str(limit_ms), **device.arguments}
