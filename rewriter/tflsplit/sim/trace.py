# SPDX-License-Identifier: Apache-2.0
"""What caused what in a simulation: when messages were offered, asked for, sent, and complete.

    sender    posted ------------------- begun --- ... --- released
                                  granted |
    receiver          asked ------'                                    arrived

``why`` follows it backwards from the result.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

Channel = tuple[int, int]
"""(epoch, channel)."""


@dataclass
class Delivery:
    """A message on its way to one receiver; times in microseconds, None: not yet.

    asked_us: its RECV began; granted_us: the GRANT reached the sender.
    begun_us: its first frame was handed to the links; batch: ranks that it leaves for with it.
    released_us: the last one was; arrived_us: it was here.
    """

    asked_us: float = 0.0
    granted_us: float = 0.0
    begun_us: float | None = None
    batch: int = 0
    released_us: float | None = None
    arrived_us: float | None = None


Key = tuple[int, Channel, int]
"""(source, channel, receiver)."""


@dataclass(frozen=True)
class Wait:
    """A device that waited: for pieces (source, channel) to arrive, for channels to be released."""

    rank: int
    start_us: float
    end_us: float
    pieces: tuple[tuple[int, Channel], ...]
    pending: frozenset[Channel] = frozenset()


@dataclass
class Trace:
    """Everything of one simulation.

    posted: by (source, channel), when a SEND offered it.
    """

    posted: dict[tuple[int, Channel], float] = field(default_factory=dict)
    deliveries: dict[Key, Delivery] = field(default_factory=lambda: defaultdict(Delivery))
    waits: list[Wait] = field(default_factory=list)

    def begin(self, source: int, channel: Channel, batch: int, now_us: float) -> None:
        """The first frame of a message leaves for some ranks."""
        for delivery in self._of(source, channel, batch):
            delivery.begun_us, delivery.batch = now_us, batch

    def release(self, source: int, channel: Channel, batch: int, now_us: float) -> None:
        """The last one has."""
        for delivery in self._of(source, channel, batch):
            delivery.released_us = now_us

    def _of(self, source: int, channel: Channel, batch: int) -> list[Delivery]:
        ranks = [rank for rank in range(batch.bit_length()) if batch >> rank & 1]
        return [self.deliveries[source, channel, rank] for rank in ranks]
