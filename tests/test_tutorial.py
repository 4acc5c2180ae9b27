# SPDX-License-Identifier: Apache-2.0
"""The commands of docs/tutorial.md, in their order, on a tiny model in place of MobileNetV2."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from models.tiny import NETWORKS
from tests.models.test_build_mobilenet_v2 import tensorflow_python
from tests.native import needs_cxx, needs_wheel_reader
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
_DEADLINE_SECONDS = 120.0
BOARDS_PORT = "5000"
"""Commands with it, and the program that has it, are of the part with blank boards."""


@cache
def blocks(language: str) -> list[str]:
    """The contents of the tutorial's fenced blocks of one language."""
    text = (ROOT / "docs" / "tutorial.md").read_text()
    return [content for kind, content in BLOCK.findall(text) if kind == language]


def commands() -> list[str]:
    """Every command of the ``console`` blocks: what follows a dollar sign."""
    lines = [line for block in blocks("console") for line in block.splitlines()]
    return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]


def of_blank_boards() -> list[str]:
    """The commands of that part: the boards, what is done to them, and a program."""
    found = [command for command in commands() if BOARDS_PORT in command]
    return [*found, *(command for command in commands() if command.endswith(".py"))]


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


def environment() -> dict[str, str]:
    """Of every command."""
    paths = os.pathsep.join([str(ROOT), str(ROOT / "rewriter")])
    return {**os.environ, "PYTHONPATH": paths, "COLUMNS": "200"}


def run(command: str, folder: Path) -> str:
    """What a command prints; it must end with exit code 0 and without a complaint."""
    result = subprocess.run(
        words(command),
        cwd=folder,
        env=environment(),
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
        if need(command) is None
        and command not in of_blank_boards()
        and (compiler or "--native" not in command)
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


@contextmanager
def started(command: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """It runs in the body, not for ever; what is typed into its terminal is its ``stdin``."""
    process = subprocess.Popen(
        words(command), cwd=folder, env=environment(), text=True, bufsize=1,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    deadline = threading.Timer(_DEADLINE_SECONDS, process.kill)
    deadline.start()
    try:
        yield process
    finally:
        deadline.cancel()
        process.send_signal(signal.SIGINT)
        process.communicate()


def until(process: subprocess.Popen[str], text: str) -> None:
    """Reads what a program prints up to the first line with a text."""
    assert process.stdout is not None
    said = []
    for line in iter(process.stdout.readline, ""):
        if text in line:
            return
        said.append(line)
    pytest.fail(f"it ended and did not say {text!r}, but {''.join(said)}")


def free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return str(server.getsockname()[1])


@needs_tflm
@needs_wheel_reader
@needs_cxx
@pytest.mark.slow
def test_blank_boards_get_a_network_and_a_program_outlives_one_of_them(tmp_path: Path):
    port = free_port()
    boards, *between, program = (
        command.replace(BOARDS_PORT, port) for command in of_blank_boards()
    )
    run(next(command for command in commands() if SEEDED in command), tmp_path)
    (text,) = blocks("py")
    (tmp_path / program.split()[-1]).write_text(text.replace(BOARDS_PORT, port))
    with started(boards, tmp_path) as terminal:
        until(terminal, "4 blank boards")
        said = [run(command, tmp_path) for command in between]
        assert "a ring of 4 boards" in said[0]
        assert "the same bits as the unsplit model" in said[1]
        with started(program, tmp_path) as service:
            until(service, "boards: class")  # the page's network takes all four
            assert terminal.stdin is not None
            terminal.stdin.write("kill 2\n")
            until(service, "does not answer any more")
            until(service, "boards: class")
            terminal.stdin.write("start 2\n")
            until(service, "is back")
            until(service, "boards: class")


@pytest.mark.parametrize("command", [c for c in commands() if not c.startswith("pio ")])
def test_options_of_every_command_exist(command: str):
    program, *rest = shlex.split(command)
    if program == "tflsplit":
        parser().parse_args(rest)  # leaves by SystemExit where it cannot be read
    elif rest[0] != "-m":
        assert f"# {rest[0]}\n" in "".join(blocks("py"))
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
