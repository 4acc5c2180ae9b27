# SPDX-License-Identifier: Apache-2.0
"""Options that are tried for the least RAM alone, whatever time they take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tflsplit.planner.options import Option

NARROW = tuple(
    Option(split, narrow=columns) for split in ("whole", "rows", "columns") for columns in (8, 2, 1)
)
"""For the least RAM: windows of eight columns are worked on in fours, those of two take less, and
those of one the least."""

ROLLING = tuple(
    Option(split, narrow=columns, sweeps=sweeps)
    for split in ("whole", "columns", "rows")
    for columns in (4, 1)
    for sweeps in (1, 2, 4)
)
"""For the least RAM: the first blocks as one operator over an input that is never there whole."""

HOSTED = (5, 10)
"""Numbers of tiles in which the input may come; an operator's result has at most 10."""


def hosted(options: Sequence[Option]) -> tuple[Option, ...]:
    """The options with the input in tiles, of those that are not in tiles themselves."""
    return tuple(
        replace(option, hosted=tiles) for option in options if not option.small for tiles in HOSTED
    )
