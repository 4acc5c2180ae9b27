# SPDX-License-Identifier: Apache-2.0
"""docs/single_board.md: a model of ``rewrite -n 1`` in an application that is not tflsplit's."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.native import needs_cxx, needs_wheel_reader
from tests.native_build import cmake
from tests.splits import tiny
from tflsplit.cli import main
from tflsplit.emulate.wheel_file import installed_wheel
from tflsplit.emulate.wheel_tree import wheel_tree
from tflsplit.plan.wishes import Wishes
from tflsplit.rewriting.rewrite import rewrite
from tflsplit.runtime.engines import engine
from tflsplit.tflite import write_model
from tflsplit.verify import make_cases

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "single_board"


def rewritten(name: str, folder: Path) -> Path:
    """``rewrite -n 1`` of a network of models/tiny.py; its output folder."""
    (folder / "model.tflite").write_bytes(write_model(tiny(name)))
    model, one = str(folder / "model.tflite"), str(folder / "one")
    assert main(["rewrite", model, "-n", "1", "-o", one]) == 0
    return folder / "one"


def built(folder: Path, header: str) -> Path:
    """The example with the graph of an output folder, linked against TFLM's wheel."""
    tree = wheel_tree(*installed_wheel())
    (folder / "app").mkdir()
    (folder / "app" / "operators.h").write_text(header)
    includes = ";".join(map(str, tree.includes))
    libraries = ";".join(f"-Wl,{path}" for path in tree.libraries)  # their names are no library's
    cmake(
        EXAMPLE,
        folder / "app",
        f"-DMODEL={folder / 'node0.tflite'}",
        f"-DOPERATORS={folder / 'app'}",
        f"-DTFLM_INCLUDES={includes}",
        f"-DTFLM_LIBRARIES={libraries}",
    )
    return folder / "app" / "single_board"


@needs_wheel_reader
@needs_cxx
@pytest.mark.parametrize("name", ["mobilenet", "resnet"])
def test_the_same_bits_in_an_application_of_ones_own(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folder = rewritten(name, tmp_path)
    capsys.readouterr()
    assert main(["inspect", str(folder / "node0.tflite"), "--resolver"]) == 0
    header = capsys.readouterr().out
    assert "TFLSPLIT" not in header
    assert "_registration()) == split_tflm::api::kOk" in header, "nothing of ours is in the graph"
    program = built(folder, header)
    unsplit = engine("tflm")[1](tiny(name))
    for case in make_cases(tiny(name), 1, seed=2):
        (x,) = case.inputs.values()
        run = subprocess.run([program], input=x.tobytes(), capture_output=True, check=True)
        (expected,) = unsplit.run([x])
        got = np.frombuffer(run.stdout, expected.dtype).reshape(expected.shape)
        np.testing.assert_array_equal(got, expected)
    document = json.loads((folder / "plan.json").read_text())
    assert int(run.stderr.split()[0]) >= document["devices"][0]["arena_bytes"]


def test_graphs_of_several_devices_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "model.tflite").write_bytes(write_model(tiny("mobilenet")))
    rewrite(tmp_path / "model.tflite", tmp_path / "two", Wishes(2, "rows"))
    assert main(["inspect", str(tmp_path / "two" / "node0.tflite"), "--resolver"]) == 2
    assert "rewrite -n 1" in capsys.readouterr().err


def test_platformio_compiles_what_cmake_does():
    """The page's build_src_filter, read as PlatformIO reads it, against the example's sources."""
    page = (ROOT / "docs" / "single_board.md").read_text()
    chosen = set[Path]()
    for sign, pattern in re.findall(r"^  ([+-])<\.\./tflsplit/(.*)>$", page, re.MULTILINE):
        found = set(ROOT.glob(pattern))
        assert found, pattern
        chosen = chosen | found if sign == "+" else chosen - found
    cmake_text = (EXAMPLE / "tflsplit.cmake").read_text()
    library = ROOT / "tflm_app" / "lib"
    listed = {
        path
        for name in re.findall(r"\$\{TFLSPLIT_LIB\}/(\w+)/src/\*\.cc", cmake_text)
        for path in (library / name / "src").glob("*.cc")
        if path.stem != "split_core_c"
    }
    (operators,) = re.findall(r"foreach\(name (compute_op [^)]*)\)", cmake_text)
    listed |= {library / "split_tflm" / "src" / f"{name}.cc" for name in operators.split()}
    assert chosen == listed
    for name in re.findall(r"-I tflsplit/(\S+)", page):
        assert (ROOT / name).is_dir()
