# SPDX-License-Identifier: Apache-2.0
"""How large a port's ring buffers have to be, and the link layer that takes least RAM.

What arrives while nobody looks is at most what the credit allowed, so the receiving ring holds that
and a few frames of the link's own (docs/wire_format.md, "Credits"): then no byte is ever lost,
however long a kernel keeps the device.  The sending ring is filled again by every poll: twice what
leaves between two polls keeps the wire busy.  Where nothing polls while a kernel runs, it is all
that goes on then, and stays as large as it was.
"""

from __future__ import annotations

from tflsplit.wire.frames import max_encoded_bytes

MIN_RX_SLOTS = 2
SPARE_RX_BYTES = 256
"""For POLL, STATUS, ACK: they need no credit."""
MIN_TX_BYTES, MAX_TX_BYTES = 256, 1024
LEAN_MTU_BYTES = 256
"""The smallest frame: 88.0 % of the line rate instead of 93.8 over one wire, 87.5 instead of 93.5
broadcast around a ring of 8 (tests/core/goodput_test.cc), for half the frame buffers.  Fewer slots
would save 512 bytes more and cost the broadcast another 12 %."""


def ring_bytes(
    given: tuple[int | None, int | None],
    mtu_bytes: int,
    rx_slots: int,
    byte_us: float,
    poll_us: float,
) -> tuple[int, int]:
    """The receiving and the sending ring of one link.

    given: as somebody wants them; None: by the rules below.
    byte_us: of a byte on the wire; poll_us: between two polls while a kernel runs, 0: none.
    """
    receiving, sending = given
    return (
        rx_ring_bytes(mtu_bytes, rx_slots) if receiving is None else receiving,
        tx_ring_bytes(byte_us, poll_us) if sending is None else sending,
    )


def rx_ring_bytes(mtu_bytes: int, rx_slots: int) -> int:
    """Of a receiving ring that never overflows on a wire without faults."""
    return rx_slots * max_encoded_bytes(mtu_bytes) + SPARE_RX_BYTES


def slots_of_ring(ring_bytes: int, mtu_bytes: int) -> int:
    """Frames for which a receiving ring of a given size has room; fewer than 2 are no link."""
    return max(0, ring_bytes - SPARE_RX_BYTES) // max_encoded_bytes(mtu_bytes)


def tx_ring_bytes(byte_us: float, poll_us: float) -> int:
    """Of a sending ring.

    byte_us: of one byte on the wire; poll_us: between two polls while a kernel runs, 0: none.
    """
    if poll_us <= 0:
        return MAX_TX_BYTES
    words = -(-2 * poll_us // (4 * byte_us))
    return int(min(MAX_TX_BYTES, max(MIN_TX_BYTES, 4 * words)))
