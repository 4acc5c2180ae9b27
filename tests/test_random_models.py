# SPDX-License-Identifier: Apache-2.0
"""Random networks, rewritten in random ways, have the bits of the unsplit model.

Some are tried here; ``python -m tests.random_models --seconds 3600`` tries more (others with
``--first SEED``), and tells of each that fails the number that repeats it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from tests.random_models import __main__ as command
from tests.random_models import trial
from tests.random_models.generate import random_network
from tests.splits import needs_tflm
from tflsplit.ir import DType, Graph
from tflsplit.ir.compare import differences
from tflsplit.ops import known_ops
from tflsplit.passes.drop_channels import dropped_channels
from tflsplit.passes.prepare import prepare

# Behind the range: what long runs found.
SEEDS = (*range(50), 270518)
ROOT = Path(__file__).resolve().parents[1]


@cache
def network(seed: int) -> Graph:
    return random_network(seed)


@needs_tflm
@pytest.mark.parametrize("seed", SEEDS)
def test_the_same_bits(seed: int):
    assert trial.run_trial(seed).problem == ""


def test_a_seed_is_a_network():
    for seed in (3, 4):
        assert differences(random_network(seed), random_network(seed)) == []
    assert differences(network(3), network(4)) != []


def test_they_are_what_is_promised():
    """Every structure that has made trouble, in the first few hundred."""
    graphs = [network(seed) for seed in range(400)]
    found: Counter[str] = Counter()
    for graph in graphs:
        ops = {node.op for node in graph.nodes}
        read = Counter(v for node in graph.nodes for v in set(node.operands))
        found["several inputs"] += len(graph.inputs) > 1
        found["several outputs"] += len(graph.outputs) > 1
        found["batch"] += graph.inputs[0].shape[0] > 1
        found["shared weights"] += any(
            n > 1 and v.is_constant and v.size > 8 for v, n in read.items()
        )
        found["a node with several results"] += any(len(node.outputs) > 1 for node in graph.nodes)
        found["a tensor twice in a node"] += any(
            len(set(node.operands)) < len(node.operands) for node in graph.nodes
        )
        found["an unread result"] += any(
            value not in read and value not in graph.outputs
            for node in graph.nodes
            for value in node.outputs
        )
        found["a tensor for several readers"] += any(
            n > 1 and not v.is_constant for v, n in read.items()
        )
        found["strides"] += any(node.attrs.integer("stride_h", 1) > 1 for node in graph.nodes)
        found["dilation"] += any(
            node.attrs.integer("dilation_h_factor", 1) > 1 for node in graph.nodes
        )
        found["channels that go"] += dropped_channels(prepare(graph)) > 0
        found["uint8 inputs"] += any(v.dtype is DType.UINT8 for v in graph.inputs)
        found["uint8 outputs"] += any(v.dtype is DType.UINT8 for v in graph.outputs)
        found["float inputs"] += any(v.dtype is DType.FLOAT32 for v in graph.inputs)
        found["float outputs"] += any(v.dtype is DType.FLOAT32 for v in graph.outputs)
        found["state"] += any(value.is_variable for value in graph.values())
        found.update(ops)
    rare = {name: n for name, n in found.items() if n < 1}
    assert not rare
    missing = set(known_ops()) - set(found) - NOT_DRAWN
    assert not missing


NOT_DRAWN = {
    # TFLM has no kernel for int8 of these, or none at all
    "ADD_N", "DIV", "FLOOR_DIV", "FLOOR_MOD", "LOG", "LOGICAL_AND", "LOGICAL_OR", "LOG_SOFTMAX",
    "REDUCE_ALL", "REDUCE_ANY", "REDUCE_PROD", "RELU_N1_TO_1", "RSQRT", "SQRT", "ZEROS_LIKE",
}  # fmt: skip


def test_ways_differ():
    ways = Counter(trial.way_of_trial(seed).split()[0] for seed in range(100))
    assert ways["any"] > 20
    assert ways["-n"] > 20


@needs_tflm
def test_the_command_counts(capsys: pytest.CaptureFixture[str]):
    arguments = ["-m", "tests.random_models", "--seconds", "0", "--first", "7"]
    paths = {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "rewriter")])}
    found = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, **paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout.startswith("1 random networks: ")
    assert command.main(["--seed", "7"]) == 0
    assert "the same bits" in capsys.readouterr().out


def test_a_failure_names_its_seed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    failed = trial.Outcome(12, "-n 3 --objective ram", "tensor 'x' differs")
    monkeypatch.setattr(command, "outcomes", lambda first: iter([failed]))
    assert command.main(["--seconds", "0"]) == 1
    out = capsys.readouterr().out
    assert "--seed 12 (-n 3 --objective ram): tensor 'x' differs" in out
    assert "1 failures" in out
