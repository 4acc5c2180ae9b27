# SPDX-License-Identifier: Apache-2.0
"""Which wires a message crosses, from the link tables that the firmware routes by.

ring of 4, rank 0 multicasts to {1, 2, 3}:      0 -> 1 -> 2
                                                0 -> 3
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tflsplit.errors import InternalError
from tflsplit.wire.topology import LinkTable

Edge = tuple[int, int]
"""One direction of one wire: (sender, receiver), neighbours."""


@dataclass(frozen=True)
class Tree:
    """The way of one message.

    edges: each wire that it crosses, once, every one after the one that leads to it.
    depth: hops to the farthest receiver.
    """

    edges: tuple[Edge, ...]
    depth: int


@dataclass(frozen=True)
class Routes:
    """Ways through a cluster.

    tables: of the devices and of the host, which is the last rank, as
        ``tflsplit.wire.topology.link_tables`` makes them.
    """

    tables: tuple[tuple[LinkTable, ...], ...]
    _trees: dict[tuple[int, int], Tree] = field(default_factory=dict, compare=False, repr=False)

    def tree(self, source: int, destinations: int) -> Tree:
        """The way of a message from ``source`` to the ranks whose bits are set."""
        key = source, destinations
        if key not in self._trees:
            self._trees[key] = self._grow(source, destinations & ~(1 << source))
        return self._trees[key]

    def path(self, source: int, to: int) -> tuple[Edge, ...]:
        """The wires from ``source`` to one rank, in order; () to itself."""
        return self.tree(source, 1 << to).edges

    def _grow(self, source: int, destinations: int) -> Tree:
        edges: list[Edge] = []
        depth = self._follow(source, destinations, edges)
        return Tree(tuple(edges), depth)

    def _follow(self, rank: int, behind: int, edges: list[Edge]) -> int:
        depth = 0
        for link in self.tables[rank]:
            onward = link.destinations & behind
            if not onward:
                continue
            edges.append((rank, link.peer_rank))
            rest = onward & ~(1 << link.peer_rank)
            depth = max(depth, 1 + (self._follow(link.peer_rank, rest, edges) if rest else 0))
            behind &= ~onward
        if behind:
            raise InternalError(f"rank {rank} has no link towards the ranks {behind:#x}")
        return depth
