# SPDX-License-Identifier: Apache-2.0
"""Text in generated files.  Whatever is not a number or a constant of ours goes through here.

::

    c_string("a\\"b\\n")      ->  "a\\"b\\012"      C++, headers, assembler
    comment("a\\nb")         ->  a\\x0ab           after // and after ;
    ini_path(Path("a/$b"))  ->  ClusterError     PlatformIO has no escape for it

A name from a model, a plan or the command line could otherwise end its line and add another: an
option of PlatformIO that begins with ``!`` is run as a command.
"""

from __future__ import annotations

from pathlib import Path

from tflsplit.errors import ClusterError
from tflsplit.untrusted import one_line

_REFUSED = frozenset("$%;#,*?[]\"'`\\")
"""What PlatformIO or SCons would expand, split, glob or take for a comment inside a value."""


def c_string(text: str) -> str:
    """A C++ string literal, quotes included, with the bytes of the text in UTF-8.

    Octal escapes, because a hexadecimal one has no end; ``?`` too, which could begin a trigraph.
    """
    return '"' + "".join(map(_c_byte, text.encode("utf-8", "backslashreplace"))) + '"'


def _c_byte(byte: int) -> str:
    char = chr(byte)
    plain = 0x20 <= byte < 0x7F and char not in '"\\?'
    return char if plain else f"\\{byte:03o}"


def comment(text: str) -> str:
    """The text on one line, which no backslash at its end continues."""
    return one_line(text).replace("??/", "?/").rstrip("\\ ")


def ini_path(path: Path) -> str:
    """A path as the value of an option in PlatformIO's ini files, with ``/`` between its parts.

    Raises ClusterError for a path that PlatformIO would read otherwise: there is no way to quote.
    """
    text = path.as_posix()
    odd = sorted({char for char in text if char in _REFUSED or not char.isprintable()})
    if odd or text != text.strip():
        what = " ".join(map(ascii, odd)) or "a space at its beginning or end"
        raise ClusterError(
            f"{one_line(text)} cannot stand in PlatformIO's configuration because of {what}: "
            "use a folder with another name"
        )
    return text
