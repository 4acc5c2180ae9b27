# SPDX-License-Identifier: Apache-2.0
"""Options that are tried for the least RAM alone, whatever time they take."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache

from tflsplit.planner.cost.evaluate import Step
from tflsplit.planner.ways.options import Option

HasRoom = Callable[[Step], bool]
"""Whether a step needs no more than a limit; that takes most of an evaluation."""

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


@lru_cache(maxsize=64)
def by_windows(
    options: tuple[Option, ...], together: bool = True
) -> tuple[tuple[Option, ...], ...]:
    """The options, those together that differ in the width of their windows only.

    The wider, the quicker, with the same operators and the same layouts: where a wide one has room
    nobody needs a narrow one, and where the narrowest has none, none has.  So that comes first in
    its group, and then the others, the widest first.

    together: if not, each is by itself.
    """
    groups: dict[Option, list[Option]] = {}
    for option in options:
        groups.setdefault(
            replace(option, narrow=bool(option.narrow)) if together else option, []
        ).append(option)
    return tuple(map(_narrowest_first, groups.values()))


def _narrowest_first(options: Sequence[Option]) -> tuple[Option, ...]:
    *wider, narrowest = sorted(options, key=lambda option: -option.narrow)
    return narrowest, *wider


def widest(narrowest_first: Iterator[Step | None], has_room: HasRoom | None) -> Step | None:
    """Of the steps of such a group that which has room, made as far as it takes to say."""
    narrowest = next(narrowest_first)
    if has_room is None or (narrowest is not None and not has_room(narrowest)):
        return None
    wider = (step for step in narrowest_first if step is not None and has_room(step))
    return next(wider, narrowest)
