# SPDX-License-Identifier: Apache-2.0
"""What comes from outside (files, names, a device's text), before anything else touches it.

::

    one_line("a\\x1b[2J\\nb")  ->  'a\\\\x1b[2J\\\\x0ab'     names, on a terminal or in a comment
    lines("a\\x1b[2J\\nb")     ->  'a\\\\x1b[2J', 'b'       messages of several lines
    read_file(path, most)    ->  bytes of a regular file, at most so many; it never waits
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from tflsplit.errors import PlanError, UserError

MAX_TEXT_FILE_BYTES = 64 << 20
"""Far more than any plan.json, cluster.toml or report has."""
MAX_GRAPH_FILE_BYTES = (1 << 31) - 1
"""Where a .tflite file ends: its offsets have 32 bits, with a sign."""

_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)


def one_line(text: str) -> str:
    """The text with an escape in place of whatever is not printable.

    That is what a terminal would act on (ESC, C1 controls, a change of writing direction), what
    would begin a new line, and lone surrogates, which no encoding takes.
    """
    return text if text.isprintable() else "".join(map(_escaped, text))


def lines(text: str) -> str:
    """``one_line`` of every line; line feeds stay."""
    return "\n".join(map(one_line, text.split("\n")))


def json_lines(text: str) -> str:
    """The text of a JSON document, the same document, with nothing that a terminal would act on."""
    return re.sub(r"[^\n]+", lambda line: _json_line(line[0]), text)


def _escaped(char: str) -> str:
    if char.isprintable():
        return char
    code = ord(char)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _json_line(line: str) -> str:
    return line if line.isprintable() else "".join(map(_json_escaped, line))


def _json_escaped(char: str) -> str:
    if char.isprintable():
        return char
    if ord(char) < 0x10000:
        return f"\\u{ord(char):04x}"
    units = char.encode("utf-16-be")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in (0, 2))


def read_file(path: Path, most_bytes: int, error: type[UserError] = PlanError) -> bytes:
    """The contents of a regular file (or of what a symbolic link leads to).

    Raises ``error``, naming the file, if there is none, if it is a folder, a pipe, a device or a
    socket (which might never end, or never begin), or if it is larger than ``most_bytes``.
    """
    try:
        handle = os.open(path, _FLAGS)
    except (OSError, ValueError) as failure:
        raise error(f"{path}: {reason(failure)}") from None
    try:
        return _read(handle, most_bytes)
    except ValueError as problem:
        raise error(f"{path} {problem}") from None
    except OSError as failure:
        raise error(f"{path}: {reason(failure)}") from None
    finally:
        os.close(handle)


def _read(handle: int, most_bytes: int) -> bytes:
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode):
        raise ValueError(f"is {_kind(status.st_mode)}, not a file")
    if status.st_size <= most_bytes:
        with os.fdopen(handle, "rb", closefd=False) as file:
            data = file.read(most_bytes + 1)  # it may have grown since
        if len(data) <= most_bytes:
            return data
    raise ValueError(f"is larger than {most_bytes} bytes, so it is not what it should be")


def reason(failure: Exception) -> str:
    """Why a file could not be opened, in the words of all commands."""
    if isinstance(failure, FileNotFoundError):
        return "no such file"
    return getattr(failure, "strerror", None) or str(failure)


def _kind(mode: int) -> str:
    kinds = {
        stat.S_IFDIR: "a folder",
        stat.S_IFIFO: "a named pipe",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
        stat.S_IFSOCK: "a socket",
    }
    return kinds.get(stat.S_IFMT(mode), "something else")
