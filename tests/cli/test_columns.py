# SPDX-License-Identifier: Apache-2.0
"""Tables on terminals of any width: nothing is left out, numbers stay whole."""

from __future__ import annotations

import io

import pytest

from tflsplit.cli import console
from tflsplit.cli.columns import blocks, fitted, shortened_name
from tflsplit.cli.console import Screen, table

COLUMNS = ["#", "<layer", "MACs", "weights", "<can be split by"]
ROWS = [
    ["0", "model/block_1/expand/very/long/name/Relu6", "123.45 M", "12.3 KiB", "rows:25 columns:5"],
    ["10", "short", "0.01 M", "832 B", "out_channels:64 in_channels:1280"],
]


def shown(width: int, terminal: bool, monkeypatch: pytest.MonkeyPatch, title: str = "title") -> str:
    printed = io.StringIO()
    plain = Screen(
        file=printed, force_terminal=terminal, color_system=None, highlight=False, width=width
    )
    monkeypatch.setattr(console, "STDOUT", plain)
    table("title", COLUMNS, ROWS)
    return printed.getvalue()


@pytest.mark.parametrize("width", [30, 44, 60, 80, 120, 400])
def test_nothing_is_left_out(width: int, monkeypatch: pytest.MonkeyPatch):
    text = shown(width, True, monkeypatch)
    assert all(len(line.rstrip()) <= width for line in text.splitlines())
    for number in ("123.45 M", "0.01 M", "12.3 KiB", "832 B", "10"):
        assert number in text
    for word in ("MACs", "weights", "layer", "rows:25", "columns:5", "out_channels:64"):
        assert word in text
    assert "name/Relu6" in text  # a name loses its beginning first


def test_a_wide_terminal_shows_all_of_it(monkeypatch: pytest.MonkeyPatch):
    text = shown(400, True, monkeypatch)
    assert all(cell in text for row in ROWS for cell in row)
    assert "continued" not in text


def test_a_title_breaks_where_the_terminal_ends_not_where_its_table_does(
    monkeypatch: pytest.MonkeyPatch,
):
    printed = io.StringIO()
    plain = Screen(file=printed, force_terminal=True, color_system=None, width=80)
    monkeypatch.setattr(console, "STDOUT", plain)
    title = "wider than the one column that is left over"
    table(title, ["rank", *(f"number {n}" for n in range(8))], [["0", *["1,234,567"] * 8]])
    lines = [line.rstrip() for line in printed.getvalue().splitlines()]
    assert {title, f"{title}, continued"} <= {*lines}


def test_a_pipe_gets_whole_lines(monkeypatch: pytest.MonkeyPatch):
    lines = shown(console.PIPE_WIDTH, False, monkeypatch).splitlines()
    for row in ROWS:
        assert any(all(cell in line for cell in row) for line in lines)
    assert all(line == line.rstrip() for line in lines)


def test_what_does_not_fit_beside_follows_below():
    parts = blocks(COLUMNS, ROWS, 40)
    assert len(parts) > 1
    assert all(part[0] == 0 for part in parts)
    assert sorted({index for part in parts for index in part}) == list(range(len(COLUMNS)))
    assert blocks(COLUMNS, ROWS, 400) == [list(range(len(COLUMNS)))]


def test_the_widest_text_gives_way_first():
    natural = fitted(COLUMNS, ROWS, 1000)
    narrower = fitted(COLUMNS, ROWS, sum(natural) + 2 * len(natural) + 1 - 5)
    assert [a - b for a, b in zip(natural, narrower, strict=True)] == [0, 5, 0, 0, 0]


def test_only_names_are_shortened():
    assert shortened_name("a/b/c/d", 4) == "…c/d"
    assert shortened_name("two words", 4) == "two words"
    assert shortened_name("abcd", 4) == "abcd"
