# SPDX-License-Identifier: Apache-2.0
"""Two Python links over a wire with faults, and every way in which a peer can be wrong."""

from __future__ import annotations

import struct
import zlib
from dataclasses import replace
from typing import Any

import pytest

from tflsplit.wire.faults import FaultProxy, Faults
from tflsplit.wire.frames import (
    PROTOCOL_VERSION,
    Frame,
    FrameDecoder,
    FrameType,
    cobs_encode,
    encode,
)
from tflsplit.wire.handshake import ErrorCode, Identity, PeerError, fingerprint_bytes
from tflsplit.wire.link import Link
from tflsplit.wire.link_state import LinkState
from tflsplit.wire.timers import Timing

IDENTITY = Identity(0, 2, 2, 256, bytes(range(16)))
TIMING = Timing(peer_timeout_us=300_000)


class Pair:
    """Links of ranks 0 and 1, a wire each way, and a clock."""

    def __init__(self, faults: Faults | None = None, peer: Identity | None = None, seed: int = 1):
        self.now_us = 0
        self.got: list[list[Frame]] = [[], []]
        self.errors: list[list[tuple[ErrorCode, int]]] = [[], []]
        self.identities = [IDENTITY, peer or replace(IDENTITY, rank=1)]
        self.wires = [
            FaultProxy(faults or Faults(), seed),
            FaultProxy(faults or Faults(), seed + 1),
        ]
        self.links = [self.make(0, 100), self.make(1, 200)]
        self.off: set[int] = set()

    def make(self, side: int, boot: int) -> Link:
        return Link(
            self.identities[side],
            1 - side,
            boot,
            self.got[side].append,
            lambda code, rank: self.errors[side].append((code, rank)),
            TIMING,
        )

    def run(self, duration_us: int, step_us: int = 1000) -> None:
        end = self.now_us + duration_us
        while self.now_us < end:
            for side in (0, 1):
                sent = b"" if side in self.off else self.links[side].poll(self.now_us)
                arrived = self.wires[side].carry(sent, self.now_us)
                if 1 - side not in self.off:
                    self.links[1 - side].receive(arrived, self.now_us)
            self.now_us += step_us


def numbered(count: int, side: int = 0) -> list[Frame]:
    return [
        Frame(FrameType.DATAGRAM, source=side, channel=i, destinations=2 >> side,
              payload=bytes([i % 256]) * (i % 200))
        for i in range(count)
    ]  # fmt: skip


def payloads(frames: list[Frame]) -> list[tuple[int, bytes]]:
    return [(frame.channel, frame.payload) for frame in frames]


@pytest.mark.parametrize("seed", range(8))
def test_frames_arrive_once_and_in_order_under_faults(seed: int):
    rate = 0.0 if seed == 0 else 2e-4
    pair = Pair(Faults(rate, rate, rate / 4, rate, rate), seed=10 * seed)
    for side in (0, 1):
        for frame in numbered(300, side):
            pair.links[side].send(frame)
    pair.run(4_000_000)
    for side in (0, 1):
        assert payloads(pair.got[1 - side]) == payloads(numbered(300, side))
        assert pair.links[side].all_acknowledged
    resent = pair.links[0].counters.frames_resent
    assert resent == 0 if seed == 0 else resent > 0
    assert (pair.wires[0].fault_count > 0) == (seed > 0)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"fingerprint": bytes(16)}, ErrorCode.FINGERPRINT_MISMATCH),
        ({"world_size": 3}, ErrorCode.WORLD_SIZE_MISMATCH),
        ({"rank": 4}, ErrorCode.RANK_MISMATCH),
        ({"mtu_bytes": 512}, ErrorCode.MTU_MISMATCH),
    ],
)
def test_wrong_peer_is_refused_by_name(change: dict[str, Any], code: ErrorCode):
    peer = replace(IDENTITY, **{"rank": 1, **change})
    pair = Pair(peer=peer)
    pair.run(100_000)
    assert pair.links[0].state is LinkState.REFUSED
    assert pair.errors[0] == [(code, peer.rank)]
    assert pair.links[0].send(numbered(1)[0]) is False
    pair.identities[1] = replace(IDENTITY, rank=1)
    pair.links[1] = pair.make(1, 300)
    pair.run(500_000)
    assert pair.links[0].is_up


