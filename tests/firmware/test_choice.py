# SPDX-License-Identifier: Apache-2.0
"""Which output folder a checkout's root builds, and what it says where that is not clear."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.bundles import bundle_of
from tests.firmware.conftest import ROOT
from tflsplit.firmware import FirmwareOptions, Wanted, choose_nodes, write_firmware

HOST = FirmwareOptions(boards=("host",), tflm_dir=None)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A checkout: what PlatformIO reads of one."""
    root = tmp_path / "checkout"
    root.mkdir()
    shutil.copy(ROOT / "platformio.ini", root)
    tools = ROOT / "tflm_app"
    shutil.copytree(tools, root / "tflm_app", ignore=shutil.ignore_patterns("__pycache__"))
    return root


def written(project: Path, name: str, wanted: Wanted) -> list[str]:
    """The candidates after an output folder is written; the last is what would be built."""
    folder = project / "build" / name
    if not folder.exists():
        write_firmware(bundle_of(folder, "autoencoder", 1), HOST)
    choice = choose_nodes(folder, wanted)
    assert choice is not None
    assert choice.is_clear == (len(choice.candidates) == 1)
    return [candidate.removeprefix("build/") for candidate in choice.candidates]


def test_what_is_meant_is_remembered(project: Path):
    assert written(project, "a", Wanted.WRITTEN) == ["a"]
    assert written(project, "a", Wanted.WRITTEN) == ["a"], "written again"
    assert written(project, "b", Wanted.WRITTEN) == ["a", "b"], "both say nothing of boards"
    assert written(project, "c", Wanted.NAMED) == ["c"], "the one for which boards were named"
    assert written(project, "a", Wanted.WRITTEN) == ["c"], "and it stays"
    assert written(project, "d", Wanted.NAMED) == ["c", "d"]
    assert written(project, "d", Wanted.CHOSEN) == ["d"]
    assert written(project, "a", Wanted.WRITTEN) == ["d"]
    assert written(project, "a", Wanted.CHOSEN) == ["a"]
    assert written(project, "a", Wanted.WRITTEN) == ["a"]
    assert written(project, "b", Wanted.NAMED) == ["a", "b"]


def test_a_folder_that_is_gone_is_no_candidate(project: Path):
    written(project, "a", Wanted.NAMED)
    shutil.rmtree(project / "build" / "a")
    assert written(project, "b", Wanted.NAMED) == ["b"]


def test_a_damaged_choice_is_made_anew(project: Path):
    written(project, "a", Wanted.NAMED)
    (project / "build" / "nodes.ini").write_bytes(b"\xff[[")
    assert written(project, "b", Wanted.NAMED) == ["b"]


def build(platformio: Any, project: Path, *words: str) -> tuple[int, str]:
    run = platformio.run("run", "-d", str(project), *words)
    return run.returncode, run.stdout + run.stderr


def test_the_root_says_whose_it_builds_and_refuses_where_that_is_not_clear(
    platformio: Any, project: Path, host_compiler: None, host_tflm: Path
):
    written(project, "a", Wanted.NAMED)
    code, said = build(platformio, project, "-e", "node0")
    assert code == 0, said
    assert "node0: the firmware of build/a\n" in said
    written(project, "b", Wanted.NAMED)
    for words in (["-e", "node0"], ["-t", "upload", "-e", "node0"]):
        code, said = build(platformio, project, *words)
        assert code != 0
        assert "which one? build/a and build/b both have firmware" in said
        assert "tflsplit firmware build/b" in said
        assert "pio run -d build/b -e node0" in said
    written(project, "a", Wanted.CHOSEN)
    code, said = build(platformio, project, "-e", "node0")
    assert code == 0, said
    assert "node0: the firmware of build/a\n" in said


@pytest.mark.usefixtures("host_compiler")
def test_a_board_that_is_none_is_not_flashed(platformio: Any, tmp_path: Path):
    folder = bundle_of(tmp_path / "out", "autoencoder", 1)
    write_firmware(folder, HOST)
    code, said = build(platformio, folder, "-t", "upload", "-e", "node0")
    assert code != 0
    assert "there is no board to flash: this firmware is for this computer" in said
    assert "tflsplit emulate . --native" in said
