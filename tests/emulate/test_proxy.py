# SPDX-License-Identifier: Apache-2.0
import random
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tflsplit.emulate import FaultModel
from tflsplit.emulate.faults import FaultStream
from tflsplit.emulate.proxy import FaultProxy

BLOCK = random.Random(1).randbytes(200_000)
NOISY = FaultModel(flips_per_byte=1e-3, drops_per_byte=1e-3, duplicates_per_byte=1e-3)


@contextmanager
def wire(model: FaultModel, seed: int = 1) -> Iterator[tuple[FaultProxy, list[socket.socket]]]:
    a, inner_a = socket.socketpair()
    b, inner_b = socket.socketpair()
    proxy = FaultProxy()
    proxy.join(inner_a, inner_b, model, seed)
    with a, b, proxy:
        for end in (a, b):
            end.settimeout(20)
        yield proxy, [a, b]


def received(end: socket.socket) -> bytes:
    data = bytearray()
    while piece := end.recv(65536):
        data += piece
    return bytes(data)


def send_and_close(end: socket.socket, data: bytes) -> threading.Thread:
    def run() -> None:
        end.sendall(data)
        end.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_a_clean_wire_passes_everything_both_ways():
    with wire(FaultModel()) as (proxy, (a, b)):
        threads = [send_and_close(a, BLOCK), send_and_close(b, BLOCK[::-1])]
        data = bytearray()
        while len(data) < len(BLOCK):
            data += b.recv(65536)
        back = bytearray()
        while len(back) < len(BLOCK):
            back += a.recv(65536)
        for thread in threads:
            thread.join()
        assert bytes(data) == BLOCK
        assert bytes(back) == BLOCK[::-1]
        assert [counts.bytes for counts in proxy.counts[0]] == [len(BLOCK), len(BLOCK)]


def test_the_same_seed_harms_the_same_bytes():
    expected = b"".join(piece.data for piece in FaultStream(NOISY, 2 * 9).feed(BLOCK))
    assert expected != BLOCK
    with wire(NOISY, seed=9) as (_, (a, b)):
        thread = send_and_close(a, BLOCK)
        data = bytearray()
        while len(data) < len(expected):
            data += b.recv(65536)
        thread.join()
    assert bytes(data) == expected


def test_a_stall_holds_bytes_back():
    model = FaultModel(stalls_per_byte=1.0, stall_us=50_000)
    with wire(model) as (_, (a, b)):
        begin = time.monotonic()
        a.sendall(b"xy")
        assert b.recv(1) + b.recv(1) == b"xy"
        assert time.monotonic() - begin >= 0.1


def test_a_slow_reader_slows_its_sender():
    with wire(FaultModel()) as (_, (a, b)):
        # A proxy that read on without end would take it all.
        a.settimeout(0.5)
        with pytest.raises(TimeoutError):
            a.sendall(bytes(8_000_000))
        assert len(b.recv(1)) == 1


def test_leaving_ends_the_thread_and_the_wires():
    with wire(NOISY) as (_, (a, b)):
        before = {thread.name for thread in threading.enumerate()}
        assert "fault-proxy" in before
        ends = [a.dup(), b.dup()]
    assert "fault-proxy" not in {thread.name for thread in threading.enumerate()}
    for end in ends:
        end.settimeout(60)
        assert received(end) == b""
        end.close()
