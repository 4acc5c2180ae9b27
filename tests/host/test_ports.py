# SPDX-License-Identifier: Apache-2.0
"""Streams: sockets, TCP, pseudo-terminals; and what is said when they cannot be opened."""

from __future__ import annotations

import os
import socket
import sys
import time
from pathlib import Path

import pytest

from tflsplit.errors import LinkError
from tflsplit.host import SocketStream, Stream, open_port


def received(stream: Stream, count: int) -> bytes:
    data = b""
    deadline = time.monotonic() + 60
    while len(data) < count and time.monotonic() < deadline:
        data += stream.receive(0.05)
    return data


def test_what_finds_no_room_leaves_later():
    ours, theirs = socket.socketpair()
    block = os.urandom(3_000_000)
    stream = SocketStream(ours)
    stream.send(block)  # returns at once
    theirs.settimeout(60)
    got = b""
    while len(got) < len(block):
        stream.receive(0)
        try:
            got += theirs.recv(1 << 20)
        except TimeoutError:
            pytest.fail("the rest never left")
    assert got == block
    theirs.close()
    stream.close()


def test_an_end_that_closes_is_told():
    ours, theirs = socket.socketpair()
    stream = SocketStream(ours, "the port")
    assert stream.receive(0.01) == b""
    theirs.close()
    with pytest.raises(LinkError, match=r"^the port is gone: it was closed at the other end$"):
        stream.receive(0.5)
    with pytest.raises(LinkError, match=r"^the port is gone: "):
        stream.send(b"x")
    stream.close()


def test_tcp():
    with socket.create_server(("127.0.0.1", 0)) as server:
        stream = open_port(f"socket://127.0.0.1:{server.getsockname()[1]}")
        peer, _ = server.accept()
        with peer:
            stream.send(b"out")
            assert peer.recv(10) == b"out"
            peer.sendall(b"in")
            assert received(stream, 2) == b"in"
        stream.close()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("socket://nowhere", "not socket://host:port"),
        ("socket://127.0.0.1:abc", "not socket://host:port"),
        ("socket://127.0.0.1:99999", "cannot be opened"),
        ("socket://127.0.0.1:1", "socket://127.0.0.1:1 cannot be opened: "),
    ],
)
def test_wrong_urls(url: str, message: str):
    with pytest.raises(LinkError, match=message):
        open_port(url)


def needs_pyserial() -> None:
    pytest.importorskip("serial", reason="needs pyserial: pip install '.[host]'")


def test_a_pseudo_terminal():
    needs_pyserial()
    if sys.platform == "win32":
        pytest.skip("needs pseudo-terminals, which Windows does not have")
    import pty
    import tty

    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    stream = open_port(os.ttyname(theirs), 1_000_000)
    try:
        every_byte = bytes(range(256))
        stream.send(every_byte)
        assert os.read(ours, 300) == every_byte
        os.write(ours, every_byte)
        assert received(stream, 256) == every_byte
        assert stream.receive(0.01) == b""
    finally:
        stream.close()
        os.close(ours)
        os.close(theirs)


def test_a_port_that_is_not_there(tmp_path: Path):
    needs_pyserial()
    with pytest.raises(LinkError, match=r"none cannot be opened: No such file"):
        open_port(str(tmp_path / "none"))


def test_a_missing_pyserial_is_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "serial", None)
    with pytest.raises(LinkError, match=r"pip install 'tflsplit\[host\]'"):
        open_port("/dev/ttyACM0")
