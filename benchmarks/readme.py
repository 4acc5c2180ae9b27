# SPDX-License-Identifier: Apache-2.0
"""Measured tables are written into README.md by what measured them, not by hand."""

from __future__ import annotations

from pathlib import Path

README = Path(__file__).with_name("README.md")


class SectionError(Exception):
    """A document without the section that is to be written."""


def write_section(name: str, text: str, path: Path = README) -> None:
    """Replace what stands between ``<!-- begin NAME -->`` and ``<!-- end NAME -->``.

    Raises SectionError if ``path`` has no such section.
    """
    begin, end = f"<!-- begin {name} -->\n", f"<!-- end {name} -->"
    document = path.read_text(encoding="utf-8")
    before, found, rest = document.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise SectionError(f"{path} has no section {name}")
    path.write_text(f"{before}{begin}\n{text.strip()}\n\n{end}{after}", encoding="utf-8")
