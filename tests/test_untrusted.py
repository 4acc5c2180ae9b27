# SPDX-License-Identifier: Apache-2.0
"""Text from outside becomes harmless, and only regular files of a sane size are read."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tflsplit.errors import LinkError, PlanError
from tflsplit.untrusted import json_lines, lines, one_line, read_file


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ≤ text, 2 × 3", "plain ≤ text, 2 × 3"),
        ("\x1b]0;title\x07\x1b[2J", r"\x1b]0;title\x07\x1b[2J"),
        ("a\nb\tc\r", r"a\x0ab\x09c\x0d"),
        ("\x9b31m", r"\x9b31m"),
        ("left\u202eright\u2028", r"left\u202eright\u2028"),
        ("\udcff", r"\udcff"),
        ("\U000e0041", r"\U000e0041"),
    ],
)
def test_what_a_terminal_would_act_on_is_escaped(text: str, shown: str):
    assert one_line(text) == shown


@given(st.text(st.characters(), max_size=30))
def test_any_text_becomes_one_printable_line(text: str):
    assert one_line(text).isprintable()
    assert one_line(text).encode().decode() == one_line(text)
    assert lines(text).split("\n") == [one_line(line) for line in text.split("\n")]


@given(
    st.recursive(
        st.text(st.characters(exclude_categories=["Cs"])) | st.integers(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner),
    )
)
def test_json_stays_the_same_document(document: Any):
    text = json_lines(json.dumps(document, ensure_ascii=False, indent=1))
    assert json.loads(text) == document
    assert all(line.isprintable() for line in text.split("\n"))


def test_a_file_is_read(tmp_path: Path):
    path = tmp_path / "a"
    path.write_bytes(b"1234")
    (tmp_path / "link").symlink_to(path)
    assert read_file(path, 4) == read_file(tmp_path / "link", 4) == b"1234"


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


ODD: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a folder": (Path.mkdir, "is a folder, not a file"),
    "a pipe": (_fifo, "is a named pipe, not a file"),
    "a device": (lambda path: path.symlink_to("/dev/zero"), "is a device, not a file"),
    "a terabyte": (_sparse, "is larger than 1000 bytes"),
    "nothing": (lambda path: None, "no such file"),
    "a loop": (lambda path: path.symlink_to(path), "symbolic links"),
}


@pytest.mark.parametrize("kind", ODD)
def test_what_is_no_such_file_is_refused_at_once(kind: str, tmp_path: Path):
    make, says = ODD[kind]
    make(tmp_path / "x")
    with pytest.raises(LinkError, match=f"x.*{says}"):
        read_file(tmp_path / "x", 1000, LinkError)


def test_a_file_that_grows_is_not_read_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Its size may be another once it has been asked for."""
    path = tmp_path / "x"
    path.write_bytes(bytes(1001))
    real = os.fstat

    def small(handle: int) -> os.stat_result:
        return os.stat_result((*tuple(real(handle))[:6], 0, *tuple(real(handle))[7:]))

    monkeypatch.setattr("tflsplit.untrusted.os.fstat", small)
    with pytest.raises(PlanError, match="is larger than 1000 bytes"):
        read_file(path, 1000)


def test_a_name_with_a_zero_is_refused():
    with pytest.raises(PlanError, match="null"):
        read_file(Path("a\0b"), 10)


def test_a_pipe_is_not_waited_for(tmp_path: Path):
    """Opening one without a writer blocks; that must not hang a command."""
    os.mkfifo(tmp_path / "pipe")
    seen: list[str] = []

    def read() -> None:
        try:
            read_file(tmp_path / "pipe", 10)
        except PlanError as error:
            seen.append(str(error))

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    until = time.monotonic() + 60
    while thread.is_alive() and time.monotonic() < until:
        thread.join(0.05)
    assert seen
