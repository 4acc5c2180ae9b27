# SPDX-License-Identifier: Apache-2.0
"""Writes tests/deploy_vectors.json, the table that tests docs/deployment.md in Python and in C++.

Bytes are put together here from the offsets in the document's tables, so that neither of the two
implementations under test is its own judge. Deterministic: running it again changes nothing.

    python -m tests.make_deploy_vectors
"""

from __future__ import annotations

import hashlib
import hmac
import json
import zlib
from pathlib import Path
from typing import Any

from tests.make_wire_vectors import raw_frame, sealed

TABLE = Path(__file__).with_name("deploy_vectors.json")
HOST = 255
Layout = dict[str, tuple[int, int]]
"""Field -> (offset, bytes)."""

IDENTITY: Layout = {
    "id": (0, 16), "board": (16, 16), "boot": (32, 4), "arrived": (36, 1), "ports": (37, 1),
    "state": (38, 1), "flags": (39, 1), "store_bytes": (40, 4), "work_bytes": (44, 4),
    "baud": (48, 4), "mtu_bytes": (52, 2), "slices": (54, 1), "cluster": (55, 1),
    "deploy": (56, 1), "slice": (57, 1), "deployment": (58, 16), "fingerprint": (74, 16),
    "rank": (90, 1), "world_size": (91, 1), "rx_ring_bytes": (92, 2), "tx_ring_bytes": (94, 2),
}  # fmt: skip
ADOPT: Layout = {
    "session": (0, 16), "rank": (16, 1), "world_size": (17, 1), "node_count": (18, 1),
    "link_count": (19, 1), "mtu_bytes": (20, 2), "rx_slots": (22, 1), "tx_slots": (23, 1),
    "poll_interval_us": (24, 4), "peer_timeout_us": (28, 4),
}  # fmt: skip
SESSION: dict[str, tuple[int, int, Layout]] = {
    "offer": (1, 88, {"image_bytes": (4, 4), "deployment": (8, 16), "sha256": (24, 32),
                      "hmac": (56, 32)}),
    "commit": (2, 20, {"deployment": (4, 16)}),
    "run": (3, 20, {"slice": (2, 1), "deployment": (4, 16)}),
    "accepted": (129, 28, {"state": (2, 1), "chunk_bytes": (4, 4), "received_bytes": (8, 4),
                           "deployment": (12, 16)}),
    "committed": (130, 20, {"deployment": (4, 16)}),
    "running": (131, 20, {"slice": (2, 1), "deployment": (4, 16)}),
    "refused": (255, 8, {"code": (2, 1), "about": (3, 1), "number": (4, 4)}),
}  # fmt: skip
RECORD: Layout = {
    "version": (4, 2), "state": (6, 2), "sequence": (8, 4), "image_bytes": (12, 4),
    "deployment": (16, 16), "sha256": (32, 32),
}  # fmt: skip
SLICE: Layout = {
    "config_bytes": (2, 2), "model_bytes": (4, 4), "rank": (8, 1), "world_size": (9, 1),
    "node_count": (10, 1), "link_count": (11, 1), "mtu_bytes": (12, 2), "rx_slots": (14, 1),
    "tx_slots": (15, 1), "send_slots": (16, 1), "recv_slots": (17, 1), "grant_slots": (18, 1),
    "flags": (19, 1), "hello_interval_us": (20, 4), "poll_interval_us": (24, 4),
    "poll_interval_max_us": (28, 4), "peer_timeout_us": (32, 4), "multicast_hold_us": (36, 4),
    "timeout_us": (40, 4), "background_poll_us": (44, 4), "arena_bytes": (48, 4),
    "required_arena_bytes": (52, 4), "baud": (56, 4), "mark_bytes": (60, 2),
    "fingerprint": (64, 16), "board": (80, 16),
}  # fmt: skip
KINDS = {"identify": 1, "adopt": 2, "run": 3, "echo": 4, "identity": 129, "adopted": 130,
         "running": 131, "echoed": 132, "refused": 255}  # fmt: skip


