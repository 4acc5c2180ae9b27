# SPDX-License-Identifier: Apache-2.0
"""No name and no device steers the terminal; Ctrl-C ends a command without noise."""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.bundles import bundle_of
from tests.splits import needs_tflm, tiny
from tflsplit.cli import console, main
from tflsplit.cli.console import Screen, print_json, progress, shortened, table
from tflsplit.errors import LinkError
from tflsplit.ir import Graph
from tflsplit.tflite import write_model
from tflsplit.wire.control import CONTROL_VERSION, TextReport, unpack

ROOT = Path(__file__).resolve().parents[2]
EVIL = "\x1b]0;pwned\x07\x1b[2J\x9b31m\u202e:boom:[bold]"


def harmless(text: str) -> bool:
    return all(char.isprintable() or char == "\n" for char in text)


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    printed = io.StringIO()
    plain = Screen(file=printed, highlight=False, markup=False, emoji=False, width=400)
    monkeypatch.setattr(console, "STDOUT", plain)
    return printed


def test_lines_and_tables_are_harmless(screen: io.StringIO):
    console.STDOUT.print(f"a tensor {EVIL}\nand another line")
    table(f"title {EVIL}", ["<name", f"column {EVIL}"], [[EVIL, f"1\n{EVIL}"]])
    text = screen.getvalue()
    assert harmless(text)
    assert text.count(r"\x1b]0;pwned\x07") == 5
    assert ":boom:[bold]" in text
    assert "a tensor" in text.splitlines()[0]
    assert text.splitlines()[1] == "and another line"
    assert harmless(shortened(EVIL))


def test_colour_that_is_ours_stays():
    printed = io.StringIO()
    coloured = Screen(
        file=printed, force_terminal=True, color_system="standard", highlight=False, markup=False
    )
    coloured.print(EVIL, style="bold red")
    assert printed.getvalue().startswith("\x1b[1;31m\\x1b]0;")
    assert printed.getvalue().count("\x1b") == 2


def test_what_is_beside_the_spinner(monkeypatch: pytest.MonkeyPatch):
    printed = io.StringIO()
    monkeypatch.setattr(console, "STDERR", Screen(file=printed, force_terminal=True, width=200))
    with progress(f"reading {EVIL}") as stage:
        stage(f"simulating {EVIL}")
    assert "\x1b]0;" not in printed.getvalue()
    assert "\x9b" not in printed.getvalue()


def test_json_is_harmless_too(capsys: pytest.CaptureFixture[str]):
    print_json({EVIL: [EVIL, "≤"]})
    text = capsys.readouterr().out
    assert harmless(text)
    assert json.loads(text) == {EVIL: [EVIL, "≤"]}
    assert "≤" in text


def named_evil() -> bytes:
    graph = tiny("autoencoder")
    nodes = [replace(graph.nodes[0], name=f"{EVIL}{graph.nodes[0].name}"), *graph.nodes[1:]]
    output = replace(graph.outputs[0], name=EVIL)
    nodes[-1] = replace(nodes[-1], outputs=(output,))
    return write_model(Graph("evil", graph.inputs, (output,), nodes))


def test_a_model_with_such_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    model = tmp_path / f"{EVIL}.tflite"
    model.write_bytes(named_evil())
    out = str(tmp_path / f"out{EVIL}")
    for arguments in (
        ["inspect", str(model)],
        ["inspect", str(model), "--json"],
        ["rewrite", str(model), "-n", "2", "--manual", "split=auto", "-o", out],
        ["rewrite", str(model), "-n", "2", "--manual", "split=auto", "-o", out, "--json"],
        ["simulate", out],
        ["compare", out, out],
        ["verify", out + "nowhere"],
        ["verify", out + "nowhere", "--json"],
        ["rewrite", str(model), "-n", "2", "--manual", f"layer={EVIL}=rows", "-o", out],
    ):
        main(arguments)
        printed = capsys.readouterr()
        assert harmless(printed.out + printed.err), arguments


def test_a_usage_error_that_repeats_its_arguments(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        main(["verify", "a", EVIL])
    assert harmless(capsys.readouterr().err)


def test_a_devices_text_is_one_line():
    said = b"\x1b[2Jfailed\nrank 1 is fine\xff\0"
    payload = TextReport.LAYOUT.pack(CONTROL_VERSION, TextReport.TYPE, len(said), 7) + said
    message = unpack(payload)
    assert message == TextReport(7, r"\x1b[2Jfailed\x0arank 1 is fine" + "\ufffd")


def test_an_error_that_repeats_a_devices_text(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def failing(arguments: argparse.Namespace) -> int:
        raise LinkError(f"rank 1 refuses to run: {EVIL}\nsecond line")

    monkeypatch.setattr("tflsplit.cli.verify.main", failing)
    assert main(["verify", "x"]) == 2
    err = capsys.readouterr().err
    assert harmless(err)
    assert err.endswith("\nsecond line\n")


def children(pid: int) -> list[int]:
    """Of a process of Linux."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [int(word) for word in text.split()]


def is_worker(pid: int) -> bool:
    try:
        return b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def is_spared(pid: int) -> bool:
    """Whether SIGINT does not reach a process, whatever it does just now."""
    status = Path(f"/proc/{pid}/status").read_text()
    blocked = int(re.findall(r"SigBlk:\s*([0-9a-f]+)", status)[0], 16)
    return bool(blocked >> (signal.SIGINT - 1) & 1)


@needs_tflm
@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux: /proc names the workers")
@pytest.mark.parametrize("ready", [False, True], ids=["while they start", "while they wait"])
def test_ctrl_c_with_processes(ready: bool, tmp_path: Path):
    """A terminal sends it to every process of the command."""
    folder = bundle_of(tmp_path / "out", "autoencoder", 2)
    np.save(tmp_path / "x.npy", np.zeros((1, 160), np.int8))
    command = [sys.executable, "-m", "tflsplit", "run", str(folder), "--processes"]
    running = subprocess.Popen(
        [*command, "--input", str(tmp_path / "x.npy")],
        env={**os.environ, "PYTHONPATH": str(ROOT / "rewriter")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        workers: list[int] = []
        until = time.monotonic() + 120
        while len(workers) < 2 and running.poll() is None and time.monotonic() < until:
            workers = [pid for pid in children(running.pid) if is_worker(pid)]
        assert len(workers) == 2, running.communicate()
        assert all(map(is_spared, workers))
        os.kill(workers[1], signal.SIGSTOP)  # so that the inference cannot end before
        if ready:
            time.sleep(2)
        os.killpg(running.pid, signal.SIGINT)
        out, err = running.communicate(timeout=60)
        assert (running.returncode, out) == (130, b"")
        assert b"Traceback" not in err
        assert not [pid for pid in workers if is_worker(pid)]
    finally:
        if running.poll() is None:
            os.killpg(running.pid, signal.SIGKILL)
            running.communicate()


def test_messages_break_between_words_on_a_terminal_and_not_in_a_pipe(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    wrong = ["simulate", "nowhere", "--sweep", "weight=1,2,3"]
    assert main(wrong) == 2
    (whole,) = capsys.readouterr().err.splitlines()
    assert len(whole) > 60
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")
    assert main(wrong) == 2
    broken = capsys.readouterr().err.splitlines()
    assert max(map(len, broken)) <= 40
    assert " ".join(broken) == whole
