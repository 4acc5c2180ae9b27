# SPDX-License-Identifier: Apache-2.0
"""The commands of docs/tutorial.md, in their order, on a tiny model in place of MobileNetV2."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from models.tiny import NETWORKS
from tests.models.test_build_mobilenet_v2 import tensorflow_python
from tests.splits import needs_tflm
from tflsplit.cli import parser
from tflsplit.tflite import load
from tflsplit.tflite.support import check_quantized

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SEEDED = "python -m models build mobilenet_v2"
STANDS_IN = "resnet"
"""The network in its place: of ``models.tiny``, planned soon, shared by eight boards."""
FEWER = ("--cluster cluster.toml --pareto", "-n 2 --pareto")
"""Half a minute of searches for eight boards, a few seconds for two."""
# What needs more than this computer: the start of a command, and why it is skipped.
NEEDS = {
    "python -m models.build_mobilenet_v2": "TensorFlow and minutes; its own tests, in "
    "tests/models/test_build_mobilenet_v2.py, run it where TensorFlow is",
    "tflsplit emulate build/eight --input": "TFLM's sources (TFLSPLIT_TFLM_DIR), PlatformIO and "
    "QEMU; tests/firmware/test_emulated_cluster.py runs it where they are",
    "pio run -e node3": "the toolchain of a Teensy 4.1 from PlatformIO's registry; "
    "tests/firmware/test_node_firmware.py builds other boards",
    "pio device monitor": "a board on a serial port; get one and follow the tutorial",
    "tflsplit upload": "eight boards; tests/cli/test_upload.py has a program stand in",
    "tflsplit cluster": "eight boards, or tests/cli/test_cluster.py, where programs stand in",
}


@cache
def blocks(language: str) -> list[str]:
    """The contents of the tutorial's fenced blocks of one language."""
    text = (ROOT / "docs" / "tutorial.md").read_text()
    return [content for kind, content in BLOCK.findall(text) if kind == language]


def commands() -> list[str]:
    """Every command of the ``console`` blocks: what follows a dollar sign."""
    lines = [line for block in blocks("console") for line in block.splitlines()]
    return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]


def need(command: str) -> str | None:
    """What a command needs that a test cannot give it."""
    return next((why for start, why in NEEDS.items() if command.startswith(start)), None)


def words(command: str) -> list[str]:
    """The command for this interpreter, with a tiny network in place of the large one."""
    small = command.replace(SEEDED, f"python -m models build {STANDS_IN}").replace(*FEWER)
    first, *rest = shlex.split(small)
    if first == "tflsplit":
        return [sys.executable, "-m", "tflsplit", *rest]
    assert first == "python", f"how is {command!r} to be run?"
    return [sys.executable, *rest]


def run(command: str, folder: Path) -> str:
    """What a command prints; it must end with exit code 0 and without a complaint."""
    paths = os.pathsep.join([str(ROOT), str(ROOT / "rewriter")])
    result = subprocess.run(
        words(command),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": paths, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"
    return result.stdout


def provide(folder: Path) -> None:
    """The reader's own files: a photograph, and the files whose contents the page shows."""
    image = pytest.importorskip("PIL.Image", reason="needs Pillow: pip install '.[host]'")
    rows, columns = np.mgrid[:60, :80]
    pixels = np.stack([columns * 3, rows * 4, rows + columns], axis=-1).astype(np.uint8)
    image.fromarray(pixels).save(folder / "photo.jpg")
    for content in blocks("toml"):
        (folder / content.splitlines()[0].removeprefix("# ")).write_text(content)


@needs_tflm
@pytest.mark.slow
def test_the_commands_run_in_their_order(tmp_path: Path):
    provide(tmp_path)
    compiler = shutil.which("c++") or shutil.which("g++")
    output = {
        command: run(command, tmp_path)
        for command in commands()
        if need(command) is None and (compiler or "--native" not in command)
    }
    (verified,) = [text for command, text in output.items() if " verify " in command]
    assert re.search("the same bits: [4-8] devices", verified), verified
    both = [text.split("devices on")[0] for command, text in output.items() if " run " in command]
    assert len(both) == 2
    assert both[0] == both[1]
    plan = json.loads((tmp_path / "build" / "eight" / "plan.json").read_text())
    # the tiny network that stands in may leave boards out; the page's own takes all
    assert plan["world_size"] in range(4, 9)
    assert sum(device["sent_bytes"] for device in plan["devices"]) > 0, "nothing was split"
    assert "[env:node3]" in (tmp_path / "build" / "eight" / "nodes.ini").read_text()
    for written in ("eight.html", "rates.csv", "devices.csv"):
        assert (tmp_path / "build" / written).stat().st_size > 0
    if compiler is None:
        pytest.skip("the rest ran; --native needs a C++ compiler: apt install g++")


@pytest.mark.parametrize("command", [c for c in commands() if not c.startswith("pio ")])
def test_options_of_every_command_exist(command: str):
    program, *rest = shlex.split(command)
    if program == "tflsplit":
        parser().parse_args(rest)  # leaves by SystemExit where it cannot be read
    else:
        module = rest[1].replace(".", "/")
        assert (ROOT / f"{module}.py").exists() or (ROOT / module / "__main__.py").exists()


@pytest.mark.parametrize("command", [command for command in commands() if need(command)])
def test_what_needs_more_than_this_computer(command: str):
    pytest.skip(f"needs {need(command)}")


@pytest.mark.parametrize("start", NEEDS)
def test_every_excuse_is_for_a_command_of_the_page(start: str):
    assert any(command.startswith(start) for command in commands())


@pytest.mark.slow
def test_the_conversion_gives_a_model_that_can_be_split(tmp_path: Path):
    if (python := tensorflow_python()) is None:
        pytest.skip(
            "needs TensorFlow: `make .venv-tensorflow/.installed`, "
            "or TFLSPLIT_TENSORFLOW_PYTHON=/path/to/a/python/that/has/it"
        )
    (program,) = blocks("python")
    result = subprocess.run(
        [python, "-c", program],
        cwd=tmp_path,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    check_quantized(model := load(tmp_path / "own.tflite"))
    assert {"CONV_2D", "FULLY_CONNECTED"} <= {node.op for node in model.nodes}


def test_a_command_that_fails_is_noticed(tmp_path: Path):
    with pytest.raises(AssertionError, match="no such file"):
        run("tflsplit inspect missing.tflite", tmp_path)
    assert STANDS_IN in NETWORKS
    assert any(FEWER[0] in command for command in commands())
