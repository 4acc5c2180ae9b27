# SPDX-License-Identifier: Apache-2.0
"""The import contracts of pyproject.toml hold, and each of them can fail."""

import re
import shutil
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).resolve().parents[1]


def lint_imports(project: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter on the package below ``project``/rewriter with its pyproject.toml."""
    program = "import sys; sys.path.insert(0, 'rewriter'); from importlinter.cli import "
    program += "lint_imports_command; lint_imports_command()"
    return subprocess.run(
        [sys.executable, "-c", program, "--no-cache"],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )


def with_line(tmp_path: Path, module: str, line: str) -> Path:
    """A copy of the project in which ``module`` ends with ``line``."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    source = tmp_path / "rewriter" / "tflsplit"
    shutil.copytree(ROOT / "rewriter" / "tflsplit", source)
    with (source / module).open("a") as file:
        file.write(f"\n{line}\n")
    return tmp_path


def test_the_package_keeps_its_contracts():
    result = lint_imports(ROOT)
    assert result.returncode == 0, result.stdout


def test_no_module_imports_itself_through_others():
    graph = grimp.build_graph("tflsplit", cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    assert "tflsplit.ir" in imports["tflsplit.ops.rule"]
    TopologicalSorter(imports).prepare()  # a CycleError names the circle
    imports["tflsplit.ir"] |= {"tflsplit.ops.rule"}
    with pytest.raises(CycleError):
        TopologicalSorter(imports).prepare()


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("errors.py", "import tflsplit.ir", "layers import only from below"),
        ("ir/dtypes.py", "import tflsplit.tflite", "layers import only from below"),
        ("wire/__init__.py", "import tflsplit.ops", "layers import only from below"),
        ("plan/__init__.py", "import tflite", "only tflsplit.tflite imports the schema"),
        ("ops/rule.py", "import tflite.Model", "only tflsplit.tflite imports the schema"),
        ("ir/graph.py", "import flatbuffers", "flatbuffers stay in tflsplit.tflite"),
        ("tflite/__init__.py", "import tensorflow", "no TensorFlow anywhere"),
        ("runtime/__init__.py", "def f():\n    import keras", "no TensorFlow anywhere"),
    ],
)
def test_each_contract_can_fail(tmp_path: Path, module: str, line: str, contract: str):
    result = lint_imports(with_line(tmp_path, module, line))
    assert result.returncode == 1
    broken = [text for text in result.stdout.splitlines() if " BROKEN" in text]
    assert len(broken) == 1, result.stdout
    assert broken[0].startswith(contract)


@pytest.mark.parametrize(
    ("module", "line"),
    [("tflite/__init__.py", "import tflite"), ("wire/__init__.py", "import flatbuffers")],
)
def test_what_the_contracts_allow(tmp_path: Path, module: str, line: str):
    assert lint_imports(with_line(tmp_path, module, line)).returncode == 0


def layers_of_the_contract() -> list[str]:
    """Lowest first, as pyproject.toml has them; ``__main__`` is only a door."""
    text = (ROOT / "pyproject.toml").read_text()
    block = text.split("layers = [", 1)[1].split("]", 1)[0]
    return [name for name in re.findall(r'"\(?(\w+)\)?"', block) if name != "__main__"][::-1]


def layers_of_the_document() -> list[str]:
    """The rows of the table under *Layers*."""
    section = (ROOT / "ARCHITECTURE.md").read_text().split("## Layers", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"^\| `(\w+)(?:\.py|/)` \|", section, re.MULTILINE)


def test_the_architecture_lists_the_layers_in_their_order():
    assert layers_of_the_document() == layers_of_the_contract()
    assert "planner" in layers_of_the_contract()


def test_a_new_package_needs_a_place_among_the_layers(tmp_path: Path):
    project = with_line(tmp_path, "errors.py", "")
    (project / "rewriter" / "tflsplit" / "newcomer.py").write_text("")
    result = lint_imports(project)
    assert result.returncode != 0
    assert "newcomer" in result.stdout + result.stderr
