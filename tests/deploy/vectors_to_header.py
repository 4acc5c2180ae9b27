# SPDX-License-Identifier: Apache-2.0
"""Turns deploy_vectors.json into a C++ header: python vectors_to_header.py IN.json OUT.h"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

IDENTITY = (
    "id", "board", "boot", "arrived", "ports", "state", "flags", "store_bytes", "work_bytes",
    "baud", "mtu_bytes", "deployment", "fingerprint", "rank", "world_size", "slices", "slice",
    "rx_ring_bytes", "tx_ring_bytes",
)  # fmt: skip
SLICE = (
    "rank", "world_size", "node_count", "mtu_bytes", "rx_slots", "tx_slots", "send_slots",
    "recv_slots", "grant_slots", "flags", "hello_interval_us", "poll_interval_us",
    "poll_interval_max_us", "peer_timeout_us", "multicast_hold_us", "timeout_us",
    "background_poll_us", "arena_bytes", "required_arena_bytes", "baud", "lost",
)  # fmt: skip
TEXTS = ("id", "board", "deployment", "fingerprint")


def text(value: str) -> str:
    """A C string literal, cut into pieces that any compiler takes."""
    pieces = [value[i : i + 500] for i in range(0, len(value), 500)] or [""]
    return " ".join(f'"{piece}"' for piece in pieces)


def row(values: Iterable[Any]) -> str:
    cells = (text(one) if isinstance(one, str) else f"{one}u" for one in values)
    return f"    {{{', '.join(cells)}}},"


def table(kind: str, name: str, rows: Iterable[Iterable[Any]]) -> list[str]:
    return [f"inline constexpr {kind} {name}[] = {{", *map(row, rows), "};", ""]


def picked(rows: Iterable[dict[str, Any]], *keys: str) -> list[list[Any]]:
    return [[one[key] for key in keys] for one in rows]


def identities(rows: Iterable[dict[str, Any]]) -> list[list[Any]]:
    found = [one for one in rows if one["kind"] == 129]
    return [
        [*(one["fields"].get(key, "" if key in TEXTS else 0) for key in IDENTITY), one["body_hex"]]
        for one in found
    ]


def slices(rows: Iterable[dict[str, Any]]) -> list[list[Any]]:
    return [
        [one["fingerprint"], one["board"], one["mark"], one["model_hex"]]
        + ["".join(f"{a:02x}{b:02x}{c:02x}{d}" for a, b, c, d in one["links"])]
        + [one[key] for key in SLICE]
        for one in rows
    ]


def main(source: str, target: str) -> None:
    vectors = json.loads(Path(source).read_text())
    images = vectors["images"]
    asked = {"offer": 1, "commit": 2, "run": 3}
    told = {"accepted": 129, "committed": 130, "running": 131, "refused": 255}
    requests = [
        [asked[one["kind"]], one["fields"].get("slice", 0), one["fields"].get("image_bytes", 0)]
        + [one["fields"].get(key, "") for key in ("deployment", "sha256", "hmac")]
        + [one["payload_hex"]]
        for one in vectors["session"]
        if one["kind"] in asked
    ]
    replies = [
        [told[one["kind"]]]
        + [one["fields"].get(key, 0) for key in ("state", "chunk_bytes", "received_bytes")]
        + [one["fields"].get(key, 0) for key in ("slice", "code", "about", "number")]
        + [one["fields"].get(key, "") for key in ("text", "deployment")]
        + [one["payload_hex"]]
        for one in vectors["session"]
        if one["kind"] in told
    ]
    lines = ["// Made by vectors_to_header.py from deploy_vectors.json.", "#pragma once", ""]
    lines += table(
        "SurveyVector",
        "kSurveyVectors",
        picked(
            vectors["survey"], "name", "kind", "h", "out_hex", "body_hex", "payload_hex", "wire_hex"
        ),
    )
    lines += table(
        "StepVector",
        "kStepVectors",
        picked(
            vectors["steps"], "name", "port", "ports", "payload_hex", "does", "leaves", "after_hex"
        ),
    )
    lines += table(
        "AnswerVector",
        "kAnswerVectors",
        picked(vectors["answers"], "name", "request_hex", "kind", "body_hex", "answer_hex"),
    )
    lines += table("IdentityVector", "kIdentityVectors", identities(vectors["survey"]))
    lines += table("RequestVector", "kRequestVectors", requests)
    lines += table("ReplyVector", "kReplyVectors", replies)
    lines += table(
        "NamedVector", "kIgnoredVectors", picked(vectors["ignored"], "name", "payload_hex")
    )
    lines += table(
        "NamedVector",
        "kImageVectors",
        [[name, images[name]["image_hex"]] for name in ("good", "single")],
    )
    lines += table("SliceVector", "kSliceVectors", slices(images["good"]["slices"]))
    lines += table(
        "BadVector", "kBadVectors", picked(images["bad"], "name", "field", "at", "bytes_hex")
    )
    lines += table(
        "RecordVector",
        "kRecordVectors",
        picked(
            vectors["records"],
            "state",
            "sequence",
            "image_bytes",
            "deployment",
            "sha256",
            "record_hex",
        ),
    )
    lines += table("NamedVector", "kShaVectors", picked(vectors["sha256"], "text_hex", "digest"))
    lines += table(
        "HmacVector", "kHmacVectors", picked(vectors["hmac"], "key_hex", "text_hex", "digest")
    )
    lines += [f"inline constexpr char kKeyHex[] = {text(vectors['key_hex'])};", ""]
    Path(target).write_text("\n".join(lines))


if __name__ == "__main__":
    main(*sys.argv[1:3])
