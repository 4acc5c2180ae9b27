# SPDX-License-Identifier: Apache-2.0
"""Lines from a descriptor and from clients of a port, whole ones and others."""

from __future__ import annotations

import os
import socket

import pytest

from tflsplit.errors import ClusterError, UserError
from tflsplit.serving import lines as module
from tflsplit.serving.lines import Lines, Listener, address_of, lines_of_descriptor, split_lines


def taken(lines: Lines) -> list[bytes | None]:
    """All of them, to the end."""
    found = []
    while not lines.ended:
        line = lines.take(5.0)
        if line is not None:
            found.append(line.data)
    return found


def test_lines_are_whole_however_they_come():
    read, write = os.pipe()
    os.write(write, b'{"a"')
    lines = lines_of_descriptor(read, lambda text: None)
    os.write(write, b": 1}\n\n  \nb\nc")
    os.close(write)
    assert taken(lines) == [b'{"a": 1}', b"b", b"c"]
    os.close(read)
    assert Lines().take(0.001) is None


def test_line_without_end_is_not_kept(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "MOST_LINE_BYTES", 10)
    lines = Lines()
    split_lines(lambda: b"x" * 8, lambda text: None, lines)
    lines.put(None)
    assert taken(lines) == [None]


def test_clients_are_answered_each_for_itself_and_told_of_events():
    with Listener("127.0.0.1", 0) as listener:
        one = socket.create_connection(("127.0.0.1", listener.port))
        two = socket.create_connection(("127.0.0.1", listener.port))
        with one, two:
            one.sendall(b"first\n")
            first = listener.lines.take(5.0)
            two.sendall(b"second\n")
            second = listener.lines.take(5.0)
            assert first is not None
            assert second is not None
            second.write("to two\n")
            first.write("to one\n")
            assert one.recv(100) == b"to one\n"
            assert two.recv(100) == b"to two\n"
            listener.write_all("event\n")
            assert one.recv(100) == two.recv(100) == b"event\n"
            one.shutdown(socket.SHUT_WR)  # it has asked for all that it wants
            last = listener.lines.take(5.0)
            assert last is not None
            assert last.data == b""
            last.write("")
            assert one.recv(100) == b""
        with pytest.raises(ClusterError, match=f"port {listener.port} of 127.0.0.1 cannot be had"):
            Listener("127.0.0.1", listener.port)


def test_a_client_that_is_gone_harms_nobody():
    with Listener("127.0.0.1", 0) as listener:
        with socket.create_connection(("127.0.0.1", listener.port)) as client:
            client.sendall(b"question\n")
            line = listener.lines.take(5.0)
        assert line is not None
        for _ in range(3):
            line.write("x" * 100_000)
        listener.write_all("event\n")


@pytest.mark.parametrize("text", ["", "x", "1:2:x", "70000", "-1"])
def test_no_address(text: str):
    with pytest.raises(UserError, match="--listen takes PORT or ADDRESS:PORT"):
        address_of(text)


def test_only_this_computer_unless_an_address_is_named():
    assert address_of("5000") == ("127.0.0.1", 5000)
    assert address_of("0.0.0.0:5000") == ("0.0.0.0", 5000)
