# SPDX-License-Identifier: Apache-2.0
"""Measured tables replace the ones that stood there, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.readme import README, SectionError, write_section

TEXT = (
    "# A\n<!-- begin one -->\nold | €\n<!-- end one -->\nb\n<!-- begin two -->\n<!-- end two -->\n"
)


def test_a_section_is_replaced_and_again(tmp_path: Path):
    path = tmp_path / "README.md"
    path.write_text(TEXT, encoding="utf-8")
    for text in ("| 1 |", "| 2 |\n"):
        write_section("one", text, path)
    write_section("two", "last", path)
    assert path.read_text(encoding="utf-8") == (
        "# A\n<!-- begin one -->\n\n| 2 |\n\n<!-- end one -->\nb\n"
        "<!-- begin two -->\n\nlast\n\n<!-- end two -->\n"
    )


@pytest.mark.parametrize("text", ["# A\n", "<!-- begin one -->\n", "<!-- end one -->"])
def test_a_missing_section_is_named(tmp_path: Path, text: str):
    path = tmp_path / "README.md"
    path.write_text(text)
    with pytest.raises(SectionError, match="no section one"):
        write_section("one", "x", path)
    assert path.read_text() == text


@pytest.mark.parametrize("name", ["scaling", "versus_seed"])
def test_the_readme_has_every_section_with_a_table(name: str):
    section = README.read_text().split(f"<!-- begin {name} -->")[1].split("<!-- end")[0]
    assert "| " in section
