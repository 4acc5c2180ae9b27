# SPDX-License-Identifier: Apache-2.0
"""How wide the columns of a table are, where the terminal is narrower than they would like.

::

    wanted    # name                         MACs  can be split by
    80        0 …tion_1/Relu6;batch_norm/b  1.2 M  rows:49 columns:10       text wraps
                                                   out_channels:64
    40        # and MACs; then # and the others, in a second table           nothing is left out
"""

from __future__ import annotations

from collections.abc import Sequence

NAME, TEXT = 18, 12
"""Least width of a column of names, which are shortened, and of text, which wraps."""

_GAP = 2


def is_text(column: str) -> bool:
    """Whether a column holds text: its name begins with ``<``."""
    return column.startswith("<")


def fitted(columns: Sequence[str], rows: Sequence[Sequence[str]], room: int) -> list[int]:
    """The width of each column in ``room`` characters; more than that where even least do not fit.

    Numbers keep their width; the widest text gives way first.
    """
    widths, least = _wanted(columns, rows), _least(columns, rows)
    over = _total(widths) - room
    while over > 0:
        at = max(range(len(widths)), key=lambda i: (widths[i] > least[i], widths[i]))
        if widths[at] <= least[at]:
            break
        widths[at] -= 1
        over -= 1
    return widths


def blocks(columns: Sequence[str], rows: Sequence[Sequence[str]], room: int) -> list[list[int]]:
    """The columns, by index, of each table that it takes; the first one leads each of them."""
    least = _least(columns, rows)
    found: list[list[int]] = [[]]
    for index, width in enumerate(least):
        taken = _total([least[i] for i in found[-1]])
        if len(found[-1]) > 1 and taken + width + _GAP > room:
            found.append([0])
        found[-1].append(index)
    return found


def shortened_name(cell: str, width: int) -> str:
    """One word that is too long for its column, without its beginning; other text as it is."""
    return cell if len(cell) <= width or " " in cell or width < 2 else "…" + cell[1 - width :]


def _wanted(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    return [
        max([len(column.removeprefix("<")), *(len(row[index]) for row in rows)])
        for index, column in enumerate(columns)
    ]


def _least(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    least = []
    for index, (column, wanted) in enumerate(zip(columns, _wanted(columns, rows), strict=True)):
        names = not any(" " in row[index] for row in rows)
        words = [len(word) for row in rows for word in row[index].split()]
        narrow = NAME if names else max([TEXT, *(min(size, 2 * TEXT) for size in words)])
        least.append(min(wanted, max(narrow, len(column) - 1)) if is_text(column) else wanted)
    return least


def _total(widths: Sequence[int]) -> int:
    """Of a whole table, with the gap after each column and the margin before the first."""
    return sum(widths) + _GAP * len(widths) + 1
