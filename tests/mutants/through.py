# SPDX-License-Identifier: Apache-2.0
"""One mutant through whole commands: how far it came, and what was said of it."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import random
import shutil
import traceback
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

import numpy as np

from tests.mutants.models import Source, sources
from tests.mutants.mutators import mutated
from tflsplit.bundle import read_bundle
from tflsplit.cli import main as command

Stage = tuple[str, list[str]]

# By hand most of the time: a search takes seconds.
OPTIONS = (
    ("--manual", "split=auto"), ("--manual", "split=rows"), ("--manual", "split=out_channels"),
    ("--manual", "stock-kernels"), ("--manual", "split=in_channels"),
    ("--objective", "latency"), ("--objective", "ram"),
)  # fmt: skip
FOLDERS = ("mobilenet", "resnet", "squeeze_excite", "odd/vit2", "odd/split_conv1x1")
"""Models of which output folders are damaged, if they are there."""


def outcome_of(number: int, seed: int, names: Sequence[str], folder: Path) -> dict[str, str]:
    """What became of one mutant; every fifth is a file of an output folder.

    folder: where to work; what was rewritten there is kept for later mutants.
    """
    rng = random.Random(f"{seed}/{number}")
    if number % 5 == 4 and not names:
        return _damaged_folder(rng, folder)
    chosen = sources(tuple(names))
    return _damaged_model(chosen[number % len(chosen)], rng, folder)


def _damaged_model(source: Source, rng: random.Random, folder: Path) -> dict[str, str]:
    """``rewrite`` of a damaged model, and ``verify`` of what comes out."""
    data, kind, done = mutated(source.data, rng)
    devices, options = rng.choice((1, 2, 2, 3, 4, 7)), rng.choice(OPTIONS)
    model, output = folder / "mutant.tflite", folder / "out"
    model.write_bytes(data)
    shutil.rmtree(output, ignore_errors=True)
    given = ["-n", str(devices), *options]
    facts = {"source": source.name, "kind": kind, "done": done, "options": " ".join(given)}
    stages: list[Stage] = [
        ("inspect", [str(model)]),
        ("rewrite", [str(model), "-o", str(output), *given]),
        ("verify", [str(output), "--runs", "1"]),
    ]
    return facts | _through(stages)


def _damaged_folder(rng: random.Random, folder: Path) -> dict[str, str]:
    """``run``, ``verify`` and ``simulate`` of a sound folder of which one file is damaged."""
    known = [source for source in sources(()) if source.name in FOLDERS]
    source, output = rng.choice(known), folder / "out"
    sound = _folder(source, folder)
    shutil.rmtree(output, ignore_errors=True)
    shutil.copytree(sound, output)
    file = rng.choice(["node0.tflite", "node1.tflite", "node2.tflite", "model.tflite"])
    data, kind, done = mutated((output / file).read_bytes(), rng)
    (output / file).write_bytes(data)
    if file == "model.tflite":  # or the folder is refused at once
        plan = json.loads((output / "plan.json").read_text())
        plan["model_sha256"] = hashlib.sha256(data).hexdigest()
        (output / "plan.json").write_text(json.dumps(plan))
    inputs = [word for path in sorted(sound.glob("x*.npy")) for word in ("--input", str(path))]
    facts = {"source": f"{source.name}/{file}", "kind": f"folder {kind}", "done": done}
    stages: list[Stage] = [
        ("simulate", [str(output)]),
        ("run", [str(output), *inputs]),
        ("verify", [str(output), "--runs", "1"]),
    ]
    # What was damaged is found by comparing: that verify sees a difference is what it is for.
    return facts | _through(stages, differs="seen by verify")


@cache
def _folder(source: Source, folder: Path) -> Path:
    """A sound output folder for 3 devices, with inputs."""
    path = folder / f"sound-{source.name.replace('/', '-')}"
    model = path.with_suffix(".tflite")
    model.write_bytes(source.data)
    code, text = command_outcome(
        ["rewrite", str(model), "-n", "3", "-o", str(path), "--manual", "split=rows"]
    )
    assert code == 0, text
    for index, value in enumerate(read_bundle(path).model.inputs):
        np.save(path / f"x{index}.npy", np.zeros(value.shape, value.dtype.numpy))
    return path


def _through(stages: Iterable[Stage], differs: str = "differs") -> dict[str, str]:
    """The fate after the first stage that refuses; what ``inspect`` says does not matter."""
    for stage, arguments in stages:
        code, text = command_outcome([stage, *arguments])
        if code == 0 or (code == 2 and stage == "inspect"):
            continue
        fate = {1: differs, 2: "refused"}.get(code, "traceback")
        if fate == "refused" and "interpreter's process was ended by" in text:
            fate = "died"
        return {"stage": stage, "fate": fate, "text": text}
    return {"stage": "", "fate": "the same bits", "text": ""}


def command_outcome(arguments: Sequence[str]) -> tuple[int, str]:
    """Exit code and message of a command; 70 and where it was for a traceback."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = command(list(arguments))
        except SystemExit as error:
            code = int(error.code or 0)
        except Exception as error:
            return 70, _where(error)
    lines = [line for line in err.getvalue().splitlines() if line.strip()]
    if code == 2 and len(lines) != 1:
        return 70, f"{len(lines)} lines instead of one: {lines[:3]}"
    said = lines or out.getvalue().strip().splitlines()[:1]
    return code, said[-1][:400] if said else ""


def _where(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    last = ([frame for frame in frames if "tflsplit" in frame.filename] or frames)[-1]
    place = f"{Path(last.filename).parent.name}/{Path(last.filename).name}:{last.lineno}"
    return f"{type(error).__name__} at {place}: {str(error)[:200]}"