def test_another_neighbour_in_mid_session_is_turned_away_by_name():
    pair = Pair()
    pair.run(50_000)
    pair.links[0].receive(encode(Frame(FrameType.ACK, source=7, credit=4)), pair.now_us)
    assert pair.errors[0] == [(ErrorCode.RANK_MISMATCH, 7)]
    assert pair.links[0].state is LinkState.REFUSED
    pair.links[0].try_again()
    pair.run(300_000)
    assert pair.links[0].is_up


def test_other_version_is_refused_by_name():
    pair = Pair()
    raw = next(FrameDecoder(256).feed(encode(Frame(FrameType.HELLO, source=1))))
    assert raw[0] == PROTOCOL_VERSION
    table_frame = bytes([PROTOCOL_VERSION + 1]) + raw[1:]
    crc = struct.pack("<I", zlib.crc32(table_frame))
    pair.links[0].receive(b"\0" + cobs_encode(table_frame + crc) + b"\0", 0)
    assert pair.errors[0] == [(ErrorCode.VERSION_MISMATCH, 1)]
    assert b"\x02" in pair.links[0].poll(0)


def test_reset_peer_is_noticed_and_welcomed_again():
    pair = Pair()
    pair.run(50_000)
    assert pair.links[0].is_up
    assert pair.links[1].is_up
    pair.links[1] = pair.make(1, 201)
    pair.links[0].send(numbered(1)[0])
    pair.run(50_000)
    assert pair.errors[0] == [(ErrorCode.PEER_RESET, 1)]
    assert pair.links[0].is_up
    assert pair.links[1].is_up
    for frame in numbered(40):
        pair.links[0].send(frame)
    pair.run(100_000)
    assert payloads(pair.got[1])[-40:] == payloads(numbered(40))


def test_silent_peer_is_given_up_and_may_come_back():
    pair = Pair()
    pair.run(50_000)
    pair.off.add(1)
    pair.links[0].send(numbered(1)[0])
    pair.run(200_000)
    assert pair.links[0].state is LinkState.OPEN  # inside a kernel, maybe
    pair.run(500_000)
    assert pair.errors[0] == [(ErrorCode.PEER_SILENT, 1)]
    pair.off.clear()
    pair.run(200_000)
    assert pair.links[0].is_up


def test_a_busy_peer_gets_polls_but_no_repetition():
    pair = Pair()
    pair.run(50_000)
    pair.off.add(1)
    for frame in numbered(40):
        pair.links[0].send(frame)
    pair.run(250_000)
    assert pair.links[0].counters.frames_sent == 15
    assert pair.links[0].counters.frames_resent == 0
    assert pair.links[0].counters.polls >= 2


def test_nonsense_acknowledgement_is_counted_and_ignored():
    pair = Pair()
    pair.run(50_000)
    pair.links[0].receive(encode(Frame(FrameType.ACK, source=1, ack=7, credit=4)), pair.now_us)
    pair.links[0].receive(encode(Frame(FrameType.ACK, source=1, ack=0, credit=99)), pair.now_us)
    assert pair.links[0].counters.bad_acks == 2


def test_fingerprint_of_a_plan():
    assert fingerprint_bytes("00112233445566778899aabbccddeeff")[:2] == b"\x00\x11"
    for wrong in ("", "0011", "zz" * 32):
        with pytest.raises(Exception, match="fingerprint"):
            fingerprint_bytes(wrong)


def test_error_reads_like_the_firmware_s():
    error = PeerError(ErrorCode.TIMEOUT, 3, 17, 0)
    assert str(error) == "rank 3 (channel 17) did not deliver in time [seen by rank 0]"
    assert "reports error 99" in str(PeerError(99, None))
