# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C is the parent's business: its worker processes end with it, without a word."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from multiprocessing import resource_tracker


@contextlib.contextmanager
def interrupts_held_back() -> Iterator[None]:
    """Processes that are started in the body never get SIGINT; this one gets it afterwards.

    A terminal sends it to all processes of a command.  A blocked signal is inherited, so not even
    a process that is still importing says something; a handler set by the process comes too late.
    """
    resource_tracker.ensure_running()  # else the first start does, and lets the signal through
    held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)
