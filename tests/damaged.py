# SPDX-License-Identifier: Apache-2.0
"""Mutates what commands read and runs them: damaged input ends in a message, never in a traceback.

    python -m tests.damaged plan --count 1000 --seed 5

plan: plan.json of an output folder.  cluster: cluster.toml.  nodes: a device's graph.  names: names
of models, tensors, folders and files.  Prints how many mutants came to what as JSON; exit code 1,
with the mutant's number, if one came to anything but an exit code of ours and a printable message.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import io
import json
import os
import random
import re
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tests.bundles import bundle_of
from tests.splits import tiny
from tests.tflite.test_fuzz import mutate, structure_of
from tflsplit.cli import main as tflsplit
from tflsplit.ir import Graph, Value
from tflsplit.tflite import write_model

NETWORK = "autoencoder"
LIMIT_SECONDS = 30.0  # of the processor; others may keep it busy

VALUES: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 2, 63, 64, 65, 2**31 - 1, 2**31, 2**53, 2**63, -(2**31), 1e300,
    -0.5, float("nan"), float("inf"), "", "x", "\x1b[2J", "a\nb", "../../x", "/etc/passwd",
    "\ud800", "é" * 300, [], {}, [[]], [0], [-1, 5], {"a": 1},
)  # fmt: skip

BOARD = """\
board = "pico"
clock_hz = 133_000_000
"""
MINE = """\
name = "mine"
ram_bytes = 65_536
flash_bytes = 262_144
clock_hz = 48_000_000
[device.cycles_per_mac]
conv = 10
pointwise = 11
depthwise = 36
fully_connected = 11
other_per_byte = 108
copy_per_byte = 4
"""
CLUSTER = """\
version = 1
topology = "line"
gateway_rank = 1

[link]
kind = "uart"
baud = 2_000_000

[[wire]]
ranks = [0, 1]
baud = 500_000

[[device]]
board = "teensy41"
weights_limit_bytes = 524_288

[[device]]
"""
"""Of two devices; BOARD or MINE goes behind it."""

NAMES = (
    "a b", "a;b", "a/b", "..", "-n", "é", "\x1b[31m", "a\nsrc_build_flags = !echo", "a\rb", '"',
    "*/", "\\", "${sysenv.X}", "%s%n", "a" * 300, "\u2028", "nul\0", "#", "[env:x]", "$(x)", "`x`",
    "con", ".",
)  # fmt: skip


# ---- Mutations of documents ----


def places(node: Any) -> Iterator[tuple[Any, Any]]:
    """Every container of a JSON document with each of its keys or indices."""
    keys = list(node) if isinstance(node, dict) else range(len(node))
    for key in keys:
        yield node, key
        if isinstance(node[key], dict | list):
            yield from places(node[key])


def mutate_json(document: Any, rng: random.Random) -> str:
    """The text of a document with one to three changes, now and then no JSON at all."""
    mutant = copy.deepcopy(document)
    for _ in range(rng.randint(1, 3)):
        found = list(places(mutant))
        if not found:
            break
        node, key = rng.choice(found)
        kind = rng.randrange(8)
        if kind == 0:
            del node[key]
        elif kind in (1, 2) and type(node[key]) is int:
            node[key] += rng.choice((-1, 1, 7, -node[key]))
        elif kind == 3:
            other, there = rng.choice(found)
            with contextlib.suppress(IndexError, KeyError):
                node[key] = copy.deepcopy(other[there])
        elif kind == 4 and isinstance(node[key], list):
            rng.shuffle(node[key])
        elif kind == 5 and isinstance(node[key], list):
            node[key] += copy.deepcopy(node[key])
        elif kind == 6 and isinstance(node, dict):
            node[rng.choice(NAMES)] = node[key]
        else:
            node[key] = copy.deepcopy(rng.choice(VALUES))
    text = json.dumps(mutant)
    return mutate_text(text, rng) if rng.random() < 0.15 else text


def mutate_text(text: str, rng: random.Random) -> str:
    """Text with one to three places cut, doubled, changed or nested deeply."""
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(text) + 1)
        end = min(len(text), at + rng.randint(1, 20))
        middle = rng.choice(("", text[at:end] * 2, rng.choice(NAMES), "[" * 5000, "9" * 5000, "\0"))
        text = text[:at] + middle + text[end:]
    return text


def mutate_toml(text: str, rng: random.Random) -> str:
    """Lines dropped, doubled and exchanged; values and keys replaced."""
    lines = text.splitlines()
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(lines))
        kind = rng.randrange(6)
        key, equals, _value = lines[at].partition(" = ")
        if kind == 0:
            lines.insert(at, lines[rng.randrange(len(lines))])
        elif kind == 1 and len(lines) > 1:
            del lines[at]
        elif kind == 2 and equals:
            lines[at] = f"{rng.choice(('baud', 'count', 'name', 'x', key * 2))} = {_value}"
        elif equals:
            value = rng.choice(VALUES)
            lines[at] = f"{key} = {json.dumps(value) if value != {} else '{}'}"
    text = "\n".join(lines)
    return mutate_text(text, rng) if rng.random() < 0.2 else text


# ---- Commands ----


class BrokenError(Exception):
    """A command came to something else than a result or a message."""


def run(*arguments: str | Path) -> int:
    """The exit code of a command; BrokenError if that is none of ours, or a message unprintable."""
    out, err = io.StringIO(), io.StringIO()
    begun = time.process_time()
    words = [str(argument) for argument in arguments]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = tflsplit(words)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 3
    except BaseException:
        raise BrokenError(f"{words[0]}:\n{traceback.format_exc()}") from None
    said = err.getvalue()
    complaint = re.sub("(?m)^note: .*\n", "", said)
    if code not in (0, 1, 2) or (code == 2) != bool(complaint.strip()):
        raise BrokenError(f"{words[0]}: exit code {code}, {said!r}")
    if not all(letter.isprintable() or letter == "\n" for letter in said + out.getvalue()):
        raise BrokenError(f"{words[0]}: unprintable {said!r} {out.getvalue()!r}")
    if time.process_time() - begun > LIMIT_SECONDS:
        raise BrokenError(f"{words[0]}: took more than {LIMIT_SECONDS} s of the processor")
    return code


def on_folder(folder: Path, other: Path, rng: random.Random) -> Counter[str]:
    """Commands that read an output folder, a few of them at a time."""
    commands: tuple[tuple[str | Path, ...], ...] = (
        ("report", folder, "-o", folder.parent / "page.html"),
        ("simulate", folder),
        ("verify", folder, "--runs", "1"),
        ("firmware", folder, "--force"),
        ("compare", folder, other),
        ("compare", other, folder, "--simulate"),
        ("plan", other / "model.tflite", "--plan", folder / "plan.json"),
        ("run", folder, "--input", folder.parent / "input.npy"),
    )
    codes: Counter[str] = Counter()
    for command in rng.sample(commands, 3):
        codes[f"{command[0]} {run(*command)}"] += 1
    return codes


# ---- Targets: each makes one mutant in `work` and runs commands on it ----

Target = Callable[[Path, random.Random], Counter[str]]


def fresh(work: Path) -> tuple[Path, Path]:
    """A sound folder to damage, and another beside it."""
    folder, other = work / "split", work / "other"
    shutil.rmtree(folder, ignore_errors=True)
    bundle_of(folder, NETWORK, 2)
    if not other.exists():
        bundle_of(other, NETWORK, 2)
        graph = tiny(NETWORK)
        (other / "model.tflite").write_bytes(write_model(graph))
        np.save(work / "input.npy", np.zeros(graph.inputs[0].shape, np.int8))
    return folder, other


def plan(work: Path, rng: random.Random) -> Counter[str]:
    """plan.json."""
    folder, other = fresh(work)
    path = folder / "plan.json"
    text = mutate_json(json.loads(path.read_text()), rng)
    path.write_text(text, errors="surrogatepass")
    return on_folder(folder, other, rng)


def nodes(work: Path, rng: random.Random) -> Counter[str]:
    """A device's graph, or the model that lies beside it."""
    folder, other = fresh(work)
    path = rng.choice(sorted(folder.glob("*.tflite")))
    data = path.read_bytes()
    path.write_bytes(mutate(data, rng, structure_of(data)))
    codes = on_folder(folder, other, rng)
    codes[f"inspect {run('inspect', path)}"] += 1
    return codes


