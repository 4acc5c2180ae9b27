# SPDX-License-Identifier: Apache-2.0
"""Frames against the table that C++ is tested with, and against damage."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.make_wire_vectors import build
from tflsplit.wire import frames
from tflsplit.wire.frames import Frame, FrameDecoder, FrameType, HeaderError, encode, parse

TABLE: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "wire_vectors.json").read_text(encoding="ascii")
)
NUMBERS = ("sequence", "ack", "credit", "source", "channel", "offset", "epoch")


def frame_of(row: dict[str, Any]) -> Frame:
    return Frame(
        FrameType(row["type"]),
        destinations=int(row["destinations_hex"], 16),
        payload=bytes.fromhex(row["payload_hex"]),
        **{key: row[key] for key in NUMBERS},
    )


BY_WIRE = {row["wire_hex"]: row["name"] for row in TABLE["frames"]}


def test_table_is_what_its_script_writes():
    assert build() == TABLE


@pytest.mark.parametrize("row", TABLE["frames"], ids=lambda row: row["name"])
def test_vector(row: dict[str, Any]):
    frame = frame_of(row)
    wire = bytes.fromhex(row["wire_hex"])
    assert encode(frame) == wire
    decoder = FrameDecoder(frames.MAX_MTU_BYTES)
    assert [parse(raw) for raw in decoder.feed(wire)] == [frame]
    raw_bytes = frames.OVERHEAD_BYTES + len(frame.payload)
    assert len(wire) <= frames.max_encoded_bytes(raw_bytes)


@pytest.mark.parametrize("row", TABLE["streams"], ids=lambda row: row["name"])
def test_stream(row: dict[str, Any]):
    decoder = FrameDecoder(row["mtu_bytes"])
    names = []
    for raw in decoder.feed(bytes.fromhex(row["stream_hex"])):
        try:
            names.append(BY_WIRE[encode(parse(raw)).hex()])
        except HeaderError as error:
            names.append(f"({error.reason})")
    assert names == row["frames"]
    for kind in ("crc_errors", "cobs_errors", "too_long", "too_short"):
        assert getattr(decoder.counters, kind) == row[kind], kind


def test_headers_that_make_no_sense():
    raw = next(FrameDecoder(256).feed(encode(Frame(FrameType.DATA, source=7, payload=b"abc"))))
    for changed, reason in (
        (b"\x03" + raw[1:], "version"),
        (raw[:1] + b"\x08" + raw[2:], "type"),
        (raw[:-1], "length"),
    ):
        with pytest.raises(HeaderError) as caught:
            parse(changed)
        assert (caught.value.reason, caught.value.source) == (reason, 7)


@given(payload=st.binary(max_size=996), destinations=st.integers(0, 2**64 - 1))
def test_round_trip(payload: bytes, destinations: int):
    frame = Frame(FrameType.DATA, destinations=destinations, payload=payload)
    wire = encode(frame)
    assert 0 not in wire[1:-1]
    assert [parse(raw) for raw in FrameDecoder(1024).feed(wire)] == [frame]


@given(before=st.binary(max_size=1500), cut=st.integers(0, 30))
def test_a_whole_frame_behind_garbage_arrives(before: bytes, cut: int):
    frame = Frame(FrameType.ACK, source=3, ack=9)
    torn = encode(Frame(FrameType.DATA, payload=b"x"))[:cut]
    found = list(FrameDecoder(256).feed(before + torn + encode(frame)))
    assert parse(found[-1]) == frame
