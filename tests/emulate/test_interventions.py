# SPDX-License-Identifier: Apache-2.0
"""Cables cut and exchanged, devices restarted and paused, while a cluster runs."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.emulate.test_cluster import host_devices
from tflsplit.emulate import HOST, Cluster, Port, Wire
from tflsplit.emulate.interventions import (
    WORDS,
    Event,
    cut,
    join,
    pause,
    read_event,
    reset,
    resume,
    swap,
)
from tflsplit.emulate.wiring import NEXT_LINK, PREVIOUS_LINK
from tflsplit.errors import ClusterError

WIRES = (Wire(Port(0, PREVIOUS_LINK), HOST), Wire(Port(0, NEXT_LINK), HOST))
"""One device, both of whose cables end here; it says which port a byte came to."""
BODY = """
import select
ports = {fd(0): b"0", fd(1): b"1"}
count = 0
while True:
    for end in select.select(list(ports), [], [])[0]:
        os.set_blocking(end, False)
        data = os.read(end, 1)
        count += len(data)
        os.write(end, ports[end] + data + b"%d" % count)
"""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(host_devices(tmp_path, 1, BODY), WIRES, pluggable=True) as running:
        for end in running.host_sockets:
            end.settimeout(10)
        yield running


def ask(end: socket.socket, byte: bytes) -> bytes:
    end.sendall(byte)
    return end.recv(100)


def hears_nothing(end: socket.socket, byte: bytes) -> bool:
    end.settimeout(0.3)
    try:
        return not ask(end, byte)
    except TimeoutError:
        return True
    finally:
        end.settimeout(10)


def test_cables_are_exchanged_and_put_right(cluster: Cluster):
    first, second = cluster.host_sockets
    assert (ask(first, b"a"), ask(second, b"b")) == (b"0a1", b"1b2")
    swap(cluster, 0)
    assert (ask(first, b"c"), ask(second, b"d")) == (b"1c3", b"0d4")
    swap(cluster, 0)
    assert (ask(first, b"e"), ask(second, b"f")) == (b"0e5", b"1f6")


def test_a_cable_is_cut_and_joined(cluster: Cluster):
    first, second = cluster.host_sockets
    assert ask(first, b"a") == b"0a1"
    cut(cluster, 0, HOST.rank)  # the first that leads there
    assert hears_nothing(first, b"b")
    assert ask(second, b"c") == b"1c2"
    join(cluster, HOST.rank, 0)
    assert ask(first, b"d") == b"0d3"


def test_a_device_starts_anew_on_the_same_cables(cluster: Cluster):
    first, _ = cluster.host_sockets
    assert ask(first, b"a") == b"0a1"
    reset(cluster, 0)
    assert ask(first, b"b") == b"0b1"  # it has forgotten its count
    cluster.kill(0)
    assert hears_nothing(first, b"c")
    cluster.restart(0)
    assert ask(first, b"d") == b"0d1"  # and what came while it was off


def test_a_device_is_paused_and_resumed(cluster: Cluster):
    first, _ = cluster.host_sockets
    assert ask(first, b"a") == b"0a1"
    pause(cluster, 0)
    assert hears_nothing(first, b"b")
    resume(cluster, 0)
    assert first.recv(100) == b"0b2"


def test_something_happens_at_a_byte(cluster: Cluster):
    first, _ = cluster.host_sockets
    happened = threading.Event()
    cluster.proxy.when_sent(cluster.plugs[Port(0, PREVIOUS_LINK)], 4, happened.set)
    assert ask(first, b"a") == b"0a1"
    assert not happened.is_set()
    assert ask(first, b"b") == b"0"  # the fourth byte; what followed it is lost
    assert happened.is_set()
    assert ask(first, b"c") == b"0c3"


def test_events_in_words():
    assert read_event(" 0.5 reset 2 ", 3) == Event(0.5, "reset", (2,))
    assert read_event("1 cut 0-1", 3) == Event(1.0, "cut", (0, 1))
    for word in WORDS:
        ranks = "0-1" if word in ("cut", "join") else "0"
        assert read_event(f"2 {word} {ranks}", 2).word == word
    for text, wrong in (
        ("reset 2", "write SECONDS WORD RANK"),
        ("-1 reset 2", "write SECONDS WORD RANK"),
        ("1 burn 2", "'burn' is none of kill, start, reset, hang, pause, resume, swap, cut, join"),
        ("1 cut 1", "cut takes two ranks, as in 'cut 0-1'"),
        ("1 kill 0-1", "kill takes one rank"),
        ("1 kill 3", "there is no rank 3 of 3"),
    ):
        with pytest.raises(ClusterError, match=wrong):
            read_event(text, 3)


def test_an_event_happens(cluster: Cluster):
    first, _ = cluster.host_sockets
    read_event("0 swap 0", 1).happen(cluster)
    assert ask(first, b"a") == b"1a1"
    with pytest.raises(ClusterError, match="no cable leads from rank 0 to rank 7"):
        Event(0, "cut", (0, 7)).happen(cluster)


def test_what_cannot_happen_is_told_before(tmp_path: Path):
    with Cluster(host_devices(tmp_path, 1, BODY), WIRES[:1], pluggable=True) as cluster:
        for event in (Event(0, "reset", (0,)), Event(0, "cut", (0, HOST.rank))):
            event.check(cluster)
        with pytest.raises(ClusterError, match="no cable leads from rank 0 to rank 7"):
            Event(0, "join", (0, 7)).check(cluster)
        with pytest.raises(ClusterError, match="rank 0 has not two cables to exchange"):
            Event(0, "swap", (0,)).check(cluster)
