# SPDX-License-Identifier: Apache-2.0
"""Writes tests/wire_vectors.json, the table that tests the wire format in Python and in C++.

The frames are built here by a third, deliberately plain implementation (struct, zlib, a COBS
straight from the paper: Cheshire and Baker, "Consistent Overhead Byte Stuffing", 1999), so that
neither of the two under test is its own judge. Deterministic: running it again changes nothing.

    python tests/make_wire_vectors.py
"""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path
from typing import Any

TABLE = Path(__file__).with_name("wire_vectors.json")
TYPES = {
    "hello": 1, "welcome": 2, "refuse": 3, "ack": 4, "nak": 5, "poll": 6, "status": 7,
    "data": 16, "grant": 17, "datagram": 18, "fault": 19,
}  # fmt: skip


def cobs(data: bytes) -> bytes:
    out = bytearray()
    rest = data + b"\0"  # the zero that every block but a full one stands for
    while rest:
        run = rest[:254].partition(b"\0")[0]
        if len(run) == 254:
            out += b"\xff" + run
            rest = rest[254:]
            if rest == b"\0":  # the data ended with a full block: nothing is left to say
                break
        else:
            out += bytes([len(run) + 1]) + run
            rest = rest[len(run) + 1 :]
    return bytes(out)


def raw_frame(fields: dict[str, int], payload: bytes, version: int = 2) -> bytes:
    header = struct.pack(
        "<BBBBBBHQIHH", version, fields["type"], fields["sequence"], fields["ack"],
        fields["credit"], fields["source"], fields["channel"], fields["destinations"],
        fields["offset"], len(payload), fields["epoch"],
    )  # fmt: skip
    return header + payload


def sealed(raw: bytes) -> bytes:
    return b"\0" + cobs(raw + struct.pack("<I", zlib.crc32(raw))) + b"\0"


def frame(name: str, kind: str, payload: bytes = b"", **fields: int) -> dict[str, Any]:
    full = {"type": TYPES[kind], "sequence": 0, "ack": 0, "credit": 0, "source": 0, "channel": 0,
            "destinations": 0, "offset": 0, "epoch": 0} | fields  # fmt: skip
    # 64-bit numbers as text: not every JSON reader keeps them.
    shown = {key: value for key, value in full.items() if key != "destinations"}
    return {
        "name": name,
        **shown,
        "destinations_hex": f"{full['destinations']:016x}",
        "payload_hex": payload.hex(),
        "wire_hex": sealed(raw_frame(full, payload)).hex(),
    }


