# SPDX-License-Identifier: Apache-2.0
"""Bad input: one clear line that names the thing, exit code 2, nothing half-written."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.splits import tiny
from tests.tflite.edits import edited, tensor
from tests.tflite.raw import dense_model
from tflsplit.cli import main
from tflsplit.ir import DType, Graph, Quantization, Value
from tflsplit.tflite import write_model


def recast(dtype: DType) -> bytes:
    """A tiny network whose int8 tensors are of another type."""
    graph = tiny("autoencoder")
    table = {
        value: replace(
            value,
            dtype=dtype,
            data=None if value.data is None else value.data.astype(dtype.numpy),
            quantization=_requantized(value, dtype),
        )
        for value in graph.values()
        if value.dtype is DType.INT8
    }
    nodes = [
        replace(
            node,
            inputs=tuple(None if v is None else table.get(v, v) for v in node.inputs),
            outputs=tuple(table.get(v, v) for v in node.outputs),
        )
        for node in graph.nodes
    ]
    inputs, outputs = (tuple(table[v] for v in vs) for vs in (graph.inputs, graph.outputs))
    return write_model(Graph("recast", inputs, outputs, nodes))


def _requantized(value: Value, dtype: DType) -> Quantization | None:
    if dtype is DType.FLOAT32 or value.quantization is None:
        return None
    return replace(value.quantization, zero_points=(128,) * len(value.quantization.scales))


def unknown_op() -> bytes:
    graph = tiny("autoencoder")
    nodes = [replace(graph.nodes[0], op="NoSuchOp", is_custom=True), *graph.nodes[1:]]
    return write_model(Graph("unknown", graph.inputs, graph.outputs, nodes))


def good() -> bytes:
    return write_model(tiny("autoencoder"))


MODELS: dict[str, tuple[Callable[[], bytes], str]] = {
    "float": (lambda: recast(DType.FLOAT32), "is float; convert the model with full-integer"),
    "uint8": (lambda: recast(DType.UINT8), "is quantized to uint8, the scheme of TensorFlow 1"),
    "truncated": (lambda: good()[:3000], "download or convert it again"),
    "empty": (lambda: b"", ""),
    "text": (lambda: b"not a model at all, just some text", "tflite"),
    "unknown operator": (unknown_op, "TFLM has no kernel for the custom operator NoSuchOp"),
    "dynamic shape": (
        lambda: edited(dense_model(), lambda model: tensor(model, 0).update(shape=(-1, 4))),
        "has the dynamic shape [-1, 4]; fix the input shape",
    ),
}


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The message of a command that refuses; it must be one line, alone, and exit code 2."""
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("tflsplit: ")
    assert printed.err.count("\n") == 1
    assert "Traceback" not in printed.err
    return printed.err


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.tflite"
    path.write_bytes(good())
    return path


@pytest.mark.parametrize("kind", MODELS)
def test_rewrite_refuses_what_cannot_be_split(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    content, says = MODELS[kind]
    path = tmp_path / "bad.tflite"
    path.write_bytes(content())
    text = refused(capsys, "rewrite", str(path), "-n", "2", "-o", str(tmp_path / "out"))
    assert says in text
    assert [entry.name for entry in tmp_path.iterdir()] == ["bad.tflite"]


@pytest.mark.parametrize("kind", ["truncated", "empty", "text", "dynamic shape"])
def test_inspect_refuses_what_it_cannot_read(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    path = tmp_path / "bad.tflite"
    path.write_bytes(MODELS[kind][0]())
    assert MODELS[kind][1] in refused(capsys, "inspect", str(path))


@pytest.mark.parametrize("kind", ["float", "uint8", "unknown operator"])
def test_inspect_explains_what_rewrite_would_refuse(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    path = tmp_path / "odd.tflite"
    path.write_bytes(MODELS[kind][0]())
    assert main(["inspect", str(path), "--json"]) == 0
    assert MODELS[kind][1] in json.loads(capsys.readouterr().out)["refusal"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["-n", "0"], "the number of devices must be 1 to 64"),
        (["-n", "-3"], "the number of devices must be 1 to 64"),
        (["-n", "65"], "the number of devices must be 1 to 64"),
        (["-n", "2", "--manual", "shares=1,1,1"], "shares=1,1,1 names 3 devices, not 2"),
        (["-n", "2", "--manual", "shares=1,x"], "shares=1,x is not a comma-separated list"),
        (["-n", "2", "--manual", "shares=0,0"], "must be 0 or more, and not all 0"),
        (["-n", "2", "--manual", "layer=nowhere=rows"], "'nowhere'"),
        (
            ["-n", "2", "--manual", "layer=fully_connected_0"],
            "is not layer=NAME=WAY with WAY one of",
        ),
        (["-n", "2", "--manual", "layer=fully_connected_0=diagonal"], "is not layer=NAME=WAY"),
        (
            ["-n", "2", "--manual", "layer=fully_connected_0=rows"],
            "'fully_connected_0' cannot be split by rows; it can be by: in_channels, ",
        ),
        (["-n", "2", "--manual", "weights-limit=1.5"], "weights-limit=1.5 is not between 0 and 1"),
        (["-n", "2", "--manual", "weights-limit=nan"], "weights-limit=nan is not between 0 and 1"),
        (["-n", "2", "--manual", "split=in_channels", "stock-kernels"], "leave out stock-kernels"),
        (["-n", "2", "--manual", "split=diagonal"], "split=diagonal: choose from auto, "),
        (["-n", "2", "--manual", "stock-kernels=1"], "stock-kernels takes no value"),
        (["-n", "2", "--manual", "best"], "'best' is none of: split=WAY, layer=NAME=WAY, "),
        (["-n", "2", "--manual", "split=rows", "--objective", "ram"], "give one"),
    ],
)
def test_rewrite_refuses_wishes_that_cannot_be_met(
    options: list[str],
    says: str,
    model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
):
    out = tmp_path / "out"
    assert says in refused(capsys, "rewrite", str(model), "-o", str(out), *options)
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.tflite"]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["rewrite"],
        ["rewrite", "m.tflite", "-n", "two"],
        ["rewrite", "m.tflite", "-n", "2", "--manual"],
        ["run", "out"],
        ["verify"],
        ["verify", "out", "--engine", "abacus"],
        ["inspect"],
    ],
)
def test_usage_errors_show_the_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith("usage: tflsplit")


