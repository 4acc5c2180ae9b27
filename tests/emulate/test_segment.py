# SPDX-License-Identifier: Apache-2.0
"""The emulator's Ethernet switch: packets and streams, addresses, groups, faults."""

from __future__ import annotations

import socket
import struct

import pytest

from tflsplit.emulate.faults import FaultModel
from tflsplit.emulate.segment import Segment

GROUP = b"\x03TABC\xff"


def address(rank: int) -> bytes:
    return bytes([2, 0x54, 0x41, 0x42, 0x43, rank])


def frame(to: bytes, sender: int, text: str = "") -> bytes:
    return to + address(sender) + text.encode()


def read(end: socket.socket) -> bytes:
    end.settimeout(10)
    return end.recv(4096)


def read_stream(end: socket.socket) -> bytes:
    """One frame behind its length."""
    end.settimeout(10)
    (size,) = struct.unpack(">I", end.recv(4, socket.MSG_WAITALL))
    return end.recv(size, socket.MSG_WAITALL)


def is_silent(end: socket.socket) -> bool:
    end.setblocking(False)
    try:
        return not end.recv(4096)
    except BlockingIOError:
        return True


def test_a_switch_learns_where_addresses_are():
    with Segment([False] * 3) as switch:
        a, b, c = switch.theirs
        a.send(frame(address(1), 0, "unknown: to all"))
        assert read(b) == read(c) == frame(address(1), 0, "unknown: to all")
        b.send(frame(address(0), 1, "known"))
        assert read(a) == frame(address(0), 1, "known")
        c.send(frame(GROUP, 2, "all"))
        assert read(a) == read(b) == frame(GROUP, 2, "all")
        assert is_silent(c)
        assert switch.frames == [1, 1, 1]


def test_emulated_boards_have_streams_of_frames_behind_their_lengths():
    with Segment([True, False]) as switch:
        board, program = switch.theirs
        whole = b"".join(
            struct.pack(">I", len(f)) + f for f in [frame(GROUP, 0, "1"), frame(GROUP, 0)]
        )
        board.send(whole[:7])
        board.send(whole[7:])
        assert [read(program), read(program)] == [frame(GROUP, 0, "1"), frame(GROUP, 0)]
        program.send(frame(address(0), 1, "2"))
        assert read_stream(board) == frame(address(0), 1, "2")


def test_a_damaged_frame_is_lost():
    model = FaultModel(flips_per_byte=0.01)
    with Segment([False, False], model, seed=3) as switch:
        a, b = switch.theirs
        sent = [frame(GROUP, 0, f"{number:60}") for number in range(100)]
        for each in sent:
            a.send(each)
        a.close()
        while switch.frames[0] < 100:
            pass
        came = [read(b) for _ in range(100 - switch.lost[0])]
        assert came == [each for each in sent if each in came]
        assert 30 < switch.lost[0] < 70
        assert is_silent(b)


def test_a_device_that_is_gone_stops_nobody():
    with Segment([False, True, False]) as switch:
        a, gone, c = switch.theirs
        gone.close()
        for number in range(600):  # more than wait for one port
            a.send(frame(GROUP, 0, str(number)))
            assert read(c) == frame(GROUP, 0, str(number))


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_device_that_does_not_read_loses_what_is_too_much(is_stream: bool):
    with Segment([False, is_stream, False]) as switch:
        a, _, c = switch.theirs
        for _ in range(2000):
            a.send(frame(GROUP, 0, "x" * 1000))
            assert len(read(c)) == 1012
