# SPDX-License-Identifier: Apache-2.0
"""Killed at any moment, a whole folder is there: the old one or the new one, and what was kept."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from tflsplit.bundle.replace import clean_up, write_folder

if not hasattr(os, "fork"):
    pytest.skip("needs an operating system that forks: Linux or macOS", allow_module_level=True)

OLD = {"plan.json": b"old", "node0.tflite": b"0" * 5000, "firmware/node0/config.h": b"h"}
NEW = {"plan.json": b"new", "node1.tflite": b"1" * 5000, "firmware/node1/config.h": b"i"}
KEPT = {"notes.txt": b"mine", "runs/1.json": b"{}"}
MINE = frozenset({*OLD, *NEW})
MOST_POINTS = 160
RANDOM_KILLS = 40


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def start(folder: Path) -> None:
    """The old output, with things of others in it."""
    write_folder(folder, {**OLD, **KEPT}, {*MINE, *KEPT})


def forked(work: Callable[[], None]) -> int:
    """Do something in a process of its own; its id."""
    pid = os.fork()
    if pid:
        return pid
    try:
        work()
    finally:
        os._exit(0)


def killed(pid: int) -> bool:
    """Wait for a process; whether it was killed."""
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


def dying_at(line: int, module: str, work: Callable[[], None]) -> Callable[[], None]:
    """``work``, killed before it runs the n-th line of a module."""
    count = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        if not frame.f_code.co_filename.endswith(module):
            return None
        if event == "line":
            count += 1
            if count == line:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    def run() -> None:
        sys.settrace(trace)
        work()

    return run


def each_point(folder: Path, module: str) -> Iterator[dict[str, bytes] | None]:
    """What is there after a kill at each of the lines; None where nothing is."""

    def rewrite() -> None:
        write_folder(folder, NEW, MINE)

    start(folder)
    lines = 1
    while killed(forked(dying_at(lines, module, rewrite))):  # how many there are, roughly
        lines *= 2
    step = max(1, lines // MOST_POINTS)
    for line in range(1, lines, step):
        start(folder)
        if not killed(forked(dying_at(line, module, rewrite))):
            return
        yield contents(folder) if folder.exists() else None


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill takes nothing from the disk's cache; only a power cut does."""
    monkeypatch.setattr("tflsplit.bundle.replace.os.fsync", lambda handle: None)


def test_at_every_line_a_whole_folder_is_there(tmp_path: Path):
    folder = tmp_path / "out"
    before, after = {**OLD, **KEPT}, {**NEW, **KEPT}
    found = list(each_point(folder, "replace.py"))
    assert len(found) > 60
    assert all(each in (before, after) for each in found)
    assert found.count(before) > 10
    assert found.count(after) > 10
    write_folder(folder, NEW, MINE)
    assert contents(folder) == after
    assert {path.name for path in tmp_path.iterdir()} == {"out"}, "leftovers of killed runs"


def test_where_the_swap_takes_three_steps_the_next_run_brings_it_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("tflsplit.bundle.exchange._at_once", lambda folder, other: False)
    folder = tmp_path / "out"
    missing = 0
    for found in each_point(folder, "exchange.py"):
        if found is None:
            missing += 1
            clean_up(folder)
            assert contents(folder) == {**OLD, **KEPT}
        else:
            assert found in ({**OLD, **KEPT}, {**NEW, **KEPT})
    assert missing, "there is a gap, and this test hits it"
    write_folder(folder, NEW, MINE)
    assert contents(folder) == {**NEW, **KEPT}
    assert {path.name for path in tmp_path.iterdir()} == {"out"}


def test_at_any_moment_too(tmp_path: Path):
    """Not only between two lines of Python."""
    folder = tmp_path / "out"
    start(folder)
    moments = random.Random(1)

    def rewrite_for_ever() -> None:
        while True:
            write_folder(folder, NEW, MINE)
            write_folder(folder, OLD, MINE)

    for _ in range(RANDOM_KILLS):
        pid = forked(rewrite_for_ever)
        time.sleep(moments.uniform(0.0, 0.04))
        os.kill(pid, signal.SIGKILL)
        assert killed(pid)
        assert contents(folder) in ({**OLD, **KEPT}, {**NEW, **KEPT})
