# SPDX-License-Identifier: Apache-2.0
"""What strangers meet first: versions that agree, links that work elsewhere, the site, forms."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from docs.make_site import documents
from docs.release_check import URLS, problems
from tests.test_docs import LINK
from tflsplit import __version__
from tflsplit.cluster.toml_file import TomlFile

ROOT = Path(__file__).resolve().parents[1]


def test_versions_agree():
    citation = (ROOT / "CITATION.cff").read_text()
    assert re.search(r"^version: (.*)$", citation, re.MULTILINE)[1] == __version__  # type: ignore[index]
    libraries = [
        *ROOT.glob("tflm_app/lib/*/library.json"),
        *ROOT.glob("tflm_app/ports/*/library.json"),
    ]
    assert len(libraries) >= 8
    for library in libraries:
        assert json.loads(library.read_text())["version"] == __version__, library
    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_the_readme_works_on_a_package_index():
    """With an address of the repository, and as long as there is none."""
    pytest.importorskip("hatchling", reason="needs hatchling: pip install '.[dev]'")
    from docs.package_readme import absolute, plain

    repository = "https://example.org/group/project"
    readme = (ROOT / "README.md").read_text()
    text = absolute(readme, repository)
    assert len(LINK.findall(text)) == len(LINK.findall(readme)) > 20
    for link in LINK.findall(text):
        assert urlsplit(link).scheme == "https" or link.startswith("#"), link
        if link.startswith(repository):
            kind, branch, path = link.removeprefix(repository + "/").split("#")[0].split("/", 2)
            assert kind in ("blob", "raw")
            assert branch == "main"
            assert (ROOT / path).exists(), link
    pictures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", text)
    assert pictures
    assert all(f"{repository}/raw/" in picture for picture in pictures)
    assert absolute("[a](#b) [c](mailto:d) ![e](f.svg)", "https://g") == (
        "[a](#b) [c](mailto:d) ![e](https://g/raw/main/f.svg)"
    )
    assert all(
        urlsplit(link).scheme or link.startswith("#") for link in LINK.findall(plain(readme))
    )
    assert plain("![e\nf](g.svg) [a](b.md#c) [b.md](b.md) [d](https://g) [h](#i)") == (
        "*e f* a (b.md#c) b.md [d](https://g) [h](#i)"
    )


def test_a_release_asks_for_what_is_not_known_yet():
    pyproject, citation = ((ROOT / name).read_text() for name in ("pyproject.toml", "CITATION.cff"))
    head, address = "## 0.1.0 (2026-11-28)", "https://example.org/p"

    def found(pyproject: str, citation: str, changelog: str = head) -> list[str]:
        return list(problems(pyproject, citation, changelog, "0.1.0"))

    # Nobody invents where the project lies: as long as it is not written down, both are asked for.
    open_ones = ("[project.urls]\n" not in pyproject) + ("\nrepository-code" not in citation)
    assert len(found(pyproject, citation)) == open_ones
    urls = "[project.urls]\n" + "".join(f'{name} = "{address}"\n' for name in URLS)
    cited = f'repository-code: "{address}"\n'
    assert found(f"{urls}\n[project.scripts]\n", cited) == []
    assert found(urls, cited, "## 0.1.0") == ["CHANGELOG.md: 0.1.0 has no date"]
    assert "which is not Repository" in found(urls, 'repository-code: "https://h"\n')[0]
    assert "[project.urls] has no Issues:" in found(urls.replace("Issues", "X"), cited)[0]


EXTRA = re.compile(r"(?:tflsplit|\.whl|')(?:\[|\.\[)([a-z]+(?:,[a-z]+)*)\]'")
FOR_DEVELOPERS = {"dev", "docs", "tensorflow"}
"""Extras that need a checkout: tests, documents, models to train."""


def test_every_extra_that_somebody_is_told_of_exists():
    """And a release tries all that users install."""
    pyproject = TomlFile.read(ROOT / "pyproject.toml").data
    extras = pyproject["project"]["optional-dependencies"].keys()
    texts = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/*.md")]
    texts += [
        *ROOT.glob("rewriter/**/*.py"),
        *ROOT.glob("tests/**/*.py"),
        *ROOT.glob("models/*.py"),
    ]
    named = {
        (path.name, extra)
        for path in texts
        for names in EXTRA.findall(path.read_text())
        for extra in names.split(",")
    }
    assert len(named) > 12, "nothing was looked at"
    assert [each for each in named if each[1] not in extras] == []
    tried = {extra for name, extra in named if name == "releasing.md"}
    assert tried == extras - FOR_DEVELOPERS


class Links(HTMLParser):
    """Where a page leads, and what can be led to in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.names: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for key, value in attrs:
            if key in ("href", "src") and value and tag in ("a", "img"):
                self.targets.append(value)
            elif key in ("id", "name") and value:
                self.names.add(value)


def dead(site: Path) -> list[str]:
    """Links of the site's pages that lead to no file of it."""
    found = []
    for page in site.rglob("*.html"):
        if page.name in ("404.html", "search.html"):
            continue
        for target in Links(page.read_text()).targets:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc or not parts.path:
                continue
            if not (page.parent / unquote(parts.path)).exists():
                found.append(f"{page.relative_to(site)}: {target}")
    return found


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("mkdocs") is None, reason="needs MkDocs: pip install '.[docs]'"
)
def test_the_site_has_every_document_and_no_dead_link(tmp_path: Path):
    site = tmp_path / "site"
    command = [sys.executable, "-m", "docs.make_site", "-o", str(site)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert dead(site) == []
    for document in documents():
        name = document.relative_to(ROOT).with_suffix(".html")
        page = site / (name.with_name("index.html") if name.stem == "README" else name)
        assert page.is_file(), document
    index = json.loads((site / "search" / "search_index.json").read_text())
    assert any("cluster.toml" in entry["text"] for entry in index["docs"])
    (site / "index.html").write_text('<a href="nowhere.html">x</a>')
    assert dead(site) == ["index.html: nowhere.html"], "a dead link is found"


def test_the_workflow_and_the_forms_are_what_the_host_reads():
    yaml = pytest.importorskip("yaml", reason="needs PyYAML, which MkDocs brings")
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    steps = workflow["jobs"]["test"]["steps"]
    assert any(step.get("run") == ".ci/run" for step in steps)
    for form in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("[!c]*.yml"):
        content = yaml.safe_load(form.read_text())
        assert {"name", "description", "body"} <= content.keys()
        assert all(part["type"] in ("textarea", "input") for part in content["body"])
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    assert {"ruff", "layers"} <= {hook["id"] for hook in hooks}
