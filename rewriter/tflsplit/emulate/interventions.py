# SPDX-License-Identifier: Apache-2.0
"""What happens to a cluster on a desk: power, buttons, cables.  For clusters that are pluggable.

In words, for ``tflsplit emulate --event``: ``kill 2``, ``reset 2``, ``pause 2``, ``resume 2``,
``cut 0-1``, ``join 0-1``, ``swap 2`` (the cables of rank 2 in each other's ports).
"""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from dataclasses import dataclass

from tflsplit.emulate.cluster import Cluster
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
    ports = [Port(rank, PREVIOUS_LINK), Port(rank, NEXT_LINK)]
    plugs = [cluster.plugs.get(port) for port in ports]
    if plugs[0] is None or plugs[1] is None:
        raise ClusterError(f"rank {rank} has not two cables to exchange")
    cluster.proxy.exchange(plugs[0], plugs[1])


def pause(cluster: Cluster, rank: int) -> None:
    """A rank neither reads nor writes nor computes, until it is resumed."""
    cluster.signal(rank, signal.SIGSTOP)


def resume(cluster: Cluster, rank: int) -> None:
    """It goes on where it was."""
    cluster.signal(rank, signal.SIGCONT)


def reset(cluster: Cluster, rank: int) -> None:
    """A rank begins anew: its button if it is emulated, else as another process."""
    if cluster.has_reset_button(rank):
        cluster.reset(rank)
    else:
        cluster.restart(rank)


def _wire_between(cluster: Cluster, a: int, b: int) -> int:
    for index, wire in enumerate(cluster.wires):
        if {wire.a.rank, wire.b.rank} == {a, b}:
            return index
    raise ClusterError(f"no cable leads from rank {a} to rank {b}")


_ONE_RANK: dict[str, Callable[[Cluster, int], None]] = {
    "kill": Cluster.kill, "reset": reset, "pause": pause, "resume": resume, "swap": swap,
}  # fmt: skip
_TWO_RANKS: dict[str, Callable[[Cluster, int, int], None]] = {"cut": cut, "join": join}
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
