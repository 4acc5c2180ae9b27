# SPDX-License-Identifier: Apache-2.0
"""Chips of several makers in one ring, and the port that leads to the host."""

from __future__ import annotations

import contextlib
import random
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.firmware.rings import MANY_FAULTS, TIMEOUT_SECONDS, frames_resent, run
from tflsplit.emulate import HOST, Cluster, Device, Port, Wire
from tflsplit.emulate.wiring import HOST_LINK

pytestmark = pytest.mark.usefixtures("arm_compiler", "qemu", "rp2040js")
RING = ["stm32f405", "rp2040", "stm32f405", "mps3_an547"]
ECHO_BYTES = 300
ECHO = f"""
#include "split_port/port.h"
// Gives back what the host sends, one more each; what is printed afterwards would be among it.
int split_app_main() {{
  split_port::console_write("before\\n");
  split_core::ByteStream& host = split_port::link(split_port::host_link());
  split_port::console_write("never\\n");
  for (size_t echoed = 0; echoed < {ECHO_BYTES};) {{
    uint8_t bytes[64];
    const size_t count = host.read(split_core::MutableBytes(bytes, sizeof bytes));
    for (size_t index = 0; index < count; ++index) ++bytes[index];
    for (size_t given = 0; given < count;) {{
      given += host.write(split_core::ConstBytes(bytes + given, count - given));
    }}
    echoed += count;
    split_port::clock().idle();
  }}
  return 0;
}}
"""


def test_bytes_round_a_mixed_ring(platformio: Any):
    run(platformio, "uart_ring", RING, total_bytes=4_000)


def test_all_gather_in_a_mixed_ring_with_faults(platformio: Any):
    ends = run(platformio, "all_gather", RING, 8_192, faults=MANY_FAULTS, seed=2)
    assert frames_resent(ends) > 0


def received(host: socket.socket, count: int) -> bytes:
    """As many bytes, or those until the device has ended."""
    host.settimeout(TIMEOUT_SECONDS)
    data = b""
    with contextlib.suppress(ConnectionResetError):  # it ended without reading all
        while len(data) < count and (more := host.recv(count - len(data))):
            data += more
    return data


@pytest.mark.parametrize("board", ["stm32f405", "rp2040"])
def test_the_console_falls_silent_when_its_port_is_the_hosts(
    platformio: Any, tmp_path: Path, board: str
):
    source = tmp_path / "selftest" / "uart_ring" / "main.cc"
    source.parent.mkdir(parents=True)
    source.write_text(ECHO)
    (tmp_path / "src").mkdir()
    workspace = tmp_path / "workspace"
    built = platformio.run(
        *("run", "-s", "-e", f"uart_ring_{board}"),
        PLATFORMIO_SRC_DIR=str(tmp_path / "src"),
        PLATFORMIO_WORKSPACE_DIR=str(workspace),
    )
    assert built.returncode == 0, built.stdout + built.stderr
    program = workspace / "build" / f"uart_ring_{board}" / "firmware.elf"
    data = random.Random(1).randbytes(2 * ECHO_BYTES)
    with Cluster([Device(program, board)], [Wire(Port(0, HOST_LINK), HOST)]) as cluster:
        (host,) = cluster.host_sockets
        assert received(host, len(b"before\n")) == b"before\n"
        # More than it gives back: an emulated PIO UART may lose some on a busy computer, which the
        # link layer would send again.
        host.sendall(data)
        echoed = received(host, 2 * ECHO_BYTES)
        (end,) = cluster.wait(TIMEOUT_SECONDS)
    assert end.status == 0, end.console
    assert echoed[:3] == bytes((byte + 1) % 256 for byte in data[:3])
    assert len(echoed) > ECHO_BYTES / 2
    assert b"never" not in echoed
