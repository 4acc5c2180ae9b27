# SPDX-License-Identifier: Apache-2.0
"""How the command line behaves between other programs: pipes, JSON, help, encodings."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bundles import bundle_of
from tests.splits import needs_tflm, tiny
from tflsplit import __version__
from tflsplit.cli import COMMANDS, main, parser
from tflsplit.cli.rewrite import arena_words
from tflsplit.tflite import write_model

ROOT = Path(__file__).resolve().parents[2]
NAMES = list(COMMANDS)


def process(*arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """The command in a process of its own, its output in pipes."""
    return subprocess.run(
        [sys.executable, "-m", "tflsplit", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT / "rewriter"), **environment},
        capture_output=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "ds_cnn.tflite"
    path.write_bytes(write_model(tiny("ds_cnn")))
    return path


def control_characters(output: bytes) -> set[str]:
    return {c for c in output.decode("utf-8") if not c.isprintable() and c != "\n"}


@needs_tflm
def test_nothing_but_text_goes_into_a_pipe(model: Path, tmp_path: Path):
    """No colours, no spinner, no cursor movements, whatever TERM says."""
    out = str(tmp_path / "out")
    for arguments in (
        ["inspect", str(model)],
        ["rewrite", str(model), "-n", "2", "-o", out],
        ["verify", out, "--runs", "1"],
        ["verify", out, "--runs", "1", "--json"],
    ):
        done = process(*arguments, TERM="xterm-256color", COLUMNS="80")
        assert done.returncode == 0, done.stderr
        assert control_characters(done.stdout) == set()
        assert done.stderr == b""


def test_errors_in_a_process_have_no_traceback(tmp_path: Path):
    done = process("verify", str(tmp_path))
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(b"tflsplit: ")
    assert b"Traceback" not in done.stderr


def test_a_reader_that_goes_away(model: Path):
    """`tflsplit inspect … | head -1` ends without a word."""
    with subprocess.Popen(
        [sys.executable, "-m", "tflsplit", "inspect", str(model), "--json"],
        env={**os.environ, "PYTHONPATH": str(ROOT / "rewriter")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.close()
        errors = running.stderr.read()
        assert running.wait(60) != 0
    assert b"Traceback" not in errors


def test_an_ascii_terminal_gets_something_readable(model: Path):
    done = process("inspect", str(model), PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert b"CONV_2D" in done.stdout


@pytest.mark.parametrize("name", NAMES)
def test_help_names_every_option_and_what_it_does(name: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as caught:
        main([name, "--help-all" if name == "rewrite" else "--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: tflsplit {name} ")
    assert "--json" in text
    subparsers = parser()._subparsers
    assert subparsers is not None
    (choices,) = (a.choices for a in subparsers._group_actions)
    assert isinstance(choices, dict)
    for action in choices[name]._actions:
        assert action.help, f"{action.dest} has no help"


def test_the_help_of_rewrite_fits_a_screen(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """A terminal of 24 lines, of which the last is its prompt; --help-all has every option."""
    monkeypatch.setenv("COLUMNS", "80")

    def helped(word: str) -> list[str]:
        with pytest.raises(SystemExit) as caught:
            main(["rewrite", word])
        assert caught.value.code == 0
        return capsys.readouterr().out.splitlines()

    lines, everything = helped("--help"), helped("--help-all")
    assert len(lines) <= 23
    assert max(map(len, [*lines, *everything])) < 80
    assert set(lines) < set(everything)
    assert helped("-h") == lines
    assert {"--help-all", "--objective", "--board"} <= set(" ".join(lines).split())


def test_help_lists_the_commands(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    assert {"rewrite", "run", "verify", "inspect"} <= set(NAMES)
    assert all(name in text for name in NAMES)


def test_the_list_of_commands_says_what_they_say_of_themselves():
    def helps(top: argparse.ArgumentParser) -> dict[str, str | None]:
        assert top._subparsers is not None
        (action,) = top._subparsers._group_actions
        assert isinstance(action, argparse._SubParsersAction)
        return {choice.dest: choice.help for choice in action._choices_actions}

    assert helps(parser()) == helps(parser("")) == dict(COMMANDS)


def test_help_imports_nothing_heavy():
    """What takes longest to start is wanted by no `--help`, `--version` or `import tflsplit`."""
    heavy = "{'numpy', 'simpy', 'flatbuffers', 'tflite'} & set(sys.modules)"
    for words in (["--help"], ["--version"]):
        code = f"import sys\nfrom tflsplit.cli import main\ntry: main({words})\n"
        code += f"except SystemExit: pass\nassert not {heavy}, {heavy}"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_version(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"tflsplit {__version__}\n"


def test_json_is_the_only_output(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "out"
    assert main(["rewrite", str(model), "-n", "2", "-o", str(out), "--json"]) == 0
    printed = capsys.readouterr()
    plan = json.loads((out / "plan.json").read_text())
    assert plan.items() <= json.loads(printed.out).items()
    assert printed.err == ""


def test_tables_name_layers_with_brackets_as_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Names of tensors may look like the markup of the library that prints tables."""
    graph = tiny("autoencoder")
    names = [node.name for node in graph.nodes]
    try:
        for index, node in enumerate(graph.nodes):
            node.name = node.output.name = f"[red]{index}[/]"
        path = tmp_path / "m.tflite"
        path.write_bytes(write_model(graph))
    finally:
        for node, name in zip(graph.nodes, names, strict=True):
            node.name = node.output.name = name
    assert main(["inspect", str(path)]) == 0
    assert "[red]3[/]" in capsys.readouterr().out
    assert main(["rewrite", str(path), "-n", "2", "-o", str(tmp_path / "o")]) == 0
    assert main(["verify", str(tmp_path / "o"), "--runs", "0"]) == 0