def placed(size: int, layout: Layout, fields: dict[str, Any]) -> bytearray:
    """The fields at their places: numbers, text, or bytes as hexadecimal digits."""
    out = bytearray(size)
    for name, value in fields.items():
        offset, width = layout[name]
        if isinstance(value, int):
            value = value.to_bytes(width, "little")
        elif name == "board":
            value = value.encode().ljust(16, b"\0")
        else:
            value = bytes.fromhex(value)
        assert len(value) == width, name
        out[offset : offset + width] = value
    return out


def survey(kind: int, out: bytes, back: bytes, h: int, body: bytes = b"", token: int = 0x01020304,
           version: int = 1) -> bytes:  # fmt: skip
    return (bytes([version, kind, len(out), h]) + token.to_bytes(4, "little") + out
            + back.ljust(len(out), b"\0") + body)  # fmt: skip


def framed(payload: bytes) -> str:
    fields = {"type": 32, "sequence": 0, "ack": 0, "credit": 0, "source": 255, "channel": 0xFFFF,
              "destinations": 0, "offset": 0, "epoch": 0}  # fmt: skip
    return sealed(raw_frame(fields, payload)).hex()


IDENTITY_FIELDS: dict[str, Any] = {
    "id": "00112233445566778899aabbccddeeff", "board": "teensy41", "boot": 0xDEADBEEF,
    "arrived": 1, "ports": 2, "state": 1, "flags": 0b0101, "store_bytes": 3_500_000,
    "work_bytes": 900_000, "baud": 6_000_000, "mtu_bytes": 1024, "cluster": 4,
    "deploy": 2, "deployment": "0f" * 16, "fingerprint": "a5" * 16, "rank": 3, "world_size": 8,
    "slices": 9, "slice": 0, "rx_ring_bytes": 4096, "tx_ring_bytes": 65535,
}  # fmt: skip
BLANK_FIELDS: dict[str, Any] = {
    "board": "sixteen_letters_", "boot": 1, "arrived": 255, "ports": 16, "flags": 0b10010,
    "work_bytes": 65536, "mtu_bytes": 512, "cluster": 4, "deploy": 2, "rank": 255, "slice": 255,
}  # fmt: skip
ADOPT_FIELDS: dict[str, Any] = {
    "session": "000102030405060708090a0b0c0d0e0f", "rank": 2, "world_size": 8, "node_count": 9,
    "link_count": 2, "mtu_bytes": 512, "rx_slots": 4, "tx_slots": 4, "poll_interval_us": 20_000,
    "peer_timeout_us": 10_000_000,
}  # fmt: skip
ADOPT_LINKS = [[0, 1, 1, 0x103], [1, 3, 0, 0xF8]]
"""Port, peer, ring_next, destinations."""


def adopt_body() -> bytes:
    links = b"".join(bytes(one[:3]) + one[3].to_bytes(8, "little") for one in ADOPT_LINKS)
    return bytes(placed(32, ADOPT, ADOPT_FIELDS)) + links


def refused_body(code: int, number: int, text: str) -> bytes:
    return bytes([code, 0, 0, 0]) + number.to_bytes(4, "little") + text.encode()


