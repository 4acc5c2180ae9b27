# SPDX-License-Identifier: Apache-2.0
"""A thread that collects what a device prints."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import IO


class Console:
    """Lines that one device has printed, in order.

    Args:
        stream: the read end of the device's output; read to its end, then closed.
        on_line: called from the reading thread with every line.
    """

    def __init__(self, stream: IO[bytes], on_line: Callable[[str], None] | None = None) -> None:
        self._stream = stream
        self._on_line = on_line
        self._lines: list[str] = []
        self._changed = threading.Condition()
        self._ended = False
        self._thread = threading.Thread(target=self._read, name="console", daemon=True)
        self._thread.start()

    @property
    def lines(self) -> tuple[str, ...]:
        """What was printed so far, without line ends."""
        with self._changed:
            return tuple(self._lines)

    def wait_for(self, text: str, timeout_seconds: float) -> str | None:
        """Returns the first line that contains ``text``; ``None`` if none comes in time."""
        deadline = time.monotonic() + timeout_seconds
        seen = 0
        with self._changed:
            while True:
                for line in self._lines[seen:]:
                    if text in line:
                        return line
                seen = len(self._lines)
                remaining = deadline - time.monotonic()
                if self._ended or remaining <= 0:
                    return None
                self._changed.wait(remaining)

    def join(self, timeout_seconds: float) -> None:
        """Waits for the end of the output, which follows the end of the device."""
        self._thread.join(timeout_seconds)

    def _read(self) -> None:
        with self._stream:
            for raw in self._stream:
                line = raw.decode("utf-8", "replace").rstrip("\r\n")
                with self._changed:
                    self._lines.append(line)
                    self._changed.notify_all()
                if self._on_line is not None:
                    self._on_line(line)
        with self._changed:
            self._ended = True
            self._changed.notify_all()
