# SPDX-License-Identifier: Apache-2.0
"""However long somebody waits for boards: not beyond a limit.

Whatever waits, waits at a port: looks, sessions, roll calls, inferences.  So the ports of a service
end all of it, and no loop above them has to know the time::

    with limit.within(60.0, "a look for the boards"):
        ...        # OverError from the first wait behind 60 s: "a look for the boards took longer"
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tflsplit.errors import LinkError
from tflsplit.host.ports import Stream


class OverError(LinkError):
    """A limit is over."""


class Limit:
    """Of all ports of a service.  clock: seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: tuple[float, str] | None = None

    @contextmanager
    def within(self, seconds: float | None, what: str) -> Iterator[None]:
        """Nothing in the body waits longer; None: as long as it did before.

        Of limits one in another the sooner counts.
        """
        before = self._until
        if seconds is not None:
            mine = self._clock() + seconds, f"{what} took longer than {seconds:g} s"
            self._until = mine if before is None else min(before, mine)
        try:
            yield
        finally:
            self._until = before

    def check(self) -> None:
        """Raises OverError, saying what took too long, once it has."""
        if self._until is not None and self._clock() > self._until[0]:
            raise OverError(self._until[1])


class BoundedStream:
    """A port of a service; inner: the port itself."""

    def __init__(self, inner: Stream, limit: Limit) -> None:
        self.inner = inner
        self.name = inner.name
        self._limit = limit
        self.waits_on = inner.waits_on
        self.close = inner.close

    def receive(self, timeout_seconds: float) -> bytes:
        """See ``Stream``; OverError, too, when the limit is over."""
        self._limit.check()
        return self.inner.receive(timeout_seconds)

    def send(self, data: bytes) -> None:
        """See ``Stream``."""
        self.inner.send(data)
