# SPDX-License-Identifier: Apache-2.0
"""What travels: frames, the slots that hold them, and their passage over one wire."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from tflsplit.cluster.framing import HOP_FRAME_BYTES, frame_bytes


class Kind(Enum):
    """Of frames (docs/wire_format.md); the first four live on one wire only."""

    ACK = "ACK"
    NAK = "NAK"
    POLL = "POLL"
    STATUS = "STATUS"
    DATA = "DATA"
    GRANT = "GRANT"
    DATAGRAM = "DATAGRAM"


@dataclass(frozen=True)
class Frame:
    """A sequenced frame on its way through the network.

    destinations: bit r: for rank r.
    channel: of the message, with its inference: (epoch, channel).
    size: payload bytes; of a GRANT, the size of the message that it asks for.
    """

    kind: Kind
    source: int
    destinations: int
    channel: tuple[int, int]
    size: int

    @property
    def wire_bytes(self) -> int:
        """On each wire."""
        return HOP_FRAME_BYTES if self.kind is Kind.GRANT else frame_bytes(self.size)


class Arrival(Protocol):
    """What a slot knows of the link that its frame came by.

    rx_free: the link's receive slots that are free.
    """

    rx_free: int

    @property
    def ring_next(self) -> object:
        """The link into which its ring traffic continues."""


class Slot:
    """A frame in a node's memory, until every link that it leaves by has its acknowledgement.

    origin: the link that it came by, whose credit it occupies; None: it began here.
    """

    __slots__ = ("frame", "origin", "references", "wire_bytes")

    def __init__(self, frame: Frame, origin: Arrival | None) -> None:
        self.frame = frame
        self.origin = origin
        self.references = 0
        self.wire_bytes = frame.wire_bytes


class Hop:
    """One passage over one wire.

    kind: of the frame; sequence: its number, or that of a POLL; ack, credit: as in the header.
    slot: the frame, None for one without payload; again: sent before.
    destinations: those behind this wire, to which the frame's are narrowed.
    held: numbers of what the sender keeps behind a gap.
    is_damaged: it arrives broken; nothing of it can be read.
    """

    __slots__ = (
        "ack", "again", "credit", "destinations", "held", "is_damaged", "kind", "sequence", "slot",
        "wire_bytes",
    )  # fmt: skip

    def __init__(
        self,
        kind: Kind,
        sequence: int,
        ack: int,
        credit: int,
        slot: Slot | None,
        again: bool,
        destinations: int,
        held: frozenset[int] = frozenset(),
    ) -> None:
        self.kind = kind
        self.sequence = sequence
        self.ack = ack
        self.credit = credit
        self.slot = slot
        self.again = again
        self.destinations = destinations
        self.held = held
        self.is_damaged = False
        self.wire_bytes = HOP_FRAME_BYTES if slot is None else slot.wire_bytes


def narrowed(frame: Frame, destinations: int) -> Frame:
    """The frame for those of its destinations that lie behind a wire."""
    rest = frame.destinations & destinations
    if rest == frame.destinations:
        return frame
    return Frame(frame.kind, frame.source, rest, frame.channel, frame.size)
