# SPDX-License-Identifier: Apache-2.0
"""Kinds of options that custom operators store."""

from __future__ import annotations

from dataclasses import dataclass

INT32_MAX = 2**31 - 1


@dataclass(frozen=True)
class Integer:
    """An integer in ``[minimum, maximum]``."""

    minimum: int = 0
    maximum: int = INT32_MAX

    def problem(self, value: object) -> str | None:
        """What is wrong with a stored value; None if nothing is."""
        if type(value) is not int:
            return f"is {value!r}, not an integer"
        if not self.minimum <= value <= self.maximum:
            return f"is {value}, not within {self.minimum}..{self.maximum}"
        return None


@dataclass(frozen=True)
class Integers:
    """A vector of integers in ``[minimum, maximum]``, ``count`` of them if that is given."""

    minimum: int = 0
    maximum: int = INT32_MAX
    count: int | None = None

    def problem(self, value: object) -> str | None:
        """What is wrong with a stored value; None if nothing is."""
        if not isinstance(value, tuple):
            return f"is {value!r}, not a vector of integers"
        if self.count is not None and len(value) != self.count:
            return f"has {len(value)} elements, not {self.count}"
        if set(map(type, value)) <= {int} and (
            not value or (min(value) >= self.minimum and max(value) <= self.maximum)
        ):
            return None  # the usual case, fast: receives of large clusters have long vectors
        element = Integer(self.minimum, self.maximum)
        problems = (element.problem(item) for item in value)
        return next((f"has an element that {text}" for text in problems if text), None)


@dataclass(frozen=True)
class Text:
    """A string."""

    def problem(self, value: object) -> str | None:
        """What is wrong with a stored value; None if nothing is."""
        return None if isinstance(value, str) else f"is {value!r}, not a string"


Field = Integer | Integers | Text
