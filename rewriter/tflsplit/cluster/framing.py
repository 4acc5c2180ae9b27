# SPDX-License-Identifier: Apache-2.0
"""Messages as frames: how many, and how many bytes they take on a wire (docs/wire_format.md).

COBS adds one byte to a frame and one more for every 254 bytes without a zero among them, which
depends on the contents; counted here is the most that it can be (``max_encoded_bytes``), at most
0.4 % too much.
"""

from __future__ import annotations

from functools import lru_cache

from tflsplit.wire.frames import OVERHEAD_BYTES, max_encoded_bytes, max_payload_bytes

HOP_FRAME_BYTES = max_encoded_bytes(OVERHEAD_BYTES)
"""Wire bytes of a frame without payload: GRANT, ACK, NAK, POLL, STATUS."""


def frame_bytes(payload_bytes: int) -> int:
    """Wire bytes of one frame, delimiters included."""
    return max_encoded_bytes(OVERHEAD_BYTES + payload_bytes)


@lru_cache(maxsize=65536)
def message_frames(payload_bytes: int, mtu_bytes: int) -> tuple[int, int]:
    """(frames, wire bytes of all of them) of a message; (0, 0) of an empty one."""
    most = max_payload_bytes(mtu_bytes)
    full, rest = divmod(payload_bytes, most)
    return full + (rest > 0), full * frame_bytes(most) + (frame_bytes(rest) if rest else 0)


@lru_cache(maxsize=65536)
def largest_frame_bytes(payload_bytes: int, mtu_bytes: int) -> int:
    """Wire bytes of the largest frame of a message."""
    return frame_bytes(min(payload_bytes, max_payload_bytes(mtu_bytes)))
