# SPDX-License-Identifier: Apache-2.0
"""One table of a TOML file, read key by key: types, ranges, defaults, nothing unknown."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeVar

from tflsplit.cluster.toml_file import TomlFile, suggestion
from tflsplit.errors import ClusterError

_E = TypeVar("_E", bound=Enum)
_N = TypeVar("_N", int, float)


@dataclass
class Table:
    """A table under validation.

    path: where it stands in the file; content: its keys; taken: those that were asked for.
    Every getter raises ClusterError with file, line and key.
    """

    file: TomlFile
    path: tuple[str | int, ...]
    content: dict[str, Any]
    taken: set[str] = field(default_factory=set)

    @classmethod
    def root(cls, file: TomlFile) -> Table:
        """The whole file."""
        return cls(file, (), file.data)

    def error(self, key: str, problem: str) -> ClusterError:
        """An error at a key of this table; the caller raises it."""
        return self.file.error((*self.path, key), problem)

    def has(self, key: str) -> bool:
        """Whether the key is there."""
        self.taken.add(key)
        return key in self.content

    def integer(self, key: str, default: int | None, low: int = 0, high: int = 2**40) -> int:
        """An integer in ``[low, high]``; required if ``default`` is None."""
        value = self._value(key, default)
        if type(value) is not int:
            raise self.error(key, f"{value!r} is no integer")
        return self._within(key, value, low, high)

    def number(self, key: str, default: float | None, low: float = 0.0) -> float:
        """A finite number of at least ``low``; required if ``default`` is None."""
        value = self._value(key, default)
        if type(value) not in (int, float) or not math.isfinite(value):
            raise self.error(key, f"{value!r} is no number")
        return self._within(key, float(value), low, math.inf)

    def boolean(self, key: str, default: bool) -> bool:
        """true or false."""
        value = self._value(key, default)
        if not isinstance(value, bool):
            raise self.error(key, f"{value!r} is neither true nor false")
        return value

    def text(self, key: str, default: str | None, known: Collection[str] = ()) -> str:
        """A string, one of ``known`` if that is given; required if ``default`` is None."""
        value = self._value(key, default)
        if not isinstance(value, str):
            raise self.error(key, f"{value!r} is no text in quotes")
        if known and value not in known:
            raise self.error(key, f"{value!r} is not known{suggestion(value, known)}")
        return value

    def choice(self, key: str, default: _E) -> _E:
        """A member of an enumeration, by its value."""
        kind = type(default)
        return kind(self.text(key, default.value, [member.value for member in kind]))

    def optional_number(self, key: str, default: float | None) -> float | None:
        """A number, or the default, which may be None, where there is none."""
        return self.number(key, None) if self.has(key) else default

    def optional_integer(self, key: str, default: int | None) -> int | None:
        """An integer, or the default, which may be None, where there is none."""
        return self.integer(key, None) if self.has(key) else default

    def ranks(self, key: str, world_size: int) -> tuple[int, int]:
        """Two different ranks, the lower one first."""
        value = self._value(key, None)
        if not isinstance(value, list) or len(value) != 2 or {type(r) for r in value} != {int}:
            raise self.error(key, f"{value!r} are not two ranks, such as [0, 1]")
        low, high = sorted(value)
        if low < 0 or high >= world_size or low == high:
            raise self.error(key, f"{value!r} are not two different ranks of 0..{world_size - 1}")
        return low, high

    def table(self, key: str) -> Table:
        """A table inside; an empty one where there is none."""
        value = self.content.get(key, {})
        self.taken.add(key)
        if not isinstance(value, dict):
            raise self.error(key, f"{value!r} is no table")
        return Table(self.file, (*self.path, key), value)

    def tables(self, key: str) -> Iterator[Table]:
        """The tables of an array of tables; none where there is no such array."""
        value = self.content.get(key, [])
        self.taken.add(key)
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise self.error(key, f"must be written as [[{key}]]")
        for index, item in enumerate(value):
            yield Table(self.file, (*self.path, key, index), item)

    def refuse_unknown(self) -> None:
        """ClusterError for the first key that nobody asked for."""
        for key in self.content:
            if key not in self.taken:
                raise self.error(key, f"unknown key{suggestion(key, self.taken)}")

    def _value(self, key: str, default: Any) -> Any:
        self.taken.add(key)
        if key not in self.content and default is None:
            raise self.error(key, "is missing")
        return self.content.get(key, default)

    def _within(self, key: str, value: _N, low: _N, high: _N) -> _N:
        if not low <= value <= high:
            limits = f"at least {low}" if high == math.inf else f"from {low} to {high}"
            raise self.error(key, f"{value} is out of range: {limits}")
        return value
