# SPDX-License-Identifier: Apache-2.0
"""The documents' links lead somewhere and their commands exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted(
    path
    for folder, pattern in [(".", "*.md"), ("docs", "**/*.md"), ("models", "*.md"),
                            ("examples", "*.md"), ("benchmarks", "*.md"), ("tflm_app", "**/*.md")]
    for path in (ROOT / folder).glob(pattern)
)  # fmt: skip
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
MAKE = re.compile(r"(?:^ +|`)make ([a-z.][\w./\-]*)", re.MULTILINE)


def dead_links(text: str, folder: Path) -> list[str]:
    """Relative links of ``text`` (a document in ``folder``) whose file is not there."""
    targets = [link.split("#")[0] for link in LINK.findall(text)]
    return [
        target
        for target in targets
        if target and ":" not in target and not (folder / target).exists()
    ]


def unknown_make_targets(text: str) -> list[str]:
    """What ``text`` asks make for that the Makefile does not have; files have a slash."""
    makefile = (ROOT / "Makefile").read_text()
    known = set(re.findall(r"^([\w.\-]+):", makefile, re.MULTILINE))
    return [target for target in MAKE.findall(text) if target not in known and "/" not in target]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_and_make_targets_exist(path: Path):
    text = path.read_text()
    assert dead_links(text, path.parent) == []
    assert unknown_make_targets(text) == []


def test_the_readme_shows_two_commands_for_a_fresh_machine():
    text = (ROOT / "README.md").read_text()
    assert list(dict.fromkeys(MAKE.findall(text))) == ["demo", "test"]


def test_a_dead_link_and_an_unknown_target_are_found():
    text = "see [this](docs/none.md#part) and [that](README.md), [web](https://example.org)"
    assert dead_links(text, ROOT) == ["docs/none.md"]
    assert unknown_make_targets("    make demo\n    make nonsense\n") == ["nonsense"]


def glossary_names() -> set[str]:
    """The names in the first column of the glossary of docs/planner.md, without their modules."""
    table = (ROOT / "docs" / "planner.md").read_text().split("## Names in the code")[1]
    cells = re.findall(r"^\| ([^|]*) \|", table, re.MULTILINE)
    return {name.split(".")[-1] for cell in cells for name in re.findall(r"`([\w.]+)`", cell)}


def test_every_class_of_the_planner_stands_in_its_glossary():
    """Those of other rooms have names of the field, or a word of this glossary in them."""
    planner = ROOT / "rewriter" / "tflsplit" / "planner"
    classes = {
        name
        for path in planner.rglob("*.py")
        for name in re.findall(r"^class ([A-Z]\w+)", path.read_text(), re.MULTILINE)
    }
    assert len(classes) > 12
    assert classes - glossary_names() == set()


def test_the_names_that_are_ours_are_still_in_the_code():
    names = glossary_names()
    package = ROOT / "rewriter" / "tflsplit"
    code = "".join(p.read_text() for name in ("planner", "plan", "ops", "cluster")
                   for p in (package / name).rglob("*.py"))  # fmt: skip
    modules = {path.stem for path in (package / "planner").rglob("*.py")}
    assert len(names) > 15
    assert [name for name in names - modules if not re.search(rf"\b{name}\b", code)] == []
