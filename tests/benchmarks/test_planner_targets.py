# SPDX-License-Identifier: Apache-2.0
"""The planner's targets: what is printed was run and measured, and a miss is called one."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.planned import (
    Bench,
    NotConfirmedError,
    is_recorded,
    largest_arena,
    slower_steps,
    unlimited,
)
from benchmarks.planner_tables import Case, limit_name, verdict
from benchmarks.planner_targets import default_model, main, ram_text
from benchmarks.rates import rates, rates_table
from benchmarks.readme import README
from benchmarks.wire_targets import SMALL, WAYS, Time, bound_us, small_table, wires_table
from models.tiny import NETWORKS
from tests.splits import needs_tflm, tiny
from tflsplit.baseline import seed_scheme
from tflsplit.cluster import default_cluster
from tflsplit.memory import measure_arena
from tflsplit.planner import Planned, Planner
from tflsplit.tflite import write_model


def ram_plan(world_size: int = 3) -> Planned:
    return Planner(tiny("mobilenet"), default_cluster(world_size)).best("ram")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "mobilenet.tflite"
    path.write_bytes(write_model(tiny("mobilenet")))
    return path


@needs_tflm
def test_the_command_prints_what_the_plans_come_to(model: Path, capsys: pytest.CaptureFixture[str]):
    what = ["--what", "ram", "pareto", "speed"]
    assert main([str(model), "-n", "2", "--most", "2", "--inputs", "1", *what]) == 0
    text = capsys.readouterr().out
    plan = ram_plan(2)
    arena = max(largest_arena(device.graph).required_bytes for device in plan.devices)
    rows = [line for line in text.splitlines() if line.startswith("| 2 | the board's")]
    assert f" {arena:,} |" in rows[0]
    assert f" {plan.wire_bytes:,} | {plan.prediction.payload_bytes:,} |" in rows[1]
    seed = seed_scheme(tiny("mobilenet"), 2)
    assert f" {seed.peak_bytes:,} |" in rows[0]
    assert f" {seed.traffic_bytes:,} |" in rows[1]
    assert text.count("gave the unsplit model's bits on TFLM") == 3
    assert "never slower for one more device" in text
    assert "| 1, unlimited RAM |" in text


@needs_tflm
def test_where_nothing_fits_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("benchmarks.planner_targets.WEIGHTS", (1024,))
    monkeypatch.setattr("tflsplit.planner.planner.smallest_cluster", lambda *_: None)
    text = ram_text(Bench(tiny("mobilenet"), 1), argparse.Namespace(n=[2]))
    assert "| nothing fits |" in text
    assert "bytes of flash are missing" in text


def test_a_missed_target_is_called_missed():
    assert verdict(65_536, 65_536) == "met"
    assert verdict(65_537, 65_536) == "**missed** by 1"
    assert verdict(1, None) == "–"


def test_which_row_has_which_target():
    def targets(world_size: int, limit: int | None) -> tuple[int | None, int | None]:
        case = Case(world_size, limit, "", (), seed_scheme(tiny("mobilenet"), 1))
        return case.arena_target, case.wire_target

    assert targets(8, None) == (65_536, 600_000)
    assert targets(8, 1 << 20) == (65_536, 1_500_000)
    assert targets(8, 1 << 19) == (65_536, 5_000_000)
    assert targets(4, None) == (120_000, None)
    assert targets(4, 1 << 20) == (None, None)
    assert (targets(2, None)[0], targets(1, None)[0]) == (220_000, 400_000)
    assert limit_name(1 << 19) == "512 KiB"


@needs_tflm
def test_other_bits_are_no_figures():
    """A plan of a network whose weights differ in one bit each."""
    other = NETWORKS["mobilenet"]()
    weights = max(other.constants(), key=lambda value: value.size)
    assert weights.data is not None
    weights.data = weights.data ^ 1
    plan = Planner(other, default_cluster(3)).best("ram")
    with pytest.raises(NotConfirmedError, match="differs"):
        Bench(tiny("mobilenet"), 1).figures(plan)


@needs_tflm
def test_an_arena_that_the_recorder_contradicts_is_no_figure(monkeypatch: pytest.MonkeyPatch):
    plan = ram_plan()
    assert all(is_recorded(device.graph) for device in plan.devices)
    measured = measure_arena(plan.devices[1].graph)
    assert measured is not None
    for wrong in (
        replace(measured, head_bytes=measured.head_bytes + 16),
        replace(measured, tail_bytes=measured.tail_bytes - 16),
        None,
    ):
        monkeypatch.setattr("benchmarks.planned.measure_arena", lambda graph, wrong=wrong: wrong)
        with pytest.raises(NotConfirmedError, match="contradicts the arena of rank 0"):
            Bench(tiny("mobilenet"), 1).figures(plan)


def test_steps_that_are_slower_are_named():
    assert slower_steps([100, 60, 60.03, 61, 50, 50.2]) == [4, 6]


def test_one_device_with_unlimited_ram_has_room_for_anything():
    assert unlimited("spi").arena_room_bytes(0) > 1 << 30


def test_without_the_public_model_the_seeded_one_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("TFLSPLIT_MODELS", str(tmp_path))
    monkeypatch.setattr(
        "benchmarks.planner_targets.seeded_mobilenet", lambda alpha, size: Path(f"{alpha}_{size}")
    )
    assert default_model() == Path("1.0_224")
    assert "TFLSPLIT_MODELS" in capsys.readouterr().err


def test_the_wires_are_held_against_a_bound_and_a_target():
    graph = tiny("mobilenet")
    for way in WAYS:
        bounds = [bound_us(graph, way.cluster(count)) for count in (1, 2, 8)]
        assert bounds == sorted(bounds, reverse=True) or not way.direct
        assert min(bounds) > 0
    way = WAYS[0]
    found = [Time(1, 1, 8e5, 8e5), Time(2, 2, 5e5, 4e5), Time(8, 7, 2.7e5, 1e5)]
    text = wires_table(way, found)
    assert "| 8 (uses 7) | 270.0 | 2.96 | 100.0 | 2.70 | 260 |" in text
    assert "at most 260 ms with 8: **missed** by 10.0 ms" in text
    assert "never slower with more devices: met" in text
    slower = wires_table(way, [*found[:2], Time(3, 3, 6e5, 3e5)])
    assert "**missed** with 3" in slower


@needs_tflm
def test_inferences_a_second():
    bench = Bench(tiny("autoencoder"), 1)
    (found,) = rates(bench, default_cluster, [2])
    assert found.teams.throughput_per_s > found.together.throughput_per_s
    assert "| 2 | 2 x 1 | " in rates_table("", [found])
    assert bench.plans == 1, "the plan of the teams is verified"


def test_small_networks_that_are_not_there_are_said_to_be_so(tmp_path: Path):
    text = small_table(tmp_path, lambda _: None)
    assert text.count("not there") == 7 * len(SMALL)


def test_bad_input_is_one_clear_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main([str(tmp_path / "none.tflite")]) == 2
    assert "none.tflite" in capsys.readouterr().err


@pytest.mark.parametrize("part", ["ram", "pareto"])
def test_the_readme_has_every_section_with_a_table(part: str):
    section = README.read_text(encoding="utf-8").split(f"<!-- begin planner_{part} -->")[1]
    assert "| " in section.split("<!-- end")[0]
