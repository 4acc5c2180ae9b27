# SPDX-License-Identifier: Apache-2.0
"""``tflsplit inspect``: what a model is made of, and how each layer can be split."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from models.tiny import NETWORKS
from tests.passes.test_drop_channels import two
from tests.splits import tiny
from tflsplit.cli import main
from tflsplit.memory.lifetimes import peak_live_bytes
from tflsplit.ops import graph_macs, rule_of
from tflsplit.passes.prepare import prepare
from tflsplit.tflite import write_model


def inspected(path: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert main(["inspect", str(path), "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "m.tflite").write_bytes(write_model(tiny("mobilenet")))
    return tmp_path / "m.tflite"


@pytest.mark.parametrize("name", NETWORKS)
def test_numbers(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    graph, path = tiny(name), tmp_path / "m.tflite"
    path.write_bytes(write_model(graph))
    found = inspected(path, capsys)
    assert found["operators"] == dict(Counter(node.op for node in graph.nodes))
    assert found["macs"] == graph_macs(graph) == sum(layer["macs"] for layer in found["layers"])
    assert found["peak_live_bytes"] == peak_live_bytes(prepare(graph))
    assert found["refusal"] is None
    assert [v["shape"] for v in found["inputs"]] == [list(v.shape) for v in graph.inputs]
    split = [node.name for node in prepare(graph).nodes]  # a PAD may be part of a convolution
    assert [layer["node"] for layer in found["layers"]] == split


def test_every_way_that_is_listed_can_be_forced(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    found = inspected(path, capsys)
    for layer in found["layers"][:3]:
        assert layer["ways"]
        for way in layer["ways"]:
            if ":" in way:
                continue
            out = tmp_path / f"{layer['node']}-{way}"
            force = f"{layer['node']}={way}"
            assert (
                main(
                    ["rewrite", str(path), "-n", "2", "-o", str(out), "--manual", f"layer={force}"]
                )
                == 0
            )
            plan = json.loads((out / "plan.json").read_text())
            (chosen,) = (entry for entry in plan["layers"] if entry["node"] == layer["node"])
            assert chosen["way"] == way


def test_ways_are_those_of_the_rules(path: Path, capsys: pytest.CaptureFixture[str]):
    for layer, node in zip(inspected(path, capsys)["layers"], tiny("mobilenet").nodes, strict=True):
        sizes = sorted(factor.size for factor in rule_of(node).factors(node) if factor.size > 1)
        assert sorted(layer["ways"].values()) == sizes


def test_the_table_names_every_layer(path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["inspect", str(path)]) == 0
    text = capsys.readouterr().out
    assert all(node.name in text for node in tiny("mobilenet").nodes)
    assert " 0.00 M" not in text, "few MACs are counted one by one"


def test_dropped_channels_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """By `inspect` and by `rewrite`, each in one line."""
    path = tmp_path / "m.tflite"
    path.write_bytes(write_model(two({"dead": [1, 4], "held": 20}, {})))
    found = inspected(path, capsys)
    assert (found["dropped_channels"], found["dropped_macs"], found["macs"]) == (2, 360, 720)
    out = str(tmp_path / "out")
    for command in (["inspect", str(path)], ["rewrite", str(path), "-n", "1", "-o", out]):
        assert main(command) == 0
        assert "dropped: 2 channels that hold the same" in capsys.readouterr().out


def test_one_board_and_what_splitting_gains(path: Path, capsys: pytest.CaptureFixture[str]):
    one = inspected(path, capsys)["one_board"]
    assert one["board"] == "teensy41"
    assert one["fits"]
    assert one["arena_bytes"] < one["tflm_arena_bytes"]
    assert main(["inspect", str(path), "--board", "pico"]) == 0
    text = capsys.readouterr().out
    assert "one Raspberry Pi Pico: arena" in text
    assert "other boards: `tflsplit boards MODEL`" in text


def test_the_gain_is_that_of_the_plan_that_rewrite_writes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """On boards so slow that splitting pays."""
    path, out = tmp_path / "m.tflite", tmp_path / "out"
    path.write_bytes(write_model(tiny("mobilenet")))
    for_pico = ["--board", "pico"]
    assert main(["inspect", str(path), "--json", *for_pico]) == 0
    one = json.loads(capsys.readouterr().out)["one_board"]
    assert main(["rewrite", str(path), "-n", "4", *for_pico, "-o", str(out), "--json"]) == 0
    row, *_, alone = json.loads(capsys.readouterr().out)["beside"]
    split = one["split"]
    figures = (row["world_size"], row["latency_us"], row["arena_bytes"])
    assert (split["devices"], split["latency_us"], split["arena_bytes"]) == figures
    assert (one["latency_us"], one["arena_bytes"]) == (alone["latency_us"], alone["arena_bytes"])
