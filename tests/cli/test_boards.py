# SPDX-License-Identifier: Apache-2.0
"""``tflsplit boards``: what there is, and how many of each a model needs."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.splits import tiny
from tflsplit.cli import main
from tflsplit.cluster import Cluster, board_names, default_cluster
from tflsplit.cluster.boards import board_sources
from tflsplit.cluster.margins import COUNTED, PUBLISHED, margin_text, time_margin
from tflsplit.passes.prepare import prepare
from tflsplit.planner.needed import needed
from tflsplit.tflite import write_model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "m.tflite"
    path.write_bytes(write_model(tiny("mobilenet")))
    return path


def document(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main(["boards", *arguments, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_the_table_has_every_board(capsys: pytest.CaptureFixture[str]):
    shown = document(capsys)["boards"]
    everything = document(capsys, "--all")["boards"]
    assert [row["board"] for row in everything] == list(board_names())
    assert [row for row in everything if not row["emulated"]] == shown
    for row in shown:
        all_ram = row["ram_bytes"] + sum(row["banks"].values())
        assert 0 < row["arena_room_bytes"] < all_ram
        assert 0 < row["weights_room_bytes"] <= row["flash_bytes"]
    assert main(["boards"]) == 0
    text = capsys.readouterr().out
    assert all(row["title"] in text for row in shown)
    assert "no firmware yet" in text


def test_a_model_on_every_board(model: Path, capsys: pytest.CaptureFixture[str]):
    rows = document(capsys, str(model))["boards"]
    assert len(rows) > 5
    for row in rows:
        assert row["alone_fits"]
        assert row["devices"] == 1
        assert row["arena_bytes"] == row["alone_arena_bytes"] <= row["arena_room_bytes"]
        assert row["latency_us"] > 0
    assert main(["boards", str(model), "--board", "pico"]) == 0
    text = capsys.readouterr().out
    assert "FITS" in text
    assert "teensy41" not in text


def test_one_that_is_too_small_needs_several():
    """The least number whose flash takes the weights."""
    graph = prepare(tiny("autoencoder"))
    one = needed(graph, default_cluster)
    assert one.planned is one.alone is not None
    limit = int(0.7 * max(one.alone.weights_bytes))

    def small(size: int) -> Cluster:
        cluster = default_cluster(size)
        devices = tuple(replace(each, weights_limit_bytes=limit) for each in cluster.devices)
        return replace(cluster, devices=devices)

    several = needed(graph, small, (1, 2))
    assert several.alone is not None
    assert not several.alone.fits(several.one)
    assert several.planned is not None
    assert several.planned.plan.world_size == 2
    assert max(several.planned.weights_bytes) <= limit
    assert needed(graph, small, (1,)).planned is None


def test_one_that_never_fits():
    def tiny_one(size: int) -> Cluster:
        cluster = default_cluster(size)
        devices = tuple(replace(each, weights_limit_bytes=16) for each in cluster.devices)
        return replace(cluster, devices=devices)

    assert needed(prepare(tiny("mobilenet")), tiny_one, (1, 2, 3)).planned is None


@pytest.mark.parametrize("board", PUBLISHED)
def test_margins_are_those_of_the_sources(board: str):
    """What was published of a core, and what is taken, stand in the board table's sources."""
    least, most, taken = PUBLISHED[board]
    source = board_sources(board)["cycles_per_mac"]
    if taken != 1.0:
        said = [float(number) for number in re.findall(r"\d+\.\d+|(?<=here )\d+", source)]
        assert {least, most, taken} <= set(said)
    else:
        assert source.startswith("instructions")
    low, high = time_margin(board) or (0.0, 0.0)
    assert low == pytest.approx(COUNTED[0] * least / taken)
    assert low < 1 < high


def test_a_margin_that_nobody_knows():
    assert time_margin("esp32s3") is None
    assert margin_text("esp32s3") == "unknown"
    assert margin_text("teensy41") == "−5 to +7 %"


def test_a_board_that_is_none(model: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["boards", str(model), "--board", "pcio"]) == 2
    assert "did you mean 'pico'?" in capsys.readouterr().err
