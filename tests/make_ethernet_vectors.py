# SPDX-License-Identifier: Apache-2.0
"""Writes tests/ethernet_vectors.json, which tests docs/ethernet.md in Python and in C++.

As ``make_wire_vectors.py``: a third, deliberately plain implementation.

    python -m tests.make_ethernet_vectors
"""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path
from typing import Any

from tests.make_wire_vectors import TYPES, raw_frame

TABLE = Path(__file__).with_name("ethernet_vectors.json")
PLAN = bytes.fromhex("a1b2c3")


def link_frame(kind: str, payload: bytes = b"", **fields: int) -> bytes:
    full = {"type": TYPES[kind], "sequence": 0, "ack": 0, "credit": 0, "source": 0, "channel": 0,
            "destinations": 0, "offset": 0, "epoch": 0} | fields  # fmt: skip
    raw = raw_frame(full, payload)
    return raw + struct.pack("<I", zlib.crc32(raw))


def address(first: int, last: int) -> bytes:
    return bytes([first, 0x54]) + PLAN + bytes([last])


def ethernet(to: bytes, sender: int, raw: bytes, receivers: list[bytes], version: int = 1) -> bytes:
    head = to + address(2, sender) + b"\x88\xb5"
    head += struct.pack("<BBBBH", version, sender, len(receivers), 0, len(raw))
    whole = head + raw + b"".join(receivers)
    return whole + bytes(max(0, 60 - len(whole)))


def case(
    name: str,
    rank: int,
    world_size: int,
    written: list[tuple[int, bytes]],
    frames: list[bytes],
    opened: list[tuple[int, bool, bytes | None]],
) -> dict[str, Any]:
    """opened: (by which rank, whether the host is behind it, the frame as it was written to it)."""
    return {
        "name": name, "rank": rank, "world_size": world_size, "plan_hex": PLAN.hex(),
        "written": [{"to": to, "frame_hex": raw.hex()} for to, raw in written],
        "ethernet_hex": [frame.hex() for frame in frames],
        "opened": [
            {"rank": by, "has_host": host, "frame_hex": "" if raw is None else raw.hex()}
            for by, host, raw in opened
        ],
    }  # fmt: skip


def one_receiver() -> list[dict[str, Any]]:
    grant = link_frame("grant", sequence=3, ack=7, credit=4, source=2, channel=9, destinations=1,
                       offset=4096, epoch=5)  # fmt: skip
    data = link_frame("data", bytes(range(100)), sequence=4, ack=7, credit=3, source=2, channel=1,
                      destinations=2, offset=200, epoch=5)  # fmt: skip
    to_0 = ethernet(address(2, 0), 2, grant, [b"\0\0\0\0"])
    to_1 = ethernet(address(2, 1), 2, data, [b"\1\0\0\0"])
    longest = link_frame("data", bytes(484), sequence=255, source=0, destinations=2)
    return [
        case("filled up to 60 bytes", 2, 3, [(0, grant)], [to_0],
             [(0, True, grant), (1, False, None)]),
        case("100 bytes, then a frame to another", 2, 3, [(1, data), (0, grant)], [to_1, to_0],
             [(1, False, data), (0, False, grant)]),
        case("the largest frame of MTU 512, all zeros", 0, 2, [(1, longest)],
             [ethernet(address(2, 1), 0, longest, [b"\1\0\0\0"])], [(1, False, longest)]),
    ]  # fmt: skip


def shared(rank: int, to: dict[int, tuple[int, int, int, int]]) -> tuple[Any, bytes, list[bytes]]:
    """to: by receiver, sequence, ack, credit and destinations of its link's frame."""
    fields = {"source": rank, "channel": 40, "offset": 968, "epoch": 65535}
    payload = bytes((7 * i) % 256 for i in range(300))
    written = [
        (peer, link_frame("data", payload, sequence=s, ack=a, credit=c, destinations=d, **fields))
        for peer, (s, a, c, d) in to.items()
    ]
    union = 0
    for *_, destinations in to.values():
        union |= destinations
    carried = link_frame("data", payload, destinations=union, **fields)
    return written, carried, [bytes([peer, *hop[:3]]) for peer, hop in to.items()]


def many_receivers() -> list[dict[str, Any]]:
    # Rank 0 is the gateway: what goes to it goes to the host, 4, as well.
    all_others = {0: (1, 2, 3, 0x11), 1: (250, 0, 4, 0x2), 2: (9, 9, 0, 0x4)}
    written, carried, receivers = shared(3, all_others)
    group = ethernet(address(3, 255), 3, carried, receivers)
    two = {1: (1, 1, 1, 0x2), 6: (2, 2, 2, 0x40)}
    apart, both, entries = shared(0, two)
    opened: list[tuple[int, bool, bytes | None]] = [
        (0, True, written[0][1]), (1, False, written[1][1]), (2, False, written[2][1]),
    ]  # fmt: skip
    broken = bytearray(group)
    broken[60] ^= 1
    return [
        case("to all others, once", 3, 4, written, [group], opened),
        case("to two of seven, each by its address", 0, 8, apart,
             [ethernet(address(2, peer), 0, both, entries) for peer in two],
             [(1, False, apart[0][1]), (6, False, apart[1][1])]),
        case("a byte of a shared frame is wrong", 3, 4, [], [bytes(broken)], [(1, False, None)]),
    ]  # fmt: skip


def strangers() -> list[dict[str, Any]]:
    raw = link_frame("ack", source=1, ack=1, credit=4)
    good = ethernet(address(2, 0), 1, raw, [b"\0\0\0\0"])
    wrong = {
        "to another": b"\x02" + good[1:5] + b"\x02" + good[6:],
        "to everybody": b"\xff" * 6 + good[6:],
        "another type": good[:12] + b"\x08\x00" + good[14:],
        "another version": good[:14] + b"\x02" + good[15:],
        "another plan's sender": good[:8] + b"\xff" + good[9:],
        "a sender beyond the plan's": good[:11] + b"\x03" + good[12:15] + b"\x03" + good[16:],
        "from oneself": good[:11] + b"\x00" + good[12:15] + b"\x00" + good[16:],
        "no receivers": good[:16] + b"\x00" + good[17:],
        "sixteen receivers": good[:16] + b"\x10" + good[17:],
        "a frame shorter than any": good[:18] + b"\x1b\x00" + good[20:],
        "longer than what came": good[:18] + b"\xff\x00" + good[20:],
        "longer than the MTU": good[:18] + b"\x01\x02" + good[20:] + bytes(600),
        "receivers beyond the end": good[:16] + b"\x0f" + good[17:],
        "cut": good[:59],
    }
    seen = case("as it should be", 1, 3, [(0, raw)], [good], [(0, False, raw)])
    return [seen, *(case(name, 1, 3, [], [bad], [(0, False, None)]) for name, bad in wrong.items())]


def main() -> None:
    table = [*one_receiver(), *many_receivers(), *strangers()]
    TABLE.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
