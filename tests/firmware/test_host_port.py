# SPDX-License-Identifier: Apache-2.0
"""The links that a device process opens by itself: TCP, ptys, and what it refuses."""

import os
import pty
import socket
import subprocess
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

BYTES = 20_000
TIMEOUT_SECONDS = 60


@contextmanager
def device(program: Path, **links: str) -> Iterator[subprocess.Popen[str]]:
    """A ring of one that closes through this test: link 1 sends, link 0 receives."""
    words = [f"{key}={value}" for key, value in links.items()]
    process = subprocess.Popen(
        [program, "rank=0", "world_size=1", f"bytes={BYTES}", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def relay(source: int, sink: int) -> None:
    """Copies until the source ends; a pty whose other side closes reports an error instead."""
    try:
        while data := os.read(source, 4096):
            while data:
                data = data[os.write(sink, data) :]
    except OSError:
        return


def join_ends(out: int, into: int, process: subprocess.Popen[str]) -> str:
    for ends in ((out, into), (into, out)):
        Thread(target=relay, args=ends, daemon=True).start()
    printed, _ = process.communicate(timeout=TIMEOUT_SECONDS)
    return printed


@pytest.mark.usefixtures("host_compiler")
def test_a_ring_over_tcp(platformio: Any):
    (program,) = platformio.build("uart_ring_host")
    with socket.create_server(("127.0.0.1", 0)) as server:
        where = f"tcp:127.0.0.1:{server.getsockname()[1]}"
        with device(program, link0=where, link1=where) as process:
            into, _ = server.accept()  # link 0 connects first
            out, _ = server.accept()
            with into, out:
                assert "PASS uart_ring" in join_ends(out.fileno(), into.fileno(), process)
                assert process.returncode == 0


@pytest.mark.usefixtures("host_compiler")
def test_a_ring_over_ptys(platformio: Any):
    (program,) = platformio.build("uart_ring_host")
    ends = [pty.openpty() for _ in range(2)]
    for ours, theirs in ends:
        tty.setraw(ours)
        tty.setraw(theirs)
    names = {f"link{index}": os.ttyname(theirs) for index, (_, theirs) in enumerate(ends)}
    with device(program, **names) as process:
        assert "PASS uart_ring" in join_ends(ends[1][0], ends[0][0], process)
        assert process.returncode == 0
    for end in (end for pair in ends for end in pair):
        os.close(end)


@pytest.mark.usefixtures("host_compiler")
@pytest.mark.parametrize("where", ["fd:99", "fd:x", "tcp:127.0.0.1", "tcp:127.0.0.1:1", "none"])
def test_a_link_that_cannot_be_opened_is_named(platformio: Any, where: str):
    (program,) = platformio.build("uart_ring_host")
    result = subprocess.run(
        [program, f"link1={where}"], capture_output=True, text=True, timeout=TIMEOUT_SECONDS
    )
    assert result.returncode == 2
    assert result.stderr.startswith(f"link1={where} cannot be opened; give fd:N, tcp:HOST:PORT")


@pytest.mark.usefixtures("host_compiler")
def test_a_silent_ring_ends(platformio: Any):
    (program,) = platformio.build("uart_ring_host")
    result = subprocess.run(
        [program, "silence_ms=100"], capture_output=True, text=True, timeout=TIMEOUT_SECONDS
    )
    assert result.returncode == 1
    assert result.stdout == "FAIL uart_ring: silence at byte 0\n"


@pytest.mark.usefixtures("host_compiler")
@pytest.mark.parametrize("is_segment", [False, True])
def test_a_device_whose_cluster_is_gone_ends(platformio: Any, is_segment: bool):
    """Killed, a host closes no device: its wires are all that tells."""
    (program,) = platformio.build("uart_ring_host")
    kind = socket.SOCK_SEQPACKET if is_segment else socket.SOCK_STREAM
    key = "segment" if is_segment else "link0"
    ours, theirs = socket.socketpair(socket.AF_UNIX, kind)
    with ours, theirs:
        words = ["silence_ms=3600000", f"{key}=fd:{theirs.fileno()}"]
        process = subprocess.Popen(
            [program, *words], stderr=subprocess.PIPE, text=True, pass_fds=[theirs.fileno()]
        )
        theirs.close()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.3)
        ours.close()
        _, told = process.communicate(timeout=TIMEOUT_SECONDS)
    assert (process.returncode, told) == (3, "all links are closed; the program ends\n")