def cluster(work: Path, rng: random.Random) -> Counter[str]:
    """cluster.toml."""
    _folder, other = fresh(work)
    path = work / "cluster.toml"
    sound = CLUSTER + rng.choice((BOARD, MINE))
    path.write_text(mutate_toml(sound, rng), errors="surrogatepass")
    commands: tuple[tuple[str | Path, ...], ...] = (
        ("plan", other / "model.tflite", "--cluster", path),
        ("simulate", other, "--cluster", path),
        ("firmware", other, "--cluster", path, "--force"),
        ("report", other, "--cluster", path, "-o", work / "page.html"),
    )
    command = rng.choice(commands)
    return Counter([f"{command[0]} {run(*command)}"])


def names(work: Path, rng: random.Random) -> Counter[str]:
    """Of the model, its tensors, its file and the folder."""
    graph = tiny(NETWORK)
    table = {
        value: Value(
            _name(value.name, rng), value.shape, value.dtype, value.quantization, value.data
        )
        for value in graph.values()
    }
    renamed = [copy.copy(node) for node in graph.nodes]
    for node in renamed:
        node.inputs = tuple(None if value is None else table[value] for value in node.inputs)
        node.outputs = tuple(table[value] for value in node.outputs)
    inputs, outputs = (tuple(table[v] for v in vs) for vs in (graph.inputs, graph.outputs))
    changed = Graph(_name(graph.name, rng), inputs, outputs, renamed)
    safe = _name("model", rng).replace("/", "_").replace("\0", "_")[:100]
    with tempfile.TemporaryDirectory(dir=work) as inside:
        model = Path(inside) / f"{safe}.tflite"
        folder = Path(inside) / f"out{safe}"
        try:
            model.write_bytes(write_model(changed))
        except (OSError, ValueError):
            return Counter(["no such file name"])
        codes = Counter([f"inspect {run('inspect', model)}"])
        made = run("rewrite", "-n", "2", "-o", folder, "--", model)
        codes[f"rewrite {made}"] += 1
        if made == 0:
            codes += on_folder(folder, fresh(work)[1], rng)
        return codes


def _name(name: str, rng: random.Random) -> str:
    return rng.choice(NAMES) + name * rng.randrange(2) if rng.random() < 0.3 else name


TARGETS: dict[str, Target] = {f.__name__: f for f in (plan, nodes, cluster, names)}


def main() -> int:
    """Mutants ``0..count-1`` of a seed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="the number of one mutant")
    options = parser.parse_args()
    found: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)
        work = Path(name)
        for number in range(options.count) if options.only is None else [options.only]:
            print(f"mutant {number}", file=sys.stderr, flush=True)  # the last line names a crash
            rng = random.Random(f"{options.target} {options.seed} {number}")
            try:
                found += TARGETS[options.target](work, rng)
            except BrokenError as error:
                print(f"mutant {number} of seed {options.seed}: {error}", file=sys.stderr)
                return 1
    print(json.dumps(dict(sorted(found.items()))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
