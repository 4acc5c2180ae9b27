# SPDX-License-Identifier: Apache-2.0
"""What a release still lacks that no test may ask of every commit (docs/releasing.md).

python -m docs.release_check
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
URLS = ("Repository", "Documentation", "Changelog", "Issues")


def problems(pyproject: str, citation: str, changelog: str, version: str) -> Iterator[str]:
    """Each in a sentence that says what to write where; the arguments are the files' texts."""
    table = re.search(r"^\[project\.urls\]\n((?:[^\[\n].*\n|\n)*)", pyproject, re.MULTILINE)
    urls = dict(re.findall(r'^(\w+) = "(https://[^"]+)"$', table[1] if table else "", re.MULTILINE))
    if missing := [name for name in URLS if name not in urls]:
        yield (
            f"pyproject.toml: [project.urls] has no {', '.join(missing)}: write down where the "
            "project lies; the README's links for the package index are made of Repository"
        )
    cited = re.search(r'^repository-code: "(.*)"$', citation, re.MULTILINE)
    if cited is None:
        yield "CITATION.cff: repository-code is missing: the same address as Repository"
    elif cited[1] != urls.get("Repository"):
        yield f"CITATION.cff: repository-code is {cited[1]}, which is not Repository"
    if not re.search(rf"^## {re.escape(version)}\b.*\d{{4}}-\d\d-\d\d", changelog, re.MULTILINE):
        yield f"CHANGELOG.md: {version} has no date"


def main() -> int:
    """Print them; 1 if there are any."""
    from tflsplit import __version__

    names = ("pyproject.toml", "CITATION.cff", "CHANGELOG.md")
    pyproject, citation, changelog = ((ROOT / name).read_text() for name in names)
    found = list(problems(pyproject, citation, changelog, __version__))
    for problem in found:
        print(problem)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
