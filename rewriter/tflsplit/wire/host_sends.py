# SPDX-License-Identifier: Apache-2.0
"""In which order a host's messages leave over each of its links."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tflsplit.wire.topology import FIRST_LANE


@dataclass
class HostSend:
    """A message to ranks behind one link.

    epoch: of the inference that it is for.
    remaining, granted: those ranks, and those of them that asked; offset: what has left, in bytes.
    """

    epoch: int
    channel: int
    data: bytes
    remaining: int
    link: int = 0
    lane: int = 0
    granted: int = 0
    offset: int = 0


def next_to_serve(sends: Iterable[HostSend], link: int, last_lane: int) -> HostSend | None:
    """Of each lane the message that has begun, or the first that can; of these the next lane's.

    FIRST_LANE's turn comes before any other's, and all of an inference's messages come before those
    of the next.

    A message is sent to all once all are ready: a host's crosses its wire only once.  A host's
    receivers never wait for each other's copy of its own message (they are the input's shards),
    so waiting for all cannot lock up.
    """
    heads: dict[int, HostSend] = {}
    mine = [send for send in sends if send.link == link]  # as posted: the older inference's first
    for send in mine:
        ready = send.epoch == mine[0].epoch and send.granted == send.remaining
        if ready and (send.offset or send.lane not in heads):
            heads[send.lane] = send
    if not heads:
        return None
    turns = {lane: (lane > FIRST_LANE, lane <= last_lane, lane) for lane in heads}
    return heads[min(heads, key=turns.__getitem__)]
