# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C is the parent's business: its worker processes end with it, without a word."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from multiprocessing import resource_tracker


@contextlib.contextmanager
def interrupts_held_back() -> Iterator[None]:
    """Processes that are started in the body never get SIGINT; this one gets it afterwards.

    A terminal sends it to all processes of a command.  A blocked signal is inherited, so not even
    a process that is still importing says something; a handler set by the process comes too late.
    """
    resource_tracker.ensure_running()  # else the first start does, and lets the signal through
    with _noted_only():
        held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, held)


@contextlib.contextmanager
def _noted_only() -> Iterator[None]:
    """An interrupt in the body is raised behind it.

    A mask is a thread's own: where a library has threads (NumPy's BLAS), one of them takes the
    signal, and Python raises KeyboardInterrupt in the main thread all the same, between the start
    of a process and the line that would remember to end it.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before is None:
        yield  # Python's handlers run in the main thread only; None: not Python's to restore
        return
    came: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if came:
            signal.raise_signal(signal.SIGINT)
