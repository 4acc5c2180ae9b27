# SPDX-License-Identifier: Apache-2.0
"""Which points boards are killed at, and what the table says of them."""

from __future__ import annotations

import socket

from benchmarks.survive_points import Passed, Recording, kills
from benchmarks.survive_table import Row, table, total
from tflsplit.emulate.faults import FaultModel
from tflsplit.emulate.proxy import FaultProxy
from tflsplit.emulate.wiring import HOST, Port, ring
from tflsplit.wire.frames import Frame, FrameType, encode

TO_HOST, BETWEEN = Port(0, 3), Port(0, 1)
PEERS = {one: other for wire in ring(2, 0) for one, other in ((wire.a, wire.b), (wire.b, wire.a))}


def data(source: int, rank: int, begin: int, at: float) -> Passed:
    return Passed(FrameType.DATA, source, 1 << rank, begin, begin + 40, at)


def test_every_frame_is_a_phase_of_who_sends_it_and_of_who_gets_it():
    """Rank 0 takes its input, computes, sends to rank 1, and gives what that one says."""
    frames = {
        HOST: [data(2, 0, 0, 1.0)],
        BETWEEN: [Passed(FrameType.GRANT, 0, 2, 0, 30, 0.5), data(0, 1, 30, 2.0)],
        PEERS[BETWEEN]: [data(1, 0, 0, 3.0), data(1, 2, 40, 4.0)],
        TO_HOST: [data(1, 2, 0, 5.0), data(0, 2, 40, 6.0)],
    }
    found = list(kills(frames, PEERS, 2))
    assert len(set(found)) == len(found)
    of = {
        rank: sorted((kill.phase, kill.end, kill.after_bytes) for kill in found
                     if kill.rank == rank and kill.end and not kill.after_seconds)
        for rank in (0, 1)
    }  # fmt: skip
    assert ("taking input", HOST, 20) in of[0]
    assert ("SEND", BETWEEN, 50) in of[0]
    assert ("RECV", PEERS[BETWEEN], 40) in of[0]
    assert ("passing on", PEERS[BETWEEN], 60) in of[0]
    assert ("passing on", TO_HOST, 20) in of[0]
    assert ("giving output", TO_HOST, 80) in of[0]
    assert ("grants and control", BETWEEN, 15) in of[0]
    assert {phase for phase, *_ in of[1]} == {
        "RECV", "SEND", "giving output", "grants and control"
    }  # fmt: skip
    assert len(of[0]) == 2 * 7
    # Between its input and its SEND, and between the RECV and its output.
    assert [(kill.end, kill.after_bytes, kill.after_seconds) for kill in found
            if kill.phase == "in a kernel" and kill.rank == 0] == [
        (HOST, 40, 0.5), (PEERS[BETWEEN], 40, 1.5)
    ]  # fmt: skip
    assert [kill.rank for kill in found if kill.phase == "idle"] == [0, 1]


def test_a_recording_has_the_frames_of_a_wire_with_their_places():
    a, inner = socket.socketpair()
    b, outer = socket.socketpair()
    proxy = FaultProxy()
    proxy.join(inner, outer, FaultModel(), 0)
    recording = Recording(lambda plug: BETWEEN if plug is inner else None)
    words = encode(Frame(FrameType.DATA, source=1, destinations=4, payload=b"abc"))
    with a, b, proxy:
        proxy.listen(recording)
        for each in (words[:7], words[7:] + words):
            a.sendall(each)
            left = len(each)
            while left:
                left -= len(b.recv(left))
        proxy.listen(None)
        a.sendall(words)
        assert len(b.recv(100)) == len(words)
    first, second = recording.frames()[BETWEEN]
    assert (first.type, first.source, first.destinations) == (FrameType.DATA, 1, 4)
    assert first.end == len(words)
    assert second.end == 2 * len(words)
    assert second.begin > len(words)


def test_table():
    good, bad = Row("idle", 2, 1, 2, 0, 0, 0, [1.0, 3.0], []), Row("sending", wrong=1)
    assert good.is_sound
    assert not bad.is_sound
    assert not total([good, bad]).is_sound
    assert total([good, good]).seconds == [1.0, 3.0, 1.0, 3.0]
    last = table([good, bad]).splitlines()[-2]
    assert last == "| idle | 2 | 1 | 2 | 0 | 0 | 0 | 2.0 (3.0) | – |"
