# SPDX-License-Identifier: Apache-2.0
"""Makes the main program of an emulated board hang: an endless loop where it just is.

Interrupts go on, as they do when a program on a board hangs, so that only the board's watchdog
brings it back.  QEMU has no word for that, but a port for debuggers, which its control socket opens
and closes again; through it the next instructions become branches to themselves.  A reset loads the
program anew.
"""

from __future__ import annotations

import json
import re
import socket
import tempfile
import time
from pathlib import Path

from tflsplit.errors import ClusterError

_ENDLESS = bytes.fromhex("fee7") * 5
"""Thumb's ``b .``, five times: four that an IT block may skip, and one that nothing does."""
_PC = 15
_OPEN_SECONDS = 10.0
_PACKET = re.compile(rb"\$((?!T)[^#]*)#[0-9a-f]{2}")
"""Any but a stop's."""


def hang_in_qemu(control: socket.socket, rank: int) -> None:
    """The program of one board hangs from now on.

    control: the machine's control socket.
    Raises ClusterError if the emulator does not answer.
    """
    with tempfile.TemporaryDirectory(prefix="tflsplit-hang-") as folder:
        path = Path(folder, "gdb")
        _say(control, f"gdbserver unix:{path},server=on,wait=off")
        try:
            with _connected(path) as debugger:
                _write_loop(debugger)
        except OSError as error:
            raise ClusterError(f"the emulator of rank {rank} opens no port: {error}") from None
        finally:
            _say(control, "gdbserver none")


def _say(control: socket.socket, line: str) -> None:
    for request in (
        {"execute": "qmp_capabilities"},
        {"execute": "human-monitor-command", "arguments": {"command-line": line}},
    ):
        control.sendall(json.dumps(request).encode())


def _connected(path: Path) -> socket.socket:
    deadline = time.monotonic() + _OPEN_SECONDS
    while True:
        end = socket.socket(socket.AF_UNIX)
        try:
            end.settimeout(_OPEN_SECONDS)
            end.connect(str(path))
            return end
        except OSError:
            end.close()
            if time.monotonic() > deadline:
                raise
        time.sleep(0.02)


def _write_loop(debugger: socket.socket) -> None:
    """By GDB's remote protocol; the machine stands while somebody is connected."""
    registers = bytes.fromhex(_ask(debugger, "g"))
    pc = int.from_bytes(registers[4 * _PC : 4 * _PC + 4], "little") & ~1
    answer = _ask(debugger, f"M{pc:x},{len(_ENDLESS):x}:{_ENDLESS.hex()}")
    if answer != "OK":
        raise OSError(f"its debugger says {answer!r}")
    _ask(debugger, "D")  # and it goes on


def _ask(debugger: socket.socket, text: str) -> str:
    """A packet and its answer: ``$text#checksum``, which each side acknowledges by ``+``.

    Before the first answer it may say on its own that the machine stopped (``T02thread:01;``).
    """
    debugger.sendall(f"${text}#{sum(text.encode()) & 0xFF:02x}".encode())
    said = b""
    while (found := _PACKET.search(said)) is None:
        said += debugger.recv(4096) or _gone()
    debugger.sendall(b"+")
    return found[1].decode()


def _gone() -> bytes:
    raise OSError("it has gone away")
