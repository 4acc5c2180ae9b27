# SPDX-License-Identifier: Apache-2.0
"""What the commands share: tables, numbers, progress."""

from __future__ import annotations

import argparse
import io
import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

from rich import box
from rich.console import Console
from rich.status import Status
from rich.table import Table
from rich.text import Text

from tflsplit.cli.columns import blocks, fitted, is_text, shortened_name
from tflsplit.errors import ranks_named
from tflsplit.report.figures import millions
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


PIPE_WIDTH = 100_000
"""A pipe has no width of its own: room for whole lines, so that other programs can cut them."""

# No markup and no emoji anywhere: names of tensors and folders may hold brackets and colons.
# Colours switch themselves off in pipes and where NO_COLOR is set.
# Sentences break between words on a terminal; commands and paths, with ``soft_wrap``, stay whole.
STDOUT = Screen(
    highlight=False, markup=False, emoji=False, width=None if sys.stdout.isatty() else PIPE_WIDTH
)
STDERR = Screen(
    stderr=True,
    highlight=False,
    markup=False,
    emoji=False,
    width=None if sys.stderr.isatty() else PIPE_WIDTH,
)


class _Loudness:
    """What -q and -v asked for."""

    quiet = False
    verbose = False


def set_loudness(quiet: bool, verbose: bool) -> None:
    """-q: no results, but errors and warnings; -v: a line for each stage, with its time."""
    _Loudness.quiet, _Loudness.verbose = quiet, verbose
    STDOUT.quiet = quiet


def write_any_terminal() -> None:
    """Let a terminal or pipe that knows no Unicode get ``?`` instead of an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def print_json(document: Any) -> None:
    """The result of a command for other programs."""
    print(json_lines(json.dumps(document, indent=1, ensure_ascii=False)))


def about_ms(us: float) -> str:
    """A time that is known roughly: ``1,234 ms``, ``0.4 ms``."""
    return f"{us / 1000:,.0f} ms" if us >= 10_000 else f"{us / 1000:.1f} ms"


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


def note(text: str) -> None:
    """Say on standard error what somebody may not expect; with -q it is not said."""
    if not _Loudness.quiet:
        STDERR.print(f"note: {text}")


def warn(texts: Iterable[str]) -> None:
    """Say on standard error what will not work."""
    for text in texts:
        STDERR.print(f"warning: {text}")


def ranks_text(ranks: tuple[int, ...]) -> str:
    """``rank 3 is``, ``ranks 5, 6, 7 are``, ``ranks 5 to 15 are``."""
    return f"{ranks_named(ranks)} {'is' if len(ranks) == 1 else 'are'}"


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; columns whose name begins with ``<`` are text, left-aligned.

    Nothing is left out.  Where the terminal is too narrow, names are shortened and text wraps
    (``columns.fitted``); if that is not enough, the other columns follow in a second table below.
    In a pipe, every cell is whole.
    """
    cells = [[one_line(cell) for cell in row] for row in rows]
    for part in blocks(columns, cells, STDOUT.width):
        _print_block(title, [columns[i] for i in part], [[row[i] for i in part] for row in cells])
        title = f"{title}, continued" if not title.endswith(", continued") else title


def _print_block(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    STDOUT.print(title, style="bold")
    result = Table(box=box.SIMPLE_HEAD)
    result.padding = (0, 1, 0, 0)
    for column, width in zip(columns, fitted(columns, rows, STDOUT.width), strict=True):
        justify: Any = "left" if is_text(column) else "right"
        result.add_column(column.removeprefix("<"), justify=justify, width=width, overflow="fold")
    widths = [column.width or 0 for column in result.columns]
    for row in rows:
        result.add_row(*map(shortened_name, row, widths))
    if STDOUT.is_terminal:
        STDOUT.print(result)
        return
    with STDOUT.capture() as printed:
        STDOUT.print(result)
    for line in printed.get().splitlines():
        STDOUT.out(line.rstrip(), highlight=False)


def shortened(name: str, width: int = 40) -> str:
    """A tensor's name as converters make them (``a;b;c/long/path``) to fit a column.

    In a pipe, all of it.
    """
    if not STDOUT.is_terminal:
        return one_line(name)
    first = one_line(name.split(";", 1)[0])
    return first if len(first) <= width else "…" + first[1 - width :]


class Stage:
    """A line that says what is being done, for whatever takes a while."""

    def __init__(self, status: Status | None, text: str) -> None:
        self._status = status
        self._text, self._begun = text, time.monotonic()

    def __call__(self, text: str) -> None:
        """Say what comes next."""
        self.end()
        self._text, self._begun = text, time.monotonic()
        if self._status is not None:
            self._status.update(_spoken(text))

    def end(self) -> None:
        """With -v, say how long the last took."""
        if _Loudness.verbose:
            seconds = time.monotonic() - self._begun
            STDERR.print(f"{one_line(self._text)}: {seconds:.2f} s", soft_wrap=True)


@contextmanager
def progress(text: str) -> Iterator[Stage]:
    """A spinner on the terminal (nothing in a pipe) while the body runs; with -v, lines."""
    if _Loudness.quiet or _Loudness.verbose:
        stage = Stage(None, text)
        yield stage
        stage.end()
        return
    with STDERR.status(_spoken(text)) as status:
        yield Stage(status, text)


def _spoken(text: str) -> Text:
    """What stands beside the spinner: rich would take a string for markup there."""
    return Text(one_line(text) + " …")
