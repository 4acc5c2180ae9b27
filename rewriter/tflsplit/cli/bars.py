# SPDX-License-Identifier: Apache-2.0
"""Progress bars, on a terminal only."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from tflsplit.cli.console import STDERR
from tflsplit.untrusted import one_line

Advance = Callable[[int, int], None]
"""Called with (place of the bar, bytes that are done)."""


@contextmanager
def bars(names: Sequence[str], totals_bytes: Sequence[int], quiet: bool) -> Iterator[Advance]:
    """One bar for each name; nothing in a pipe, or if ``quiet``."""
    if quiet or not STDERR.is_terminal:
        yield lambda place, done: None
        return
    columns = (
        TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(),
        TransferSpeedColumn(),
    )  # fmt: skip
    with Progress(*columns, console=STDERR, transient=True) as shown:
        tasks = [
            shown.add_task(one_line(name), total=total)
            for name, total in zip(names, totals_bytes, strict=True)
        ]
        yield lambda place, done: shown.update(tasks[place], completed=done)
