# SPDX-License-Identifier: Apache-2.0
"""TOML with line numbers: errors that name file, line and key.

The parsers of the standard library (and tomli, the same code for Python 3.10) say where the syntax
is wrong, but not where a value stands; tomlkit, which keeps the text, does not tell either.  So the
line of a key is found with the parser itself: the first lines of a file up to line n are a file
too, unless n lies inside a value of several lines; the key stands where it first appears.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tflsplit.errors import ClusterError
from tflsplit.untrusted import MAX_TEXT_FILE_BYTES, read_file

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Path_ = Sequence[str | int]
_MISSING = object()


@dataclass(frozen=True)
class TomlFile:
    """A parsed file that remembers its text.

    name: what errors call it.
    """

    name: str
    text: str
    data: dict[str, Any]

    @classmethod
    def parse(cls, text: str, name: str) -> TomlFile:
        """Parse; ClusterError with the line if the syntax is wrong."""
        try:
            return cls(name, text, tomllib.loads(text))
        except RecursionError:
            raise ClusterError(f"{name}: not TOML: nested too deeply") from None
        except ValueError as error:  # TOMLDecodeError, or a number of thousands of digits
            raise ClusterError(f"{name}: not TOML: {error}") from None

    @classmethod
    def read(cls, path: Path) -> TomlFile:
        """Read and parse; ClusterError if the file cannot be read."""
        data = read_file(path, MAX_TEXT_FILE_BYTES, ClusterError)
        try:
            return cls.parse(data.decode("utf-8"), str(path))
        except UnicodeDecodeError:
            raise ClusterError(f"{path} is not UTF-8 text") from None

    def line_of(self, path: Path_) -> int:
        """The line on which the key or table at ``path`` begins; that of its table if it is absent.

        path: keys and indices from the root, such as ``("device", 2, "board")``.
        """
        lines = self.text.splitlines()
        whole = 0
        for end in range(1, len(lines) + 1):
            try:
                part = tomllib.loads("\n".join(lines[:end]))
            except tomllib.TOMLDecodeError:
                continue
            if _at(part, path) is not _MISSING:
                return _first_statement(lines, whole, end)
            whole = end
        return self.line_of(path[:-1]) if path else 1

    def error(self, path: Path_, problem: str) -> ClusterError:
        """``cluster.toml:7: device[2].clock_hz: …``; the caller raises it."""
        return ClusterError(f"{self.name}:{self.line_of(path)}: {dotted(path)}{problem}")


def dotted(path: Path_) -> str:
    """``device[2].board: ``; nothing for the root."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return f"{text}: " if text else ""


def suggestion(word: str, known: Collection[str]) -> str:
    """``; did you mean 'baud'?`` if a known word is close, else the list of them."""
    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known are: {', '.join(sorted(known))}"


def _at(data: Any, path: Path_) -> Any:
    for part in path:
        if isinstance(part, int):
            if not isinstance(data, list) or part >= len(data):
                return _MISSING
        elif not isinstance(data, dict) or part not in data:
            return _MISSING
        data = data[part]
    return data


def _first_statement(lines: Sequence[str], start: int, end: int) -> int:
    """The first of the lines ``[start, end)`` that is no comment; numbered from 1."""
    for index in range(start, end):
        if (text := lines[index].strip()) and not text.startswith("#"):
            return index + 1
    return end