def survey_frames() -> list[dict[str, Any]]:
    """Payloads, what is in them, and the frames on the wire."""
    identity = bytes(placed(96, IDENTITY, IDENTITY_FIELDS))
    blank = bytes(placed(96, IDENTITY, BLANK_FIELDS))
    way, far = bytes([1, 1, 0]), bytes(i % 2 for i in range(62))
    rows = [
        ("identify_gateway", "identify", b"", b"", 0, b"", {}),
        ("identify_behind_three", "identify", way, bytes([0, 0]), 2, b"", {}),
        ("identify_behind_62", "identify", far, b"", 0, b"", {}),
        ("identity", "identity", bytes([0, 0, 1]), way[::-1], 0, identity, IDENTITY_FIELDS),
        ("identity_blank", "identity", b"", b"", 0, blank, BLANK_FIELDS),
        ("identity_behind_62", "identity", far, far, 62, identity, IDENTITY_FIELDS),
        ("adopt", "adopt", way, bytes([0, 0, 1]), 3, adopt_body(),
         ADOPT_FIELDS | {"links": [[*one[:3], f"{one[3]:016x}"] for one in ADOPT_LINKS]}),
        ("adopted", "adopted", way, way, 1, b"", {}),
        ("run", "run", b"\1", b"", 0, b"\2", {"slice": 2}),
        ("run_last", "run", b"", b"", 0, b"\xff", {"slice": 255}),
        ("running", "running", b"", b"", 0, b"", {}),
        ("echo", "echo", b"", b"", 0, b"", {}),
        ("echoed", "echoed", b"\0", b"\1", 1, b"", {}),
        ("refused", "refused", b"\0", b"\1", 1,
         refused_body(3, 4096, "4096 bytes of work memory are missing"),
         {"code": 3, "number": 4096, "text": "4096 bytes of work memory are missing"}),
        ("refused_without_text", "refused", b"", b"", 0, refused_body(5, 0, ""),
         {"code": 5, "number": 0, "text": ""}),
    ]  # fmt: skip
    table = []
    for name, kind, out, back, h, body, fields in rows:
        payload = survey(KINDS[kind], out, back, h, body)
        table.append({
            "name": name, "kind": KINDS[kind], "h": h, "token": 0x01020304, "out_hex": out.hex(),
            "back_hex": back.ljust(len(out), b"\0").hex(), "body_hex": body.hex(),
            "fields": fields, "payload_hex": payload.hex(), "wire_hex": framed(payload),
        })  # fmt: skip
    return table


def steps() -> list[dict[str, Any]]:
    """What a device with so many ports does with a payload that came by ``port``."""

    def step(name: str, port: int, does: str, before: bytes, after: bytes = b"", leaves: int = HOST,
             ports: int = 2) -> dict[str, Any]:  # fmt: skip
        return {"name": name, "port": port, "ports": ports, "payload_hex": before.hex(),
                "does": does, "leaves": leaves, "after_hex": after.hex()}  # fmt: skip

    body = b"body"
    way = bytes([1, 0, 1])
    back = bytes([9, 8, 7])
    return [
        step("request for the gateway", HOST, "answer", survey(1, b"", b"", 0),
             survey(1, b"", b"", 0)),
        step("request from the host goes on", HOST, "forward", survey(2, way, b"", 0, body),
             survey(2, way, b"", 1, body), 1),
        step("request from a neighbour goes on", 0, "forward", survey(2, way, b"", 1, body),
             survey(2, way, b"\0", 2, body), 0),
        step("its port is written over what was there", 1, "forward", survey(2, way, back, 2, body),
             survey(2, way, bytes([9, 1, 7]), 3, body), 1),
        step("request has arrived", 1, "answer", survey(2, way, back, 3, body),
             survey(2, way, bytes([9, 8, 1]), 3, body)),
        step("a port may be joined to itself", 0, "answer", survey(1, b"\0", b"", 1),
             survey(1, b"\0", b"\0", 1)),
        step("request through a port that is not there", 0, "drop",
             survey(1, bytes([1, 2]), b"", 1)),
        step("request through the host link", 0, "drop", survey(1, bytes([1, HOST]), b"", 1)),
        step("more ports", 15, "forward", survey(1, bytes([1, 14]), b"", 1),
             survey(1, bytes([1, 14]), b"\x0f", 2), 14, ports=16),
        step("a request that a host cannot make", HOST, "drop", survey(1, way, b"", 1)),
        step("a request that a neighbour cannot make", 0, "drop", survey(1, way, b"", 0)),
        step("answer goes on", 1, "forward", survey(129, way, back, 1, body),
             survey(129, way, back, 2, body), 0),
        step("answer of one's own neighbour, for the host", 1, "forward",
             survey(129, way, back, 3, body), survey(129, way, back, 3, body), HOST),
        step("answer through a port that is not there", 1, "drop", survey(129, b"\2", b"", 0)),
        step("answer through the host link too early", 1, "drop",
             survey(129, bytes([HOST, 1]), b"", 0)),
        step("answer from the host", HOST, "drop", survey(129, way, back, 1)),
        step("unknown request is answered", 0, "answer", survey(99, b"\1", b"", 1),
             survey(99, b"\1", b"\0", 1)),
        step("unknown answer goes on", 0, "forward", survey(200, way, back, 1),
             survey(200, way, back, 2), 0),
        step("another version", HOST, "drop", survey(1, b"", b"", 0, version=2)),
        step("h above n", 0, "drop", survey(1, b"\1", b"", 2)),
        step("n above 62", HOST, "drop", survey(1, bytes(63), b"", 0)),
        step("62 wires", HOST, "forward", survey(1, bytes(62), b"", 0, bytes(96)),
             survey(1, bytes(62), b"", 1, bytes(96)), 0),
        step("shorter than its ways", HOST, "drop", survey(1, way, b"", 0)[:-1]),
        step("shorter than its header", HOST, "drop", bytes([1, 1, 0, 0, 1, 2, 3])),
        step("empty", HOST, "drop", b""),
    ]  # fmt: skip


