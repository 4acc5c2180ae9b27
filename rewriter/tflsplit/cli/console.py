# SPDX-License-Identifier: Apache-2.0
"""What the commands share: tables, numbers, progress."""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tflsplit.untrusted import json_lines, lines, one_line

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
"""What a command's ``add_parser`` adds itself to."""


class Screen(Console):
    """A console that what it prints cannot steer.

    Every string that rich renders comes through ``render_str``: lines, titles, cells.
    """

    def render_str(self, text: str, **options: Any) -> Text:
        """The text with escapes for what a terminal would act on; line feeds stay."""
        return super().render_str(lines(text), **options)


# A pipe has no width of its own: room for whole lines, so that other programs can cut them.
# No markup and no emoji anywhere: names of tensors and folders may hold brackets and colons.
STDOUT = Screen(
    highlight=False, markup=False, emoji=False, width=None if sys.stdout.isatty() else 160
)
STDERR = Screen(stderr=True, highlight=False, markup=False, emoji=False)


def write_any_terminal() -> None:
    """Let a terminal or pipe that knows no Unicode get ``?`` instead of an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def print_json(document: Any) -> None:
    """The result of a command for other programs."""
    print(json_lines(json.dumps(document, indent=1, ensure_ascii=False)))


def kib(size_bytes: float | None) -> str:
    """Bytes as people size memory: ``61.2 KiB``; ``–`` where unknown."""
    if size_bytes is None:
        return "–"
    if size_bytes < 1024:
        return f"{size_bytes:.0f} B"
    if size_bytes < 1024 * 1024:
        return f"{size_bytes / 1024:.1f} KiB"
    return f"{size_bytes / 1024 / 1024:.2f} MiB"


def millions(count: float) -> str:
    """Multiply-accumulates in millions."""
    return f"{count / 1e6:.2f} M"


def dropped_note(channels: int, macs: int, left_macs: int) -> str:
    """What is said of channels that were dropped; "" if there are none.

    macs: what that saves; left_macs: what is left.
    """
    if not channels:
        return ""
    which = "1 channel that holds" if channels == 1 else f"{channels:,} channels that hold"
    return (
        f"dropped: {which} the same in every inference, or that nothing reads then; "
        f"saves {millions(macs)} of {millions(macs + left_macs)} MACs, with the same bits"
    )


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; columns whose name begins with ``<`` are left-aligned text, shortened."""
    cells = [[one_line(cell) for cell in row] for row in rows]
    result = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    result.padding = (0, 1, 0, 0)
    for index, column in enumerate(columns):
        left = column.startswith("<")
        result.add_column(
            column.removeprefix("<"),
            justify="left" if left else "right",
            no_wrap=True,
            overflow="ellipsis",
            min_width=0 if left else max(map(len, [column, *(row[index] for row in cells)])),
        )
    for row in cells:
        result.add_row(*row)
    STDOUT.print(result)


def shortened(name: str, width: int = 40) -> str:
    """A tensor's name as converters make them (``a;b;c/long/path``) to fit a column."""
    first = one_line(name.split(";", 1)[0])
    return first if len(first) <= width else "…" + first[1 - width :]


class Stage:
    """A line that says what is being done, for whatever takes a while."""

    def __init__(self, status: Any) -> None:
        self._status = status

    def __call__(self, text: str) -> None:
        """Say what comes next."""
        self._status.update(_spoken(text))


@contextmanager
def progress(text: str) -> Iterator[Stage]:
    """A spinner on the terminal (nothing in a pipe) while the body runs."""
    with STDERR.status(_spoken(text)) as status:
        yield Stage(status)


def _spoken(text: str) -> Text:
    """What stands beside the spinner: rich would take a string for markup there."""
    return Text(one_line(text) + " …")
