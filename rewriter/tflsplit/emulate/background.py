# SPDX-License-Identifier: Apache-2.0
"""A thread that looks after sockets, and that others can wake: to look again, or to end."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

_WORDS_BYTES = 4096


class Background:
    """Runs a function beside the caller, until it is told to stop.

    The function waits for ``woken`` to be readable, too, calls ``heed`` if it is, and returns once
    ``stopping`` holds.
    """

    def __init__(self, name: str, run: Callable[[], None]) -> None:
        self.woken, self._waker = socket.socketpair()
        self.stopping = False
        self._thread = threading.Thread(target=run, name=name, daemon=True)

    def start(self) -> None:
        """Begin; once."""
        self._thread.start()

    def wake(self) -> None:
        """Let it look again at what it does."""
        self._waker.send(b"!")

    def heed(self) -> None:
        """To be called by the function: it is awake."""
        self.woken.recv(_WORDS_BYTES)

    def stop(self) -> None:
        """Wait until it has ended."""
        self.stopping = True
        self.wake()
        self._thread.join()
        for end in (self.woken, self._waker):
            end.close()
