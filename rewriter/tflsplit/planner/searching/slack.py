# SPDX-License-Identifier: Apache-2.0
"""What a search leaves free, because whole plans come out larger than the sum of their units."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tflsplit.cluster import Cluster
from tflsplit.planner.cost.evaluate import Step
from tflsplit.planner.whole.planned import Planned

_CHANNEL_BYTES = 512
_USUAL_BYTES = 2048
_ROUNDING = 0.05
"""A device that lacks more flash than that was given too large a unit, not badly rounded shares."""


@dataclass(frozen=True)
class Slack:
    """What a search leaves free, because the whole plan came out larger than its units.

    chunk_bytes: weights of the largest unit that may be placed whole on one device.
    """

    chunk_bytes: int
    arena_bytes: int = 0
    flash_bytes: int = 0

    @classmethod
    def none(cls, cluster: Cluster) -> Slack:
        """Nothing is left free."""
        return cls(max(map(cluster.weights_room_bytes, range(cluster.world_size))))

    @classmethod
    def usual(cls, cluster: Cluster) -> Slack:
        """What plans near the limit turn out to lack, left free at once: it saves a search."""
        return replace(cls.none(cluster), flash_bytes=_USUAL_BYTES)

    def allows(self, step: Step) -> bool:
        """Whether a step may be taken."""
        is_chunk = step.pooled and step.option.split == "whole"
        return not is_chunk or step.pool_bytes <= self.chunk_bytes

    def after(self, planned: Planned, cluster: Cluster) -> Slack:
        """What to leave free next, after a plan that did not fit."""
        arena = max(planned.arena_short_bytes(cluster))
        short = planned.flash_short_bytes(cluster)
        rooms = [cluster.weights_room_bytes(rank) for rank in range(cluster.world_size)]
        crowded = [rank for rank, size in enumerate(short) if size > _ROUNDING * rooms[rank]]
        chunks = [
            step.pool_bytes
            for step in planned.steps
            if step.option.split == "whole"
            and any(step.cost.weights_bytes[rank] for rank in crowded)
        ]
        if chunks:
            return replace(self, arena_bytes=self.arena_bytes + arena, chunk_bytes=max(chunks) - 1)
        return replace(
            self,
            arena_bytes=self.arena_bytes + arena,
            flash_bytes=self.flash_bytes + max(short) + (_CHANNEL_BYTES if any(short) else 0),
        )
