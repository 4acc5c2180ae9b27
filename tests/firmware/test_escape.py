# SPDX-License-Identifier: Apache-2.0
"""Nothing that a model, a plan or a path is called can add to generated files."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bundles import bundle_of, rewrite_plan
from tests.splits import tiny
from tflsplit.bundle import read_bundle
from tflsplit.cli import main
from tflsplit.errors import ClusterError, LinkError, PlanError
from tflsplit.firmware import FirmwareOptions, write_firmware
from tflsplit.firmware.escape import c_string, comment, ini_path
from tflsplit.firmware.project import all_files
from tflsplit.tflite import write_model

EVIL_NAME = "evil\nsrc_build_flags = !touch pwned\n[env]\n!.tflite"
EVIL_CODE = '";}\nint pwned = 1;\n//'
ANY_TEXT = st.text(st.characters(), max_size=30)


def read_c(literal: str) -> bytes:
    """The bytes of a literal as a compiler reads them."""
    assert literal[0] == literal[-1] == '"'
    body = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), literal[1:-1])
    return body.encode("latin-1")


@given(ANY_TEXT)
def test_a_c_string_holds_its_text_and_nothing_ends_it(text: str):
    literal = c_string(text)
    assert re.fullmatch(r'"(?:[ !#-\[\]-~]|\\[0-7]{3})*"', literal)
    assert read_c(literal) == text.encode("utf-8", "backslashreplace")


@given(ANY_TEXT)
def test_a_comment_is_one_line_that_nothing_continues(text: str):
    line = comment(text)
    assert line.isprintable()
    assert not line.endswith("\\")
    assert "??/" not in line


def test_the_compiler_agrees(tmp_path: Path):
    if shutil.which("g++") is None:
        pytest.skip("needs a C++ compiler: apt install g++")
    text = 'a"b\\c\n??/ %s\x1b1\U0001f600' + EVIL_CODE
    source = (
        f"// {comment(text)} \\ {comment('ends so ??/')}\n"
        f"#include <cstdio>\nint main() {{ fputs({c_string(text)}, stdout); }}\n"
    )
    (tmp_path / "x.cc").write_text(source, encoding="utf-8")
    command = ["g++", "-std=c++17", "-trigraphs", "-Wall", "-o", str(tmp_path / "x")]
    subprocess.run([*command, str(tmp_path / "x.cc")], check=True)
    printed = subprocess.run([str(tmp_path / "x")], capture_output=True, check=True)
    assert printed.stdout.decode() == text


def options_of(nodes: str) -> dict[str, dict[str, str]]:
    """nodes.ini as PlatformIO's parser sees it."""
    parser = configparser.RawConfigParser(inline_comment_prefixes=("#", ";"), strict=False)
    parser.read_string(nodes)
    return {section: dict(parser[section]) for section in parser.sections()}


def test_a_model_files_name_adds_no_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    model = tmp_path / EVIL_NAME
    model.write_bytes(write_model(tiny("autoencoder")))
    out = tmp_path / "out"
    assert main(["rewrite", str(model), "-n", "2", "--manual", "split=auto", "-o", str(out)]) == 0
    environments = options_of((out / "nodes.ini").read_text())
    assert set(environments) == {"env:node0", "env:node1"}
    assert not any("src_build_flags" in options for options in environments.values())
    assert read_bundle(out).document["model_name"].startswith(r"evil\x0asrc_build_flags")
    assert "\nsrc_build_flags" not in capsys.readouterr().out


def test_a_model_files_name_that_is_no_text(tmp_path: Path):
    model = Path(bytes(tmp_path).decode(), "\udcff.tflite")
    try:
        model.write_bytes(write_model(tiny("autoencoder")))
    except OSError:
        pytest.skip("this file system takes only names in UTF-8; any other of Linux takes bytes")
    out = tmp_path / "out"
    assert main(["rewrite", str(model), "-n", "2", "--manual", "split=auto", "-o", str(out)]) == 0
    assert read_bundle(out).document["model_name"] == r"\udcff"


@pytest.mark.parametrize("key", ["fingerprint", "model_name"])
def test_names_in_plan_json_reach_no_source(key: str, tmp_path: Path):
    folder = bundle_of(tmp_path / "out", "autoencoder", 2)
    digits = read_bundle(folder).document["fingerprint"]

    def change(document: dict[str, Any]) -> None:
        document[key] = digits + EVIL_CODE

    rewrite_plan(folder, change)
    before = sorted(path.name for path in folder.rglob("*"))
    with pytest.raises(PlanError, match=f"is damaged: {key}: "):
        write_firmware(folder, FirmwareOptions(tflm_dir=None))
    assert sorted(path.name for path in folder.rglob("*")) == before


@pytest.mark.parametrize("key", ["fingerprint", "model_name"])
def test_nor_do_they_without_that_check(key: str, tmp_path: Path):
    """The generator trusts no reader."""
    bundle = read_bundle(bundle_of(tmp_path / "out", "autoencoder", 2))
    document = {**bundle.document, key: bundle.document["fingerprint"] + EVIL_CODE}
    options = FirmwareOptions(boards=("host",), tflm_dir=None)
    if key == "fingerprint":
        with pytest.raises(LinkError, match="is not 32 hex digits"):
            all_files(document, bundle.devices, options)
        return
    files = all_files(document, bundle.devices, options)
    for name, content in files.items():
        assert name.endswith(".tflite") or b"\nint pwned" not in content


@pytest.mark.parametrize(
    "name", ["a\nb = c", "a${sysenv.HOME}", "a;b", "a, b", "a$(id)", "x*", 'a"b', "a\x1b[2J", " "]
)
def test_a_path_that_platformio_would_read_otherwise_is_refused(name: str):
    with pytest.raises(ClusterError, match="cannot stand in PlatformIO's configuration because of"):
        ini_path(Path("build", name))


@pytest.mark.parametrize("name", ["my model (1)", "ä_1.0", "a=b", "it!"])
def test_other_paths_are_taken_as_they_are(name: str):
    assert ini_path(Path("build", name)) == f"build/{name}"


def test_a_project_in_such_a_folder_says_that_it_must_be_renamed(
    platformio: Any, tmp_path: Path, host_compiler: None
):
    """The project names no path; PlatformIO and SCons would misread where it lies."""
    folder = bundle_of(tmp_path / "a;b", "autoencoder", 1)
    write_firmware(folder, FirmwareOptions(boards=("host",), tflm_dir=None))
    run = platformio.run("run", "-d", str(folder), "-e", "node0")
    assert run.returncode != 0
    assert "a;b would be misread because of ;: rename the folder" in run.stdout + run.stderr
