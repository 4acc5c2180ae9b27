# SPDX-License-Identifier: Apache-2.0
"""An interrupt while a process starts comes behind it, whichever thread takes the signal."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable

import pytest

from tflsplit.runtime.interrupts import interrupts_held_back


def to_this_thread() -> None:
    signal.raise_signal(signal.SIGINT)


def to_another_thread() -> None:
    """As one of NumPy's takes it; Python's handler then runs here, in the main thread."""
    GO.release()
    assert WENT.acquire(timeout=60)


GO, WENT = threading.Semaphore(0), threading.Semaphore(0)


def taking_it() -> None:
    assert GO.acquire(timeout=60)
    signal.raise_signal(signal.SIGINT)
    WENT.release()


@pytest.mark.parametrize("interrupt", [to_this_thread, to_another_thread])
def test_it_comes_behind_the_body(interrupt: Callable[[], None]):
    before, reached = signal.getsignal(signal.SIGINT), []
    if interrupt is to_another_thread:  # its mask is that of before the body
        threading.Thread(target=taking_it).start()
    with pytest.raises(KeyboardInterrupt), interrupts_held_back():  # noqa: PT012
        interrupt()
        reached.append("the end of the body")
    assert reached == ["the end of the body"]
    assert signal.getsignal(signal.SIGINT) is before
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, set())


def test_nothing_happens_without_one():
    with interrupts_held_back():
        assert signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, set())
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, set())


def test_another_threads_processes_start_too():
    """Only the main thread may set a handler."""
    failed: list[BaseException] = []

    def body() -> None:
        try:
            test_nothing_happens_without_one()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert not failed
