# SPDX-License-Identifier: Apache-2.0
"""Every command that reads an output folder refuses a hostile one: one message, no traceback."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.bundles import bundle_of, rewrite_plan
from tflsplit.cli import main

COMMANDS: dict[str, list[str]] = {
    "run": ["--input", "x.npy"],
    "verify": ["--runs", "1"],
    "evaluate": ["--data", "x"],
    "report": ["-o", "x.html"],
    "simulate": [],
    "firmware": [],
    "cluster": ["--port", "nowhere", "--input", "x.npy"],
    "emulate": ["--core-only"],
    "deploy": ["--port", "nowhere"],
    "calibrate": [],
}


def plan(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        def changed(document: dict[str, Any]) -> None:
            change(document)

        rewrite_plan(folder, changed)

    return damage


def text(content: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        (folder / "plan.json").write_text(content)

    return damage


def instead(name: str, make: Callable[[Path], object]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        (folder / name).unlink()
        make(folder / name)

    return damage


def zero(path: Path) -> None:
    path.symlink_to("/dev/zero")


def huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "ten thousand million devices": (
        plan(lambda d: d.update(world_size=10**10)),
        "world_size: 10000000000 is not a whole number from 1 to 64",
    ),
    "nested": (text('{"a":' * 200_000), "nested more than 16 deep"),
    "a lone surrogate": (
        text('{"format": "tflsplit-plan", "version": 1, "x": "\\ud800"}'),
        "lone surrogate",
    ),
    "NaN": (plan(lambda d: d.update(shares=[float("nan"), 1.0])), "NaN is no number"),
    "a key twice": (text('{"format": "tflsplit-plan", "format": "tflsplit-plan"}'), "twice"),
    "another folder's file": (
        plan(lambda d: d["devices"][1].update(file="../../x")),
        "devices[1].file: '../../x' is not the name of a file in the same folder",
    ),
    "a device's numbers are text": (
        plan(lambda d: d["devices"][0].update(arena_bytes="many")),
        "devices[0].arena_bytes: 'many' is not a whole number",
    ),
    "no layers": (plan(lambda d: d.update(layers={})), "layers: an object is not a list"),
    "a tensor that there is not": (
        plan(lambda d: d.update(tensors=d["tensors"][:1])),
        "which there is not",
    ),
    "a plan that is a pipe": (instead("plan.json", os.mkfifo), "plan.json is a named pipe"),
    "a plan that is endless": (instead("plan.json", zero), "plan.json is a device"),
    "a plan that is huge": (instead("plan.json", huge), "plan.json is larger than"),
    "a graph that is a pipe": (instead("node1.tflite", os.mkfifo), "node1.tflite is a named pipe"),
    "a graph that is endless": (instead("node1.tflite", zero), "node1.tflite is a device"),
    "a graph that is huge": (instead("node1.tflite", huge), "node1.tflite is larger than"),
    "a graph that is a folder": (instead("node1.tflite", Path.mkdir), "node1.tflite is a folder"),
}


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("tflsplit: ")
    return printed.err


@pytest.mark.parametrize("damage", DAMAGES)
def test_every_reader_refuses_it(
    damage: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.chdir(tmp_path)
    folder = bundle_of(tmp_path / "out", "autoencoder", 2)
    change, says = DAMAGES[damage]
    change(folder)
    before = sorted(path.name for path in tmp_path.rglob("*"))
    for command, more in COMMANDS.items():
        assert says in refused(capsys, command, "out", *more), command
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


@pytest.mark.parametrize("damage", [name for name in DAMAGES if "graph" not in name])
def test_compare_and_replaying_read_the_plan_alone(
    damage: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    good = bundle_of(tmp_path / "good", "autoencoder", 2)
    bad = bundle_of(tmp_path / "bad", "autoencoder", 2)
    change, says = DAMAGES[damage]
    change(bad)
    if "tensor" not in damage:  # a table that compare has no use for, as a report leaves it out
        assert says in refused(capsys, "compare", str(good), str(bad))
    decided = damage not in ("another folder's file", "a device's numbers are text")
    if decided and "tensor" not in damage:
        model, file = str(good / "model.tflite"), str(bad / "plan.json")
        assert says in refused(capsys, "plan", model, "--plan", file)


ODD: dict[str, Callable[[Path], object]] = {"a pipe": os.mkfifo, "endless": zero, "huge": huge}


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize(
    "arguments",
    [
        ["inspect", "odd"],
        ["rewrite", "odd", "-n", "2", "-o", "new"],
        ["plan", "out/model.tflite", "--cluster", "odd"],
        ["report", "out", "--cluster", "odd"],
        ["simulate", "out", "--cluster", "odd"],
        ["run", "out", "--input", "odd"],
        ["run", "out", "--input", "x.npy", "--labels", "odd"],
        ["evaluate", "out", "--data", "x.npy", "--labels", "odd"],
        ["compare", "odd", "out"],
    ],
    ids=lambda arguments: " ".join(arguments),
)
def test_every_file_that_a_command_names_is_one(
    kind: str,
    arguments: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.chdir(tmp_path)
    bundle_of(tmp_path / "out", "autoencoder", 2)
    np.save(tmp_path / "x.npy", np.zeros((1, 160), np.int8))
    ODD[kind](tmp_path / "odd")
    said = refused(capsys, *arguments)
    assert "odd" in said or "is no image" in said
