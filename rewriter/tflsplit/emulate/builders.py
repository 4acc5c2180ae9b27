# SPDX-License-Identifier: Apache-2.0
"""Programs that build others, and are ended with everything that they have started.

PlatformIO starts SCons, SCons the compilers: whoever ends only the first leaves the others at work.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

_GRACE_SECONDS = 2.0


class Terminated(BaseException):
    """SIGTERM came; like KeyboardInterrupt nobody takes it for an error."""


def run_builder(
    command: list[str],
    *,
    text: str | None = None,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, and say what it printed.

    text: what it reads.  folder: where it runs.
    Whatever ends the wait (Ctrl-C, SIGTERM) ends the program and all that it has started.
    """
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL if text is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=environment,
        start_new_session=True,
    )
    try:
        out, errors = process.communicate(text)
    except BaseException:
        _end(process)
        raise
    return subprocess.CompletedProcess(command, process.returncode, out, errors)


def _end(process: subprocess.Popen[str]) -> None:
    """Ask the program and its children to end; then make them."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_SECONDS)


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """In the body SIGTERM is ``Terminated``, so that everything is put away; then it ends us."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def terminate(number: int, frame: FrameType | None) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    except Terminated:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
