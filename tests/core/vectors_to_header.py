# SPDX-License-Identifier: Apache-2.0
"""Turns wire_vectors.json into a C++ header: python vectors_to_header.py IN.json OUT.h"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def text(value: str) -> str:
    """A C string literal, cut into pieces that any compiler takes."""
    pieces = [value[i : i + 500] for i in range(0, len(value), 500)] or [""]
    return " ".join(f'"{piece}"' for piece in pieces)


def main(source: str, target: str) -> None:
    table = json.loads(Path(source).read_text())
    lines = ["// Made by vectors_to_header.py from wire_vectors.json.", "#pragma once", ""]
    lines.append("inline constexpr FrameVector kFrameVectors[] = {")
    for one in table["frames"]:
        numbers = ", ".join(
            str(one[key])
            for key in ("type", "sequence", "ack", "credit", "source", "channel", "offset", "epoch")
        )
        lines.append(
            f'    {{"{one["name"]}", {numbers}, 0x{one["destinations_hex"]}u, '
            f"{text(one['payload_hex'])}, {text(one['wire_hex'])}}},"
        )
    lines += ["};", "", "inline constexpr StreamVector kStreamVectors[] = {"]
    for one in table["streams"]:
        errors = ", ".join(
            str(one[key]) for key in ("crc_errors", "cobs_errors", "too_long", "too_short")
        )
        lines.append(
            f'    {{"{one["name"]}", {one["mtu_bytes"]}, {text(one["stream_hex"])}, '
            f'"{" ".join(one["frames"])}", {errors}}},'
        )
    lines += ["};", ""]
    Path(target).write_text("\n".join(lines))


if __name__ == "__main__":
    main(*sys.argv[1:3])