@pytest.mark.parametrize(
    "arguments",
    [
        ["rewrite", "nowhere.tflite", "-n", "2"],
        ["inspect", "nowhere.tflite"],
        ["run", "nowhere", "--input", "x.npy"],
        ["verify", "nowhere"],
    ],
)
def test_a_missing_file_is_named(
    arguments: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.chdir(tmp_path)
    assert "nowhere" in refused(capsys, *arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["rewrite", "inspect"])
def test_a_folder_is_no_model(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    more = ["-n", "2", "-o", str(tmp_path / "out")] if command == "rewrite" else []
    assert tmp_path.name in refused(capsys, command, str(tmp_path), *more)


def test_the_folder_itself_as_output(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(model.parent)
    for out in (".", "/", ".."):
        text = refused(capsys, "rewrite", str(model), "-n", "2", "-o", out, "--force")
        assert "you are in" in text
        assert "name a folder of its own with -o" in text
    assert [entry.name for entry in model.parent.iterdir()] == ["model.tflite"]


def test_errors_as_json_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["verify", str(tmp_path), "--json"]) == 2
    printed = capsys.readouterr()
    found = json.loads(printed.out)
    assert found["kind"] == "PlanError"
    assert printed.err == f"tflsplit: {found['error']}\n"


@pytest.mark.parametrize("option", ["--runs", "--seed"])
def test_verify_wants_no_negative_numbers(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert "must be 0 or more" in refused(capsys, "verify", str(tmp_path), option, "-1")


def test_the_malformed_model_of_the_field(
    shared_models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    path = shared_models / "malformed_scales_catdog2.tflite"
    out = tmp_path / "out"
    text = refused(capsys, "rewrite", str(path), "-n", "2", "-o", str(out))
    assert "scale" in text
    assert not out.exists()


def test_a_bug_keeps_its_traceback(model: Path, monkeypatch: pytest.MonkeyPatch):
    """What is not the user's fault is not dressed up as if it were."""
    monkeypatch.setattr(
        "tflsplit.rewriting.rewrite.check_devices", lambda whole, devices: ["wrong"]
    )
    from tflsplit.errors import InternalError

    with pytest.raises(InternalError, match="the checker refuses the result: wrong"):
        main(["rewrite", str(model), "-n", "2", "-o", str(model.parent / "out")])
    assert not (model.parent / "out").exists()


def test_ctrl_c(model: Path, monkeypatch: pytest.MonkeyPatch):
    def interrupted(path: Path) -> Graph:
        raise KeyboardInterrupt

    monkeypatch.setattr("tflsplit.cli.inspect.load", interrupted)
    assert main(["inspect", str(model)]) == 130


def test_inputs_that_do_not_fit(model: Path, capsys: pytest.CaptureFixture[str]):
    out = model.parent / "out"
    assert main(["rewrite", str(model), "-n", "2", "-o", str(out)]) == 0
    capsys.readouterr()
    wrong = model.parent / "x.npy"
    np.save(wrong, np.zeros((1, 5), np.int8))
    text = refused(capsys, "run", str(out), "--input", str(wrong))
    assert "has shape [1, 5]; 'input_0' wants [1, 160]" in text
    text = refused(capsys, "run", str(out), "--input", str(wrong), "--input", str(wrong))
    assert "the model has 1 input (input_0 int8[1, 160]), not 2" in text
