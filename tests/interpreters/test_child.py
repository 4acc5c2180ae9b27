# SPDX-License-Identifier: Apache-2.0
"""Models that break their interpreter break no more than the process that it runs in."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.splits import tiny
from tests.support import node, tensor
from tflsplit.cli import main
from tflsplit.errors import EngineError
from tflsplit.interpreters import InterpreterError, child, naming
from tflsplit.interpreters.child import run_in_this_process
from tflsplit.ir import DType, Graph
from tflsplit.runtime.engines import Program, TflmProgram
from tflsplit.tflite import write_model

pytest.importorskip(
    "tflite_micro", reason="needs TFLM's wheel (Linux on x86-64): pip install '.[host]'"
)


def gather() -> Graph:
    """A sound graph that reads where its input says: far outside, if that is asked for."""
    x, indices = tensor("x", (64, 8)), tensor("i", (4,), DType.INT32, None)
    y = tensor("y", (4, 8))
    return Graph("gather", (x, indices), (y,), [node("GATHER", [x, indices], y, axis=0)])


def aborting() -> Graph:
    """A graph that TFLM sets up no further than to an abort (which ``check_declared`` refuses)."""
    x, y = tensor("x", (1, 4)), tensor("y", (1, 4), scale=1 / 256, zero_point=-128)
    return Graph("softmax", (x,), (y,), [node("SOFTMAX", [x], y, beta=-1.0)])


INSIDE, OUTSIDE = np.array([3, 1, 0, 5], np.int32), np.array([2**27, 1, 0, 5], np.int32)


def x() -> np.ndarray:
    return (np.arange(512) % 256 - 128).astype(np.int8).reshape(64, 8)


def gathers(program: Program) -> None:
    np.testing.assert_array_equal(program.run([x(), INSIDE])[0], x()[INSIDE])


def process_id() -> int:
    current = child._current()
    assert isinstance(current, child._Child)
    return current._process.pid


def test_a_model_that_aborts_is_named_and_the_next_one_runs():
    with pytest.raises(InterpreterError) as caught, naming("bad.tflite"):
        TflmProgram(aborting())
    text = str(caught.value)
    assert text.startswith("bad.tflite: the interpreter's process was ended by SIGABRT in a graph ")
    assert "of SOFTMAX" in text
    gathers(TflmProgram(gather()))


def test_a_run_that_reads_outside_is_named_and_the_next_one_runs():
    program = TflmProgram(gather())
    gathers(program)
    with pytest.raises(InterpreterError, match=r"was ended by SIGSEGV in a graph of GATHER"):
        program.run([x(), OUTSIDE])
    with pytest.raises(InterpreterError, match="ended with an earlier model"):
        program.run([x(), INSIDE])
    gathers(TflmProgram(gather()))


def test_there_is_one_process_and_it_stays():
    TflmProgram(tiny("autoencoder"))
    first = process_id()
    programs = [TflmProgram(gather()) for _ in range(3)]
    for program in programs:
        gathers(program)
    assert process_id() == first


def test_programs_that_nobody_has_any_more_are_dropped():
    kept = TflmProgram(gather())
    current = child._current()
    for _ in range(5):
        TflmProgram(gather())
    gc.collect()
    assert len(current.dropped) >= 1
    gathers(kept)
    assert not current.dropped
    gathers(kept)


def test_a_process_that_is_killed_is_named():
    program = TflmProgram(gather())
    os.kill(process_id(), signal.SIGKILL)
    with pytest.raises(InterpreterError, match="was ended by SIGKILL"):
        program.run([x(), INSIDE])


def test_a_process_that_does_not_answer_is_ended(monkeypatch: pytest.MonkeyPatch):
    program, process = TflmProgram(gather()), process_id()
    monkeypatch.setattr(child, "SILENCE_SECONDS", 0.2)
    os.kill(process, signal.SIGSTOP)
    with pytest.raises(InterpreterError, match="did not answer for 0 s"):
        program.run([x(), INSIDE])
    monkeypatch.undo()
    gathers(TflmProgram(gather()))


def test_refusals_leave_the_process_alive():
    bad = aborting()
    bad.nodes[0].op = "NO_SUCH"
    bad.nodes[0].is_custom = True
    TflmProgram(gather())
    first = process_id()
    with pytest.raises(EngineError, match=r"^TFLM refuses a graph of NO_SUCH: "):
        TflmProgram(bad)
    assert process_id() == first


@pytest.fixture
def here() -> Iterator[None]:
    run_in_this_process()
    yield
    child._end()
    child._state["make"] = child._Child


@pytest.mark.usefixtures("here")
def test_a_process_that_may_die_runs_models_itself():
    gathers(TflmProgram(gather()))
    assert isinstance(child._current(), child._Here)


def test_nothing_is_left_running():
    code = (
        "from tests.interpreters.test_child import *; gathers(TflmProgram(gather())); "
        "print(process_id())"
    )
    path = os.pathsep.join(entry for entry in sys.path if entry)
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    with pytest.raises(ProcessLookupError):
        os.kill(int(done.stdout), 0)


@pytest.mark.parametrize("processes", [[], ["--processes"]])
def test_run_survives_and_names_the_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], processes: list[str]
):
    model, folder = tmp_path / "gather.tflite", tmp_path / "out"
    model.write_bytes(write_model(gather()))
    np.save(tmp_path / "x.npy", x())
    np.save(tmp_path / "i.npy", OUTSIDE)
    assert main(["rewrite", str(model), "-n", "2", "-o", str(folder)]) == 0
    capsys.readouterr()
    inputs = ["--input", str(tmp_path / "x.npy"), "--input", str(tmp_path / "i.npy")]
    assert main(["run", str(folder), *inputs, *processes]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.splitlines()) == 1
    assert f"{folder}: the {'process of rank' if processes else 'interpreter'}" in printed.err
    assert "of SIGSEGV" in printed.err if processes else "by SIGSEGV" in printed.err
