# SPDX-License-Identifier: Apache-2.0
"""The device graphs of a whole plan and what they need, rank by rank, as they are asked for.

Nearly all plans that a search compares lose, and one device is enough to say so::

    plan --> layouts --> rank 5: its graph, its arena: above the best; the others are never made
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

from tflsplit.cluster import Cluster
from tflsplit.ir import Graph
from tflsplit.memory.arena import ArenaEstimate, least_arena_bytes, predict_arena
from tflsplit.memory.better import Head, plan_offline
from tflsplit.passes.pack_constants import pack_constants
from tflsplit.plan.layout import Layouts, lay_out
from tflsplit.plan.spec import Plan
from tflsplit.plan.transfers import Schedule, schedule
from tflsplit.planner.cost.memories import kernels_of
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
        self._packed: dict[int, tuple[Graph, Head]] = {}
        self._floors: dict[int, int] = {}
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
                if rooms:
                    (self._drafts[rank],) = with_offsets((unpacked,), draft=True, rooms=rooms)
                else:
                    packed, head = self._heads(rank)
                    graph = plan_offline(packed, checked=False, head=head)
                    self._drafts[rank] = replace(unpacked, graph=graph)
        return self._drafts[rank]

    def _heads(self, rank: int) -> tuple[Graph, Head]:
        if rank not in self._packed:
            packed = pack_constants(self.unpacked(rank).graph, sizes_only=True)
            self._packed[rank] = packed, Head(packed)
        return self._packed[rank]

    def _floor(self, rank: int) -> int:
        """Its arena is no smaller; that is known before anything is placed."""
        if rank in self._arenas or self._plan.arena_rooms:
            return self.arena(rank).required_bytes
        if rank not in self._floors:
            device = self._cluster.devices[rank]
            kernels = kernels_of(device)
            with unchecked():
                packed, head = self._heads(rank)
            least = head.least_bytes(kernels)
            self._floors[rank] = least_arena_bytes(packed, least, device.abi, kernels)
        return self._floors[rank]

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
        return any(
            self._floor(rank) > most_bytes or self.arena(rank).required_bytes > most_bytes
            for rank in self._order
        )

    @property
    def known_bytes(self) -> int:
        """What the devices that were looked at need, the fullest of them, at least."""
        known = [arena.required_bytes for arena in self._arenas.values()]
        return max([0, *known, *self._floors.values()])
