# SPDX-License-Identifier: Apache-2.0
"""The device graphs of a whole plan and what they need, rank by rank, as they are asked for.

Nearly all plans that a search compares lose, and one device is enough to say so::

    plan --> layouts --> rank 5: its graph, its arena: above the best; the others are never made
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from tflsplit.cluster import Cluster
from tflsplit.ir import Graph
from tflsplit.memory.arena import ArenaEstimate, predict_arena
from tflsplit.plan.layout import Layouts, lay_out
from tflsplit.plan.spec import Plan
from tflsplit.plan.transfers import Schedule, schedule
from tflsplit.planner.memories import kernels_of
from tflsplit.split.devices import DeviceGraph
from tflsplit.split.lower import with_offsets, with_own_kernels
from tflsplit.split.partition import partition
from tflsplit.wire.checking import unchecked


class Lowering:
    """Of one plan for a cluster; everything is found once.

    unpacked: device graphs that the plan was lowered to already (``lower.unpacked``).
    fullest: the rank that probably needs most; it is looked at first.
    """

    def __init__(
        self,
        graph: Graph,
        plan: Plan,
        cluster: Cluster,
        unpacked: Sequence[DeviceGraph] = (),
        fullest: int = 0,
    ) -> None:
        self._graph, self._plan, self._cluster = graph, plan, cluster
        self._unpacked = dict(enumerate(unpacked))
        self._drafts: dict[int, DeviceGraph] = {}
        self._arenas: dict[int, ArenaEstimate] = {}
        self._order = sorted(range(plan.world_size), key=lambda rank: rank != fullest)

    @cached_property
    def _laid_out(self) -> tuple[Layouts, Schedule]:
        layouts = lay_out(self._graph, self._plan)
        return layouts, schedule(layouts)

    def unpacked(self, rank: int) -> DeviceGraph:
        """The device graph before constants are packed."""
        if rank not in self._unpacked:
            parts = partition(self._graph, self._plan, None, (rank,), *self._laid_out)
            with unchecked():  # what is written is made again, and checked
                (self._unpacked[rank],) = with_own_kernels(parts, self._plan)
        return self._unpacked[rank]

    def draft(self, rank: int) -> DeviceGraph:
        """The same behind it, but for the contents of constants."""
        if rank not in self._drafts:
            unpacked = self.unpacked(rank)
            with unchecked():
                rooms = self._plan.arena_rooms
                (self._drafts[rank],) = with_offsets((unpacked,), draft=True, rooms=rooms)
        return self._drafts[rank]

    def arena(self, rank: int) -> ArenaEstimate:
        """Predicted for the device's kernels."""
        if rank not in self._arenas:
            device = self._cluster.devices[rank]
            graph = self.draft(rank).graph
            self._arenas[rank] = predict_arena(graph, device.abi, kernels_of(device))
        return self._arenas[rank]

    def is_above(self, most_bytes: float) -> bool:
        """Whether some device needs a larger arena; no more are looked at than it takes to say."""
        if most_bytes == float("inf"):
            return False
        if self.known_bytes > most_bytes:
            return True
        return any(self.arena(rank).required_bytes > most_bytes for rank in self._order)

    @property
    def known_bytes(self) -> int:
        """The largest arena of the devices that were looked at."""
        return max((arena.required_bytes for arena in self._arenas.values()), default=0)
