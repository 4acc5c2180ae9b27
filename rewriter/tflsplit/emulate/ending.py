# SPDX-License-Identifier: Apache-2.0
"""What is left when a device's program ends."""

from __future__ import annotations

import socket
import subprocess


def drain(end: socket.socket) -> None:
    """Forget what nobody has read."""
    try:
        while end.recv(4096, socket.MSG_DONTWAIT):
            pass
    except OSError:
        pass  # nothing is left


def ended(process: subprocess.Popen[bytes], timeout_seconds: float) -> bool:
    """Whether a program has ended by then."""
    try:
        process.wait(timeout_seconds)
    except subprocess.TimeoutExpired:
        return False
    return True
