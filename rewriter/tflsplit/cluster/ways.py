# SPDX-License-Identifier: Apache-2.0
"""Ways of messages as arrays of wires, so that the thousands of an all_gather are added at once.

A reduce_scatter over 64 devices has 4,032 messages of 16 hops on average; planning looks at
hundreds of such exchanges.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tflsplit.cluster.framing import HOP_FRAME_BYTES
from tflsplit.cluster.links import LinkSpec
from tflsplit.cluster.routes import Edge, Routes

Wires = NDArray[np.intp]
"""Indices into ``Ways.edges``."""


@dataclass(frozen=True)
class Way:
    """What a message from one rank to some others does.

    data: the wires that its frames cross; forwarded: those of them that leave another rank.
    grants: the wires that the receivers' GRANTs cross, as often as they do.
    grant_us: from sending the GRANTs until the last of them has reached the source.
    links: the different links among ``data``; depth: hops to the farthest receiver.
    """

    data: Wires
    forwarded: Wires
    grants: Wires
    grant_us: float
    links: tuple[LinkSpec, ...]
    depth: int


class Ways:
    """The ways through one cluster, each found once.

    edges: every wire that one of them has crossed so far.
    """

    def __init__(self, routes: Routes, link_of: Callable[[Edge], LinkSpec]) -> None:
        self.edges: list[Edge] = []
        self._routes = routes
        self._link_of = link_of
        self._index: dict[Edge, int] = {}
        self._known: dict[tuple[int, int], Way] = {}

    def way(self, source: int, destinations: int) -> Way:
        """That of a message from ``source`` to the ranks whose bits are set."""
        key = source, destinations & ~(1 << source)
        if key not in self._known:
            self._known[key] = self._find(*key)
        return self._known[key]

    def _find(self, source: int, destinations: int) -> Way:
        tree = self._routes.tree(source, destinations)
        paths = [self._routes.path(rank, source) for rank in bits(destinations)]
        grant_us = [
            sum(self._link_of(edge).frame_us(HOP_FRAME_BYTES) for edge in path) for path in paths
        ]
        return Way(
            self._wires(tree.edges),
            self._wires(edge for edge in tree.edges if edge[0] != source),
            self._wires(edge for path in paths for edge in path),
            max(grant_us, default=0.0),
            tuple(dict.fromkeys(self._link_of(edge) for edge in tree.edges)),
            tree.depth,
        )

    def _wires(self, edges: Iterator[Edge] | tuple[Edge, ...]) -> Wires:
        return np.array([self._number(edge) for edge in edges], np.intp)

    def _number(self, edge: Edge) -> int:
        if edge not in self._index:
            self._index[edge] = len(self.edges)
            self.edges.append(edge)
        return self._index[edge]


def bits(number: int) -> Iterator[int]:
    """The places of the bits that are set, lowest first."""
    while number:
        yield (number & -number).bit_length() - 1
        number &= number - 1