def answers() -> list[dict[str, Any]]:
    """A request as it arrived where it was meant to, and the answer to it."""
    rows = [
        ("gateway", survey(4, b"", b"", 0), 132, b"", survey(132, b"", b"", 0)),
        ("behind three wires", survey(1, bytes([1, 5, 3]), bytes([2, 4, 6]), 3), 129, b"body",
         survey(129, bytes([6, 4, 2]), bytes([3, 5, 1]), 0, b"body")),
    ]  # fmt: skip
    return [
        {"name": name, "request_hex": request.hex(), "kind": kind, "body_hex": body.hex(),
         "answer_hex": answer.hex()}
        for name, request, kind, body, answer in rows
    ]  # fmt: skip


def session_messages() -> list[dict[str, Any]]:
    deployment, digest = "0123456789abcdef" * 2, hashlib.sha256(b"image").hexdigest()
    rows: list[tuple[str, str, dict[str, Any], str]] = [
        ("offer", "offer", {"image_bytes": 437_008, "deployment": deployment, "sha256": digest,
                            "hmac": "00" * 32}, ""),
        ("offer_signed", "offer", {
            "image_bytes": 437_008, "deployment": deployment, "sha256": digest,
            "hmac": signature(b"a key of the user", deployment, 437_008, digest)}, ""),
        ("commit", "commit", {"deployment": deployment}, ""),
        ("run", "run", {"slice": 0, "deployment": deployment}, ""),
        ("run_slice_8", "run", {"slice": 8, "deployment": deployment}, ""),
        ("accepted_wanted", "accepted", {"state": 0, "chunk_bytes": 4096, "received_bytes": 0,
                                         "deployment": deployment}, ""),
        ("accepted_some", "accepted", {"state": 0, "chunk_bytes": 65536,
                                       "received_bytes": 0xFFFFFF00, "deployment": "ff" * 16}, ""),
        ("accepted_prepared", "accepted", {"state": 1, "chunk_bytes": 256,
                                           "received_bytes": 437_008,
                                           "deployment": deployment}, ""),
        ("accepted_active", "accepted", {"state": 2, "chunk_bytes": 4096,
                                         "received_bytes": 437_008, "deployment": deployment}, ""),
        ("committed", "committed", {"deployment": deployment}, ""),
        ("running", "running", {"slice": 8, "deployment": deployment}, ""),
        ("refused", "refused", {"code": 7, "about": 1, "number": 99_000}, "no room in a slot"),
        ("refused_without_text", "refused", {"code": 12, "about": 2, "number": 0}, ""),
    ]  # fmt: skip
    table = []
    for name, kind, fields, text in rows:
        number, size, layout = SESSION[kind]
        payload = placed(size, layout, fields)
        payload[:2] = 1, number
        shown = fields | ({"text": text} if kind == "refused" else {})
        table.append({"name": name, "kind": kind, "fields": shown,
                      "payload_hex": (bytes(payload) + text.encode()).hex()})  # fmt: skip
    return table


