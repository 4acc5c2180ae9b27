# SPDX-License-Identifier: Apache-2.0
"""docs/gallery.md is what docs/make_gallery.py makes."""

from __future__ import annotations

import re

import pytest

from docs.make_gallery import GALLERY, PAGE, entry, overview_row, section
from models.tiny import NETWORKS

TOO_LARGE = {"mobilenet_v2_1.0_224"}  # half a minute; the same code as its small sister
ADVICE = "docs/gallery.md is out of date: python -m docs.make_gallery"


def sections(page: str) -> dict[str, str]:
    """The page's parts, by the name in their headings."""
    parts = re.split(r"^(?=## )", page, flags=re.MULTILINE)[1:]
    return {part.split("\n")[0].removeprefix("## "): part for part in parts}


def test_every_network_has_a_section():
    page = PAGE.read_text(encoding="utf-8")
    assert list(sections(page)) == list(GALLERY)
    assert set(NETWORKS) < set(GALLERY)
    for name in GALLERY:
        assert page.count(f"| [{name}](#{name.replace('.', '')}) |") == 1


@pytest.mark.parametrize("name", [name for name in GALLERY if name not in TOO_LARGE])
def test_the_page_is_up_to_date(name: str):
    page = PAGE.read_text(encoding="utf-8")
    graph, plan = entry(GALLERY[name]())
    assert sections(page)[name].rstrip() == section(name, graph, plan).rstrip(), ADVICE
    assert overview_row(name, graph, plan) in page.splitlines(), ADVICE


def test_a_figure_that_changed_is_noticed():
    graph, plan = entry(GALLERY["autoencoder"]())
    before = section("autoencoder", graph, plan)
    plan["devices"][2]["arena_bytes"] += 1
    assert section("autoencoder", graph, plan) != before
