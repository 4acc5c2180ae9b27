# SPDX-License-Identifier: Apache-2.0
"""``make site``: the documents as a searchable site in build/site, by MkDocs.

The documents link to each other and to sources where they lie, so the site has the repository's
folders: what is linked to is copied beside what links to it, and no link has to be changed.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = (
    "*.md",
    "docs/*.md",
    "models/*.md",
    "examples/*.md",
    "benchmarks/*.md",
    "tflm_app/**/*.md",
)
LINK = re.compile(r"\]\((?![a-z]+:|#)([^)#\s]+)")
CONFIG = """\
site_name: tflsplit
site_description: int8 .tflite networks split over several microcontrollers, bit for bit
docs_dir: {source}
site_dir: {site}
use_directory_urls: false
theme: {{name: mkdocs, color_mode: auto, user_color_mode_toggle: true}}
plugins: [search]
markdown_extensions: [tables, fenced_code, toc]
validation:
  nav: {{omitted_files: ignore}}
  links: {{not_found: warn, absolute_links: warn, anchors: warn, unrecognized_links: warn}}
nav:
  - Home: README.md
  - Tutorial: docs/tutorial.md
  - Use:
{use}
  - Contracts:
{contracts}
  - Inside:
{inside}
"""
USE = (
    "planner", "cluster_toml", "simulate", "report", "evaluate", "firmware", "running_a_cluster",
    "wiring", "single_board", "api", "gallery", "verified",
)  # fmt: skip
CONTRACTS = ("plan_json", "custom_ops", "wire_format", "ethernet", "cluster_protocol")
INSIDE = ("ARCHITECTURE", "docs/arena", "docs/adding_a_board", "benchmarks/README",
          "CONTRIBUTING", "SECURITY", "CHANGELOG", "docs/releasing")  # fmt: skip


def documents() -> list[Path]:
    """Every document of the site."""
    return sorted(path for pattern in DOCUMENTS for path in ROOT.glob(pattern))


def stage(to: Path) -> None:
    """Copy the documents, and every file that one of them links to."""
    found = documents()
    wanted = set(found)
    for document in found:
        for target in LINK.findall(document.read_text(encoding="utf-8")):
            path = (document.parent / target).resolve()
            if path.is_file() and path.is_relative_to(ROOT):
                wanted.add(path)
    for path in wanted:
        place = to / path.relative_to(ROOT)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, place)


def config(source: Path, site: Path) -> str:
    """mkdocs.yml."""

    def pages(names: tuple[str, ...]) -> str:
        return "\n".join(f"      - {name}.md" for name in names)

    return CONFIG.format(
        source=source,
        site=site,
        use=pages(tuple(f"docs/{name}" for name in USE)),
        contracts=pages(tuple(f"docs/{name}" for name in CONTRACTS)),
        inside=pages(INSIDE),
    )


def make(site: Path) -> int:
    """Build the site; the exit status of MkDocs, which is not 0 for a dead link."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "source")
        stage(source)
        file = Path(folder, "mkdocs.yml")
        file.write_text(config(source, site.resolve()), encoding="utf-8")
        command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-f", str(file)]
        return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "build" / "site")
    sys.exit(make(parser.parse_args().output))
