# SPDX-License-Identifier: Apache-2.0
"""Writes tests/control_vectors.json, the table that tests the control messages in Python and C++.

The payloads are put together here byte by byte from the offsets in docs/cluster_protocol.md, so
that neither of the two implementations under test is its own judge.

    python tests/make_control_vectors.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

TABLE = Path(__file__).with_name("control_vectors.json")
VERSION = 4

# name: (type, size, {field: (offset, bytes)}), from the document's tables
LAYOUTS: dict[str, tuple[int, int, dict[str, tuple[int, int]]]] = {
    "query": (1, 8, {"what": (2, 2), "token": (4, 4)}),
    "start": (2, 12, {"epoch": (2, 2), "timeout_ms": (4, 4), "flags": (8, 1)}),
    "info": (
        129,
        84,
        {
            "state": (2, 1), "flags": (3, 1), "token": (4, 4), "boot": (8, 4), "epoch": (12, 2),
            "inputs": (14, 1), "outputs": (15, 1), "arena_bytes": (16, 4),
            "arena_used_bytes": (20, 4), "model_bytes": (24, 4), "ticks_per_second": (28, 4),
            "inferences": (32, 4), "faults": (36, 4), "uptime_ms": (40, 4), "link_bytes": (44, 4),
            "reset_reason": (64, 1), "console_lost_bytes": (68, 4),
            "stack_bytes": (72, 4), "stack_used_bytes": (76, 4), "next_input_bytes": (80, 4),
        },
    ),
    "report": (
        130,
        56,
        {
            "status": (2, 1), "code": (3, 1), "token": (4, 4), "epoch": (8, 2),
            "channel": (10, 2), "rank": (12, 1), "link": (13, 1), "reporter": (14, 1),
            "phase": (15, 1), "input_us": (16, 4), "graph_us": (20, 4), "wait_us": (24, 4),
            "output_us": (28, 4), "graph_ticks": (32, 8), "wait_ticks": (40, 8),
            "sent_bytes": (48, 4), "received_bytes": (52, 4),
        },
    ),
    "link": (
        131,
        88,
        {
            "link": (2, 1), "peer": (3, 1), "token": (4, 4), "state": (8, 1), "code": (9, 1),
            "links": (10, 1), "claimed": (11, 1), "lost_bytes": (84, 4),
        },
    ),
    "text": (132, 8, {"token": (4, 4)}),
}  # fmt: skip


def message(name: str, kind: str, /, **fields: Any) -> dict[str, Any]:
    """One row: the fields, and the payload that they make."""
    number, size, layout = LAYOUTS[kind]
    payload = bytearray(size)
    payload[:2] = VERSION, number
    for field, value in fields.items():
        if field == "board":
            payload[48 : 48 + len(value)] = value.encode()
        elif field == "counters":
            for index, count in enumerate(value):
                payload[12 + 4 * index : 16 + 4 * index] = count.to_bytes(4, "little")
        elif field == "text":
            payload[2] = len(value)
            payload += value.encode()
        else:
            offset, width = layout[field]
            payload[offset : offset + width] = value.to_bytes(width, "little")
    # 64-bit numbers as text: not every JSON reader keeps them.
    shown = {key: str(v) if key.endswith("_ticks") else v for key, v in fields.items()}
    return {"name": name, "kind": kind, "fields": shown, "payload": payload.hex()}


def numbered(kind: str, **more: Any) -> dict[str, Any]:
    """Every field with a value of its own, so that two swapped fields show."""
    fields: dict[str, Any] = {
        field: int.from_bytes(bytes(range(16 + 9 * index, 16 + 9 * index + width)), "big")
        for index, (field, (_, width)) in enumerate(LAYOUTS[kind][2].items())
    }
    return fields | more


def messages() -> list[dict[str, Any]]:
    """All rows that both implementations pack and, where they can, unpack."""
    return [
        message("query everything", "query", what=15, token=0xDEADBEEF),
        message("query info", "query", what=1, token=1),
        message("start", "start", epoch=0xABCD, timeout_ms=30_000, flags=0),
        message("start with the device's time-out", "start", epoch=0, timeout_ms=0, flags=0),
        message("start of the next", "start", epoch=7, timeout_ms=1, flags=1),
        message("info", "info", **numbered("info", state=1, flags=3, board="mps2_an500")),
        message("longest board", "info", **numbered("info", state=2, board="0123456789abcdef")),
        message("report of a fault", "report", **numbered("report", status=1, phase=2)),
        message("report that nobody asked for", "report", **numbered("report", status=0, token=0)),
        message(
            "link", "link",
            **numbered("link", state=2, counters=[0x01020304 * (k + 1) for k in range(18)]),
        ),
        message("text", "text", token=7, text="TFLSPLIT_CONV_2D: option 'pads' is missing"),
        message("no text", "text", token=0, text=""),
        message("longest text", "text", token=9, text="x" * 160),
    ]  # fmt: skip


def ignored() -> list[dict[str, str]]:
    """Payloads that say nothing to this version."""
    query = bytes.fromhex(message("", "query", what=1, token=1)["payload"])
    text = bytes.fromhex(message("", "text", token=1, text="abc")["payload"])
    rows = {
        "nothing": b"",
        "one byte": query[:1],
        "another version": b"\3" + query[1:],
        "unknown type": bytes([VERSION, 3]) + query[2:],
        "query that is too short": query[:-1],
        "query that is too long": query + b"\0",
        "text shorter than it says": text[:-1],
        "text longer than it says": text + b"!",
        "text without its head": text[:7],
    }
    return [{"name": name, "payload": payload.hex()} for name, payload in rows.items()]


if __name__ == "__main__":
    table = {"messages": messages(), "ignored": ignored()}
    TABLE.write_text(json.dumps(table, indent=1) + "\n")
