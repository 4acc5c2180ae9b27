# SPDX-License-Identifier: Apache-2.0
"""What somebody who is new here gets wrong, and what each mistake gets: the reason and the way out.

Every one ends with exit code 2 and a message on standard error, without a traceback; those that are
no mistakes of the command line alone (``NOTED``) are done, and said.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.bundles import bundle_of
from tests.splits import needs_tflm, tiny
from tflsplit.cli import main
from tflsplit.tflite import write_model

MISTAKES = {
    "nothing": ("", "usage: tflsplit [-h]", "split a model: one graph per device"),
    "a model, no command": ("m.tflite", "say what to do with it", "tflsplit inspect m.tflite"),
    "a command misspelt": ("inpect m.tflite", "no command 'inpect'; did you mean inspect?"),
    "an option misspelt": (
        "rewrite m.tflite -n 2 --bord pico",
        "usage: tflsplit rewrite MODEL -n N",
        "there is no option --bord; did you mean --board?",
    ),
    "a short option that is none": ("rewrite m.tflite -N 2", "did you mean -n?"),
    "an option of another command": ("verify out --top 3", "verify", "there is no option --top"),
    "a word too many": ("inspect m.tflite out", "usage: tflsplit inspect", "what is 'out'?"),
    "no model": ("inspect", "usage: tflsplit inspect", "missing: MODEL"),
    "a word for a number": ("rewrite m.tflite -n two", "wants a whole number, not 'two'"),
    "no number of devices": ("rewrite m.tflite", "say how many devices there are: -n N"),
    "no devices": ("rewrite m.tflite -n 0", "must be 1 to 64"),
    "an objective that is none": (
        "rewrite m.tflite -n 2 --objective latncy",
        "did you mean latency?",
        "latency, ram, bytes",
    ),
    "a model that is not there": ("inspect n.tflite", "n.tflite: no such file"),
    "a folder for a model": ("inspect out", "out: is not a file; name a .tflite file"),
    "a picture for a model": ("inspect cat.png", "cat.png"),
    "a model for a folder": (
        "verify m.tflite",
        "m.tflite is a model, not an output folder: `tflsplit rewrite m.tflite -n N` first",
    ),
    "a folder that is not there": ("report oot", "oot: no such folder; name one that"),
    "a folder that is no output": ("verify other", "other holds no plan.json; name a folder"),
    "a cluster that is not there": ("simulate out --cluster c.toml", "c.toml: no such file"),
    "an input that is not there": ("run out --input x.npy", "x.npy: no such file"),
    "labels that are not there": (
        "run out --input good.npy --labels missing",
        "missing: no such file",
    ),
    "a negative number of classes": ("run out --input good.npy --top -2", "must be 0 or more"),
    "an input of another shape": ("run out --input short.npy", "has shape [1, 3]", "[1, 160]"),
    "an input of another type": ("run out --input bytes.npy", "holds uint8", "wants int8"),
    "an input with NaN": ("run out --input nan.npy", "1 of 160 values is NaN", "at [0, 7]"),
    "data that are not there": ("evaluate out --data imgs", "imgs: no such file or folder"),
    "a sweep of what is none": ("simulate out --sweep buad=1e6", "did you mean baud?"),
}  # fmt: skip

NOTED = {
    "values that the input cannot hold": ("wide.npy", "2 of 160 values lie outside", "clipped"),
    "too few labels": ("good.npy --labels few.txt", "--labels has 2 names, the model 160 classes"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What somebody has lying around."""
    place = tmp_path_factory.mktemp("new")
    (place / "m.tflite").write_bytes(write_model(tiny("autoencoder")))
    (place / "cat.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (place / "other").mkdir()
    (place / "few.txt").write_text("cat\ndog\n")
    bundle_of(place / "out", "autoencoder", 2)
    shape = tiny("autoencoder").inputs[0].shape
    real = np.zeros(shape, np.float32)
    np.save(place / "good.npy", np.zeros(shape, np.int8))
    np.save(place / "bytes.npy", np.zeros(shape, np.uint8))
    np.save(place / "short.npy", np.zeros((1, 3), np.int8))
    real[0, 7] = np.nan
    np.save(place / "nan.npy", real)
    real[0, 7:9] = 1e9, -1e9
    np.save(place / "wide.npy", real)
    return place


def printed(
    line: str, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[int, str]:
    monkeypatch.chdir(place)
    monkeypatch.setenv("COLUMNS", "80")
    try:
        code = main(line.split())
    except SystemExit as left:
        code = int(left.code or 0)
    err = capsys.readouterr().err
    assert "Traceback" not in err
    return code, " ".join(err.split())


@needs_tflm
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake(
    mistake: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    before = sorted(folder.rglob("*"))
    line, *says = MISTAKES[mistake]
    code, err = printed(line, folder, monkeypatch, capsys)
    assert code == 2
    for text in says:
        assert text in err, err
    assert sorted(folder.rglob("*")) == before


@needs_tflm
@pytest.mark.parametrize("mistake", NOTED)
def test_what_is_done_is_said(
    mistake: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    line, *says = NOTED[mistake]
    code, err = printed(f"run out --input {line}", folder, monkeypatch, capsys)
    assert code == 0
    assert err.startswith("note: ")
    for text in says:
        assert text in err, err


def test_they_are_at_least_25():
    assert len(MISTAKES) + len(NOTED) >= 25
