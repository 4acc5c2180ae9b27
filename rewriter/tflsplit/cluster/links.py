# SPDX-License-Identifier: Apache-2.0
"""What a wire costs: the numbers of one link."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class LinkKind(Enum):
    """What the bytes travel on; sets the defaults of ``LINK_DEFAULTS``."""

    UART = "uart"
    SPI = "spi"
    ETHERNET = "ethernet"
    USB = "usb"


class Duplex(Enum):
    """Whether both directions may carry bytes at the same time."""

    FULL = "full"
    HALF = "half"


class FlowControl(Enum):
    """Whether a UART's receiver can stop its sender, by a wire of its own each way."""

    NONE = "none"
    RTS_CTS = "rts_cts"


class Medium(Enum):
    """What the links of a cluster have in common.

    POINT_TO_POINT: nothing; every pair of neighbours has a wire of its own.
    SHARED: one medium carries everything, one frame at a time (in each direction if full duplex):
        an SPI bus with select lines.
    SWITCHED: every device has one port to a switch, and its bytes share that port: Ethernet.
    """

    POINT_TO_POINT = "point_to_point"
    SHARED = "shared"
    SWITCHED = "switched"


@dataclass(frozen=True)
class LinkSpec:
    """One link; the same in both directions.

    bit_rate: bits per second on the wire (a UART's baud, an SPI clock).
    bits_per_byte: wire bits that carry one byte: a UART's start and stop bit make it 10.
    frame_overhead_bytes: wire bytes around each of our frames that we do not count ourselves:
        Ethernet's preamble, headers and gap.
    frame_overhead_us: pause between two frames: select lines, ready lines, interrupts.
    step_overhead_us: the sum of what one exchange costs beside its bytes: posting, granting,
        noticing; once per SEND-RECV step, not per frame.
    """

    kind: LinkKind = LinkKind.UART
    bit_rate: int = 6_000_000
    bits_per_byte: float = 10.0
    frame_overhead_bytes: int = 0
    frame_overhead_us: float = 0.0
    step_overhead_us: float = 0.0
    duplex: Duplex = Duplex.FULL

    @property
    def byte_us(self) -> float:
        """Time of one byte on the wire."""
        return self.bits_per_byte * 1e6 / self.bit_rate

    def frame_us(self, wire_bytes: int) -> float:
        """Time that a frame of ``wire_bytes`` (as ``framing`` counts them) occupies the wire."""
        return (wire_bytes + self.frame_overhead_bytes) * self.byte_us + self.frame_overhead_us


_STEP_US = 20.0

LINK_DEFAULTS: dict[LinkKind, LinkSpec] = {
    # The core keeps a UART busy without gaps: 93.8 % of the line rate at MTU 512, which is what
    # header, CRC and COBS leave of it (docs/wire_format.md, "Sizes and rates").
    LinkKind.UART: LinkSpec(LinkKind.UART, step_overhead_us=_STEP_US),
    # The stream of split_port/spi_stream.h: blocks of 128 bytes carry 125, so 8 * 128 / 125 bits a
    # byte; 4.5 us pass between two blocks (slave's interrupt 0.5, copying and arming 2, master's
    # interrupt 0.5, copying and starting 1.5: estimates), 4.14 times for the 517 bytes of a full
    # frame, MTU 512, on the wire. Short frames share blocks, or pad one: much the same. A lone box
    # also waits for blocks that are under way and pads its last one: 118 us beside its bytes on the
    # simulated bus (tflm_app/test/test_spi), of which the GRANT's frame is 27.
    LinkKind.SPI: LinkSpec(
        LinkKind.SPI, 30_000_000, 8.192, frame_overhead_us=18.6, step_overhead_us=90.0
    ),
    # 8 preamble + 14 header + 4 FCS + 12 gap (IEEE 802.3), and of docs/ethernet.md 6 header + 4
    # receiver; a frame without payload is filled up to 84 bytes in all, 53 more than its 31 (which
    # leaves 5 too many to long ones). A full frame of 1,024 bytes takes 87 us of the wire, longer
    # than a Cortex-M7 of 600 MHz needs to send one and to receive one (37 instructions a byte,
    # `python -m tests.core.measure_poll`). The pause is for a controller's descriptors and
    # interrupts: an estimate.
    LinkKind.ETHERNET: LinkSpec(
        LinkKind.ETHERNET, 100_000_000, 8.0, 53, frame_overhead_us=5.0, step_overhead_us=_STEP_US
    ),
    # Full speed carries at most 19 bulk transactions of 64 bytes a millisecond, 1,216,000 bytes/s
    # (USB 2.0, table 5-9); of the 12 Mbit/s that is 9.87 bits a byte.
    LinkKind.USB: LinkSpec(LinkKind.USB, 12_000_000, 9.868, step_overhead_us=_STEP_US),
}
"""By kind.  ``step_overhead_us`` but SPI's is an estimate (two polls and the copying of a box's
description); ``tflsplit calibrate`` replaces it."""

USB_SPEEDS: dict[str, LinkSpec] = {
    "full": LINK_DEFAULTS[LinkKind.USB],
    # High speed carries at most 13 bulk transactions of 512 bytes a microframe of 125 us,
    # 53,248,000 bytes/s (USB 2.0, table 5-10); of the 480 Mbit/s that is 9.014 bits a byte.
    "high": LinkSpec(LinkKind.USB, 480_000_000, 9.014, step_overhead_us=_STEP_US),
}
"""A host's link by the speed of its device's USB; both are the most that the bus can carry."""