def payload_whose_crc(has: str, size: int) -> bytes:
    """A payload without zeros whose DATA frame's CRC has a zero byte at the end, or inside."""
    fields = {"type": 16, "sequence": 1, "ack": 2, "credit": 3, "source": 4, "channel": 5,
              "destinations": 6, "offset": 7, "epoch": 8}  # fmt: skip
    for number in range(1, 1 << 20):
        payload = bytes([1 + number % 255, 1 + number // 255 % 255, 1 + number // 65025]) * size
        crc = struct.pack("<I", zlib.crc32(raw_frame(fields, payload)))
        if (crc[3] == 0) if has == "end" else (crc[1] == 0 and crc[2] == 0):
            return payload
    raise AssertionError("no such payload")


def hello_payload(boot: int, echo_boot: int, session: int, echo_session: int) -> bytes:
    return struct.pack("<IIHHHBB", boot, echo_boot, session, echo_session, 512, 8, 9) + bytes(
        range(0xF0, 0x100)
    )


def frames() -> list[dict[str, Any]]:
    crc_case = {"sequence": 1, "ack": 2, "credit": 3, "source": 4, "channel": 5,
                "destinations": 6, "offset": 7, "epoch": 8}  # fmt: skip
    some = {"source": 3, "destinations": 0x8000000000000005, "channel": 0x1234, "epoch": 0xFFFE,
            "offset": 0x00ABCDEF, "sequence": 200, "ack": 17, "credit": 4}  # fmt: skip
    ones = {"source": 255, "destinations": 2**64 - 1, "channel": 65535, "epoch": 65535,
            "offset": 2**32 - 1, "sequence": 255, "ack": 255, "credit": 255}  # fmt: skip
    result = [
        frame("hello", "hello", hello_payload(0xDEADBEEF, 0, 1, 0), source=2),
        frame("welcome", "welcome", hello_payload(7, 0xDEADBEEF, 65535, 1), source=1, credit=4),
        frame("refuse", "refuse", b"\x02", source=6),
        frame("ack", "ack", source=1, ack=250, credit=15),
        frame("nak", "nak", source=1, ack=3, credit=2),
        frame("nak_some_held", "nak", source=1, ack=253, credit=4, offset=0b1010),
        frame("poll", "poll", source=1, sequence=77),
        frame("status", "status", source=2, sequence=77, ack=9, credit=0),
        frame("grant", "grant", source=5, destinations=1, channel=40, offset=1234567, epoch=2),
        frame("datagram", "datagram", b"start", source=8, destinations=0xFF, channel=1),
        frame("datagram_round", "datagram", b"?", source=8, destinations=6, channel=1, offset=3),
        frame("fault", "fault", bytes([17, 3, 2, 0]), source=2, destinations=0xFB,
              channel=65535, epoch=9),
        frame("data_some", "data", bytes(range(256)), **some),
        frame("data_ones", "data", b"\xff" * 8, **ones),
        frame("data_zeros", "data", bytes(484)),
        frame("data_largest", "data", bytes(i * 31 % 251 for i in range(996)), **some),
        frame("data_crc_ends_in_zero", "data", payload_whose_crc("end", 40), **crc_case),
        frame("data_crc_holds_zeros", "data", payload_whose_crc("inside", 3), **crc_case),
    ]  # fmt: skip
    # Around the longest COBS block. Channel 1, epoch 0x0101: the last zero of the header lies in
    # the offset or length, so the runs begin at different places.
    sizes = (1, 225, 247, 248, 249, 250, 251, 252, 253, 254, 255, 503, 504, 505, 506, 507)
    run = {"source": 1, "destinations": 4, "channel": 1, "epoch": 0x0101}
    result += [
        frame(f"data_run_{size}", "data", bytes(1 + i % 255 for i in range(size)), **run)
        for size in sizes
    ]
    return result


def streams(table: list[dict[str, Any]]) -> list[dict[str, Any]]:
    wire = {one["name"]: bytes.fromhex(one["wire_hex"]) for one in table}
    ack, poll, data = wire["ack"], wire["poll"], wire["data_run_255"]
    flipped = bytearray(data)
    flipped[100] ^= 0x40
    blank = dict.fromkeys(
        ("sequence", "ack", "credit", "channel", "destinations", "offset", "epoch"), 0
    )
    stranger = sealed(raw_frame({**blank, "type": 1, "source": 5}, b"?", version=1))

    def case(name: str, stream: bytes, *names: str, **errors: int) -> dict[str, Any]:
        every = {"crc_errors": 0, "cobs_errors": 0, "too_long": 0, "too_short": 0, **errors}
        return {"name": name, "mtu_bytes": 512, "stream_hex": stream.hex(),
                "frames": list(names), **every}  # fmt: skip

    return [
        case("two_frames", ack + poll, "ack", "poll"),
        case("shared_delimiter", ack[:-1] + poll, "ack", "poll"),
        case("no_leading_delimiter", ack[1:], "ack"),
        case("idle_zeros", bytes(50) + ack + bytes(50), "ack"),
        case("starts_in_mid_frame", data[40:] + ack, "ack", crc_errors=0, cobs_errors=1),
        case("torn_frame", data[:200] + ack, "ack", cobs_errors=1),
        case("flipped_bit", bytes(flipped) + ack, "ack", crc_errors=1),
        case("lost_byte", data[:150] + data[151:] + ack, "ack", cobs_errors=1),
        case("lost_delimiters", ack[:-1] + poll[1:] + data, "data_run_255", crc_errors=1),
        case("too_short", b"\0\x03\x01\x02\0" + ack, "ack", too_short=1),
        case("frame_longer_than_mtu", wire["data_largest"] + ack, "ack", too_long=1),
        case("endless_garbage", b"\x55" * 3000 + ack, "ack", too_long=1),
        case("only_code_bytes", b"\0" + b"\x01" * 40 + b"\0" + ack, "ack", crc_errors=1),
        case("other_version_is_a_whole_frame", stranger + ack, "(version)", "ack"),
    ]


def build() -> dict[str, Any]:
    table = frames()
    return {"protocol_version": 1, "frames": table, "streams": streams(table)}


def main() -> None:
    TABLE.write_text(json.dumps(build(), indent=1) + "\n")


if __name__ == "__main__":
    main()
