# SPDX-License-Identifier: Apache-2.0
"""Rules of the house that no linter knows: sizes, and what committed text must not name.

Each rule is a function that returns every violation; a test shows it empty on the project and
another shows it finding a planted one.
"""

import ast
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MODULE_LINES = 300
FUNCTION_LINES = 60

# Written in pieces: this file is checked too.
MACHINE_PATHS = [f"/{folder}/" for folder in ("work", "root", "tmp", "home")]
REGISTRY_HOSTS = [
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("registry", "npmjs"),
        ("deb", "debian", "org"),
        ("registry", "platformio", "org"),
    )
]
FORBIDDEN = re.compile("|".join(rf"(?<![\w.~-]){re.escape(p)}" for p in MACHINE_PATHS)
                       + "|" + "|".join(map(re.escape, REGISTRY_HOSTS)))  # fmt: skip


def oversized(source: str) -> list[str]:
    """Modules and functions that are too long to be read at once."""
    found = []
    if (lines := source.count("\n")) > MODULE_LINES:
        found.append(f"module of {lines} lines (at most {MODULE_LINES})")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION_LINES:
                found.append(f"{node.name} has {length} lines (at most {FUNCTION_LINES})")
    return found


def forbidden_names(text: str) -> list[str]:
    """Paths of one machine and hosts of package registries in ``text``, with their lines."""
    return [
        f"line {number}: {match.group()}"
        for number, line in enumerate(text.splitlines(), 1)
        for match in FORBIDDEN.finditer(line)
    ]


def committed_files() -> list[Path]:
    """Everything git tracks, and what it would track; skips outside a git checkout."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("needs git and a checkout: clone the repository instead of unpacking it")
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    paths = [ROOT / name.decode() for name in listed.stdout.split(b"\0") if name]
    return [path for path in paths if path.is_file()]


def texts(paths: Iterable[Path]) -> Iterator[tuple[Path, str]]:
    """The files that are text, decoded."""
    for path in paths:
        content = path.read_bytes()
        if b"\0" not in content:
            yield path.relative_to(ROOT), content.decode("utf-8", "replace")


@pytest.mark.parametrize("folder", ["rewriter", "models", "benchmarks"])
def test_modules_and_functions_are_short(folder: str):
    long = {
        str(path.relative_to(ROOT)): found
        for path in sorted((ROOT / folder).rglob("*.py"))
        if (found := oversized(path.read_text()))
    }
    assert not long


def test_committed_text_names_no_machine_and_no_registry():
    found = {
        str(path): names
        for path, text in texts(committed_files())
        if (names := forbidden_names(text))
    }
    assert not found


def test_committed_files_are_small():
    large = {
        str(path.relative_to(ROOT)): path.stat().st_size
        for path in committed_files()
        if path.stat().st_size > 1_000_000
    }
    assert not large


def test_oversized_finds_a_long_module_and_a_long_function():
    assert oversized("x = 1\n" * MODULE_LINES) == []
    assert len(oversized("x = 1\n" * (MODULE_LINES + 1))) == 1
    body = "    x = 1\n" * (FUNCTION_LINES - 1)
    assert oversized("def f():\n" + body) == []
    assert "f has 61 lines" in oversized("def f():\n" + body + "    x = 1\n")[0]


@pytest.mark.parametrize("name", [*MACHINE_PATHS, *REGISTRY_HOSTS])
def test_forbidden_names_are_found(name: str):
    assert forbidden_names(f"first\nsee {name}x") == [f"line 2: {name}"]


@pytest.mark.parametrize("text", ["src/work/x", "~/tmp/x", "network/", "https://example.org/home/"])
def test_other_paths_are_left_alone(text: str):
    assert forbidden_names(text) == []