def test_a_folder_with_brackets_in_its_name(model: Path, capsys: pytest.CaptureFixture[str]):
    out = model.parent / "[red]out"
    assert main(["rewrite", str(model), "-n", "2", "-o", str(out)]) == 0
    assert f"wrote {out}; next:" in capsys.readouterr().out


def test_the_default_folder_is_named_after_the_model(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(model.parent)
    assert main(["rewrite", str(model), "-n", "2"]) == 0
    assert (model.parent / "build" / "ds_cnn" / "plan.json").is_file()
    assert "next: tflsplit verify build/ds_cnn" in capsys.readouterr().out


@needs_tflm
def test_verify_says_what_it_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = bundle_of(tmp_path / "out", "temporal", 3)
    assert main(["verify", str(folder), "--runs", "2"]) == 0
    text = capsys.readouterr().out
    assert "the same bits: 3 devices and the unsplit model on tflm, 5 inputs" in text


def test_quiet_prints_nothing_but_what_is_wrong(model: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["inspect", str(model), "-q"]) == 0
    assert capsys.readouterr() == ("", "")
    assert main(["-q", "inspect", "nowhere.tflite"]) == 2
    assert capsys.readouterr().err == "tflsplit: nowhere.tflite: no such file\n"
    assert main(["inspect", str(model), "-q", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["refusal"] is None
    assert main(["inspect", str(model)]) == 0
    assert "MACs" in capsys.readouterr().out


def test_quiet_leaves_notes_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = bundle_of(tmp_path / "old", "autoencoder", 2)
    assert main(["simulate", str(folder)]) == 0
    assert capsys.readouterr().err.startswith("note: ")
    assert main(["simulate", str(folder), "-q"]) == 0
    assert capsys.readouterr() == ("", "")


def test_verbose_says_what_takes_how_long(model: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["inspect", str(model), "--verbose"]) == 0
    assert capsys.readouterr().err.startswith("reading: 0.")
    assert main(["inspect", "nowhere.tflite", "-v"]) == 2
    err = capsys.readouterr().err
    assert "reader.py" in err
    assert err.endswith("tflsplit: nowhere.tflite: no such file\n")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "tcsh"])
def test_completion(shell: str, capsys: pytest.CaptureFixture[str]):
    pytest.importorskip("shtab", reason="needs shtab: pip install '.[completion]'")
    assert main(["--completion", shell]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in NAMES)
    assert "objective" in text


def test_what_the_arenas_of_a_table_are_is_said():
    known = {"arena_required_bytes": 4096, "arena_exact": True}
    said = "Arena: TFLM's, on a 32-bit microcontroller with reference kernels"
    assert arena_words([known, known], 4096) == f"{said}."
    more = f"{said}; with the kernels of its board the fullest takes 5.0 KiB."
    assert arena_words([known], 5120) == more
    assert arena_words([known, known | {"arena_exact": False}], 5120).startswith(f"{more} ~: some")


@needs_tflm
def test_colours_obey_no_color(model: Path):
    """A terminal gets colours unless NO_COLOR is set (no-color.org)."""
    code = "from tflsplit.cli.console import STDOUT; STDOUT.print('x', style='red')"
    shown = {}
    for value in ("", "1"):
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "rewriter"), "TERM": "xterm"}
        environment |= {"FORCE_COLOR": "1", "NO_COLOR": value} if value else {"FORCE_COLOR": "1"}
        shown[value] = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, check=True
        ).stdout
    assert shown == {"": b"\x1b[31mx\x1b[0m\n", "1": b"x\n"}
