# SPDX-License-Identifier: Apache-2.0
"""Shapes that a JSON document must have, as values; every violation with its place.

::

    Record({"rank": Whole(0, 63), "box": ListOf(Whole(0, MOST))})
        .problems({"rank": -1}, "devices[2]")
    ->  devices[2].rank: -1 is not a whole number from 0 to 63
        devices[2].box is missing

A dozen lines a type: jsonschema, msgspec and pydantic are each larger than what they would check.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from tflsplit.untrusted import one_line

MAX_NAME_CHARACTERS = 4096
_SHOWN_CHARACTERS = 40


class Shape(Protocol):
    """What a value must be."""

    def problems(self, value: Any, at: str) -> Iterator[str]:
        """Every violation, as text; ``at`` is the place of the value."""


def _shown(value: Any) -> str:
    """The value in a message: short, and made of nothing that a terminal would act on."""
    if isinstance(value, (dict, list)):
        return "an object" if isinstance(value, dict) else "a list"
    text = one_line(str(value)[: 2 * _SHOWN_CHARACTERS])
    short = text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"
    return f"'{short}'" if isinstance(value, str) else short


@dataclass(frozen=True)
class Anything:
    """Any value."""

    def problems(self, value: Any, at: str) -> Iterator[str]:
        """See ``Shape``."""
        return iter(())


@dataclass(frozen=True)
class Whole:
    """A whole number from ``low`` to ``high``."""

    low: int
    high: int

    def problems(self, value: Any, at: str) -> Iterator[str]:
        """See ``Shape``."""
        if type(value) is not int or not self.low <= value <= self.high:
            yield f"{at}: {_shown(value)} is not a whole number from {self.low} to {self.high}"


@dataclass(frozen=True)
class Number:
    """A finite number from ``low`` to ``high``."""

    low: float
    high: float

    def problems(self, value: Any, at: str) -> Iterator[str]:
        """See ``Shape``."""
        good = type(value) in (int, float) and math.isfinite(value)
        if not good or not self.low <= value <= self.high:
            yield f"{at}: {_shown(value)} is not a number from {self.low:g} to {self.high:g}"


@dataclass(frozen=True)
class Truth:
    """true or false."""

    def problems(self, value: Any, at: str) -> Iterator[str]:
        """See ``Shape``."""
        if not isinstance(value, bool):
            yield f"{at}: {_shown(value)} is neither true nor false"


@dataclass(frozen=True)
class Text:
    """A string; all of it must match ``pattern``, which ``what`` puts into words."""

    pattern: str = r"(?s:.*)"
    what: str = f"a string of at most {MAX_NAME_CHARACTERS} characters"
    most: int = MAX_NAME_CHARACTERS

    def problems(self, value: Any, at: str) -> Iterator[str]:
        """See ``Shape``."""
        good = isinstance(value, str) and len(value) <= self.most
        if not good or re.fullmatch(self.pattern, value) is None:
            yield f"{at}: {_shown(value)} is not {self.what}"


@dataclass(frozen=True)
class Nullable:
    """null, or as ``shape``."""

    shape: Shape

    def problems(self, value: Any, at: str) -> Iterator[str]:
        """See ``Shape``."""
        if value is not None:
            yield from self.shape.problems(value, at)


@dataclass(frozen=True)
class ListOf:
    """A list of ``least`` to ``most`` entries, each as ``shape``."""

    shape: Shape
    least: int = 0
    most: int = 1 << 24

    def problems(self, value: Any, at: str) -> Iterator[str]:
        """See ``Shape``."""
        if not isinstance(value, list):
            yield f"{at}: {_shown(value)} is not a list"
        elif not self.least <= len(value) <= self.most:
            wanted = self.least if self.least == self.most else f"{self.least} to {self.most}"
            yield f"{at} has {len(value)} entries, not {wanted}"
        else:
            for index, entry in enumerate(value):
                yield from self.shape.problems(entry, f"{at}[{index}]")


@dataclass(frozen=True)
class Row:
    """A list with one entry for each of ``shapes``."""

    shapes: tuple[Shape, ...]

    def problems(self, value: Any, at: str) -> Iterator[str]:
        """See ``Shape``."""
        if not isinstance(value, list) or len(value) != len(self.shapes):
            yield f"{at}: {_shown(value)} is not a list of {len(self.shapes)} entries"
            return
        for index, (shape, entry) in enumerate(zip(self.shapes, value, strict=True)):
            yield from shape.problems(entry, f"{at}[{index}]")


@dataclass(frozen=True)
class MapOf:
    """An object with any keys, each value as ``shape``."""

    shape: Shape
    keys: Shape = field(default_factory=Text)

    def problems(self, value: Any, at: str) -> Iterator[str]:
        """See ``Shape``."""
        if not isinstance(value, dict):
            yield f"{at}: {_shown(value)} is not an object"
            return
        for key, entry in value.items():
            yield from self.keys.problems(key, f"a key of {at}")
            yield from self.shape.problems(entry, f"{at}[{_shown(key)}]")


@dataclass(frozen=True)
class Record:
    """An object with the keys of ``required``, perhaps those of ``optional``, and any others."""

    required: Mapping[str, Shape]
    optional: Mapping[str, Shape] = field(default_factory=dict)

    def problems(self, value: Any, at: str) -> Iterator[str]:
        """See ``Shape``."""
        if not isinstance(value, dict):
            yield f"{at or 'the document'}: {_shown(value)} is not an object"
            return
        for key, shape in {**self.required, **self.optional}.items():
            place = f"{at}.{key}" if at else key
            if key in value:
                yield from shape.problems(value[key], place)
            elif key in self.required:
                yield f"{place} is missing"