def ignored_messages() -> list[dict[str, str]]:
    """What neither side takes for a message."""
    commit = bytes([1, 2, 0, 0]) + bytes(16)
    rows = {
        "empty": b"",
        "one byte": b"\1",
        "another version": b"\2" + commit[1:],
        "unknown type": bytes([1, 77]) + commit[2:],
        "too short": commit[:-1],
        "too long": commit + b"\0",
        "refused with a text that is too long": bytes([1, 255, 1, 0]) + bytes(4) + b"a" * 81,
        "refused that is too short": bytes([1, 255, 1, 0, 0, 0, 0]),
    }
    return [{"name": name, "payload_hex": payload.hex()} for name, payload in rows.items()]


def signature(key: bytes, deployment: str, image_bytes: int, digest: str) -> str:
    text = b"tflsplit deployment 1" + bytes.fromhex(deployment)
    text += image_bytes.to_bytes(4, "little") + bytes.fromhex(digest)
    return hmac.new(key, text, "sha256").hexdigest()


def slice_bytes(fields: dict[str, Any], links: list[list[int]], mark: str, model: bytes) -> bytes:
    used = 104 + 12 * len(links) + len(mark) + 1
    size = -(-used // 16) * 16
    config = placed(size, SLICE, fields | {
        "config_bytes": size, "model_bytes": len(model), "link_count": len(links),
        "mark_bytes": len(mark)})  # fmt: skip
    config[:2] = 1, 0
    at = 104
    for port, peer, ring_next, destinations in links:
        config[at : at + 12] = bytes([port, peer, ring_next, 0]) + destinations.to_bytes(
            8, "little"
        )
        at += 12
    config[at : at + len(mark)] = mark.encode()
    return bytes(config) + model


def image_of(slices: list[tuple[bytes, str, int, int, int]]) -> bytes:
    """Slices with fingerprint, rank, world_size and the board that each does without."""
    offset = 16 + 32 * len(slices)
    table, bodies = b"", b""
    for body, fingerprint, rank, world_size, lost in slices:
        table += offset.to_bytes(4, "little") + len(body).to_bytes(4, "little")
        table += bytes.fromhex(fingerprint) + bytes([rank, world_size, lost]) + bytes(5)
        padded = body + bytes(-len(body) % 16)
        bodies += padded
        offset += len(padded)
    head = b"TFSI" + bytes([1, 0]) + len(slices).to_bytes(2, "little")
    return head + offset.to_bytes(4, "little") + bytes(4) + table + bodies


MAIN: dict[str, Any] = {
    "rank": 2, "world_size": 8, "node_count": 9, "mtu_bytes": 512, "rx_slots": 4, "tx_slots": 5,
    "send_slots": 6, "recv_slots": 7, "grant_slots": 16, "flags": 1, "hello_interval_us": 20_000,
    "poll_interval_us": 21_000, "poll_interval_max_us": 168_000, "peer_timeout_us": 2_000_000,
    "multicast_hold_us": 10_000, "timeout_us": 30_000_000, "background_poll_us": 500,
    "arena_bytes": 65_536, "required_arena_bytes": 61_000, "baud": 6_000_000,
    "fingerprint": "a5" * 16, "board": "teensy41",
}  # fmt: skip
MAIN_LINKS = [[1, 1, 1, 0x103], [0, 3, 0, 0xF8]]
SPARE = MAIN | {
    "rank": 1, "world_size": 7, "node_count": 8, "background_poll_us": 0, "baud": 0, "flags": 1,
    "fingerprint": "5a" * 16, "mtu_bytes": 256,
}  # fmt: skip
SPARE_LINKS = [[255, 7, 255, 0x80], [0, 2, 255, 0x7D]]
MARK = "plan 1 a5a5 rank 2"
MODEL = bytes([28, 0, 0, 0]) + b"TFL3" + bytes(range(100))


def images() -> dict[str, Any]:
    main = slice_bytes(MAIN, MAIN_LINKS, MARK, MODEL)
    spare = slice_bytes(SPARE, SPARE_LINKS, "spare", MODEL[:90])
    good = image_of([(main, "a5" * 16, 2, 8, 255), (spare, "5a" * 16, 1, 7, 0)])
    single = image_of([(main, "a5" * 16, 2, 8, 255)])

    def shown(fields: dict[str, Any], links: list[list[int]], mark: str, model: bytes, lost: int
              ) -> dict[str, Any]:  # fmt: skip
        return fields | {"links": [[*one[:3], f"{one[3]:016x}"] for one in links], "mark": mark,
                         "model_hex": model.hex(), "lost": lost}  # fmt: skip

    return {
        "good": {
            "image_hex": good.hex(), "sha256": hashlib.sha256(good).hexdigest(),
            "slices": [shown(MAIN, MAIN_LINKS, MARK, MODEL, 255),
                       shown(SPARE, SPARE_LINKS, "spare", MODEL[:90], 0)],
        },
        "single": {
            "image_hex": single.hex(), "sha256": hashlib.sha256(single).hexdigest(),
            "slices": [shown(MAIN, MAIN_LINKS, MARK, MODEL, 255)],
        },
        "bad": bad_images(len(single)),
    }  # fmt: skip


def bad_images(size: int) -> list[dict[str, Any]]:
    """Changes to the single image, each of which makes it unsound, and the field that is named."""
    config, table = 48, 16
    in_slice = {name: config + offset for name, (offset, _) in SLICE.items()}

    def row(field: str, at: int, value: int, width: int, note: str = "") -> dict[str, Any]:
        return {"name": f"{field} {note or value}", "field": field, "at": at,
                "bytes_hex": value.to_bytes(width, "little").hex()}  # fmt: skip

    rows = [
        row("magic", 0, 0x49534655, 4), row("version", 4, 2, 2), row("slices", 6, 0, 2),
        row("slices", 6, 65, 2), row("offset", 6, 2, 2, "of two slices that are one"),
        row("total_bytes", 8, size - 16, 4), row("total_bytes", 8, size + 16, 4),
        row("total_bytes", 8, 0xFFFFFFF0, 4), row("reserved", 12, 1, 4),
        row("offset", table, 32, 4, "in the table"), row("offset", table, 49, 4, "not of 16"),
        row("offset", table, 0xFFFFFFF0, 4, "wraps"), row("bytes", table + 4, 0xFFFFFFFF, 4),
        row("bytes", table + 4, 16, 4), row("world_size", table + 25, 7, 1, "another"),
        row("rank", table + 24, 3, 1, "another"), row("fingerprint", table + 8, 0, 1, "another"),
        row("lost", table + 26, 8, 1), row("reserved", table + 27, 1, 1),
        row("version", config, 2, 2, "of the slice"),
    ]  # fmt: skip
    values = {
        "config_bytes": (0, 144, 176, 0xFFF0), "model_bytes": (0, 0xFFFFFFFF), "rank": (8,),
        "world_size": (0, 64), "node_count": (8,), "link_count": (0, 17), "send_slots": (0,),
        "recv_slots": (0,), "grant_slots": (0,), "mtu_bytes": (252, 514, 1028), "tx_slots": (0,),
        "rx_slots": (1, 16), "flags": (2,), "hello_interval_us": (0, 1 << 31),
        "poll_interval_us": (0,), "poll_interval_max_us": (1 << 31,), "peer_timeout_us": (0,),
        "multicast_hold_us": (0,), "timeout_us": (0,), "background_poll_us": (1 << 31,),
        "arena_bytes": (65_537, 0), "required_arena_bytes": (65_537,), "mark_bytes": (0, 201),
    }  # fmt: skip
    for field, some in values.items():
        rows += [row(field, in_slice[field], value, SLICE[field][1]) for value in some]
    links = config + 104
    rows += [
        row("links", links + 12, 1, 1, "a port twice"), row("links", links + 3, 1, 1, "reserved"),
        row("links", links + 2, 2, 1, "ring_next"), row("links", links + 1, 2, 1, "its own peer"),
        row("links", links + 4, 0xFF, 1, "overlapping sets"),
        row("mark", links + 24 + len(MARK), 1, 1, "without its zero"),
        row("mark", links + 24, 0, 1, "with a zero"),
        row("mark", links + 24, 7, 1, "not printable"),
        row("board", in_slice["board"], 0, 1, "empty"),
        row("board", in_slice["board"], 27, 1, "not printable"),
        row("board", in_slice["board"] + 15, 65, 1, "behind a zero"),
        row("reserved", config + 62, 1, 1, "of the slice"),
        row("reserved", config + 96, 1, 1, "of the slice's end"),
    ]  # fmt: skip
    return rows


def records() -> list[dict[str, Any]]:
    fields: dict[str, Any] = {"version": 1, "sequence": 7, "image_bytes": 437_008,
                              "deployment": "0123456789abcdef" * 2,
                              "sha256": hashlib.sha256(b"image").hexdigest()}  # fmt: skip
    table = []
    for state in (1, 2):
        record = placed(92, RECORD, fields | {"state": state})
        record[:4] = b"TFSR"
        sealed_record = bytes(record) + zlib.crc32(record).to_bytes(4, "little")
        table.append({"state": state, **fields, "record_hex": sealed_record.hex()})
    return table


def digests() -> dict[str, Any]:
    """SHA-256 of FIPS 180-2's examples and around its blocks; HMAC of RFC 4231 and of an OFFER."""
    texts = [b"", b"abc", b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"]
    texts += [bytes(i % 251 for i in range(size)) for size in (55, 56, 63, 64, 65, 119, 120, 1000)]
    keys = [
        (b"\x0b" * 20, b"Hi There"), (b"Jefe", b"what do ya want for nothing?"),
        (b"\xaa" * 20, b"\xdd" * 50), (bytes(range(1, 26)), b"\xcd" * 50),
        (b"\xaa" * 131, b"Test Using Larger Than Block-Size Key - Hash Key First"),
        (b"\xaa" * 131, b"This is a test using a larger than block-size key and a larger than "
         b"block-size data. The key needs to be hashed before being used by the HMAC algorithm."),
    ]  # fmt: skip
    return {
        "sha256": [{"text_hex": text.hex(), "digest": hashlib.sha256(text).hexdigest()}
                   for text in texts],
        "hmac": [{"key_hex": key.hex(), "text_hex": text.hex(),
                  "digest": hmac.new(key, text, "sha256").hexdigest()} for key, text in keys],
    }  # fmt: skip


def build() -> dict[str, Any]:
    return {
        "survey_version": 1, "deploy_version": 1, "survey": survey_frames(), "steps": steps(),
        "answers": answers(), "session": session_messages(), "ignored": ignored_messages(),
        "images": images(), "records": records(), "key_hex": b"a key of the user".hex(),
        **digests(),
    }  # fmt: skip


def main() -> None:
    TABLE.write_text(json.dumps(build(), indent=1) + "\n")


if __name__ == "__main__":
    main()
