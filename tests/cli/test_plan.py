# SPDX-License-Identifier: Apache-2.0
"""`tflsplit plan`: what it prints, what it saves, what it refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from models.mobilenet_v2 import mobilenet_v2
from tests.planner.small import MIXED
from tests.splits import needs_tflm, tiny
from tflsplit.cli import main
from tflsplit.cli.plan_report import bars
from tflsplit.cluster import default_cluster
from tflsplit.tflite import write_model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "mobilenet.tflite"
    path.write_bytes(write_model(tiny("mobilenet")))
    return path


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network with more weights than fit nowhere in particular."""
    path = tmp_path_factory.mktemp("models") / "large.tflite"
    path.write_bytes(write_model(mobilenet_v2(0.35, 64, 10)))
    return path


def document(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    assert main(["plan", *map(str, arguments), "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_the_document(model: Path, capsys: pytest.CaptureFixture[str]):
    plan = document(capsys, model, "-n", 3, "--objective", "ram")
    assert [device["rank"] for device in plan["devices"]] == [*range(plan["world_size"])]
    assert 1 < plan["world_size"] == 3 - len(plan["left_out"])
    assert sum(link["bytes"] for link in plan["links"]) == plan["wire_bytes"]
    parts = plan["input_us"] + plan["graph_us"] + plan["output_us"]
    assert parts == pytest.approx(plan["latency_us"])
    assert sum(unit["nodes"] for unit in plan["units"]) == len(tiny("mobilenet").nodes)
    assert all(unit["why"] for unit in plan["units"])
    for device in plan["devices"]:
        assert device["fits"] == (
            device["arena_bytes"] <= device["arena_room_bytes"]
            and device["weights_bytes"] <= device["weights_room_bytes"]
        )
        spent = device["compute_us"] + device["send_us"] + device["wait_us"]
        assert spent <= plan["graph_us"] * (1 + 1e-9)
        layers = [entry["node"] for entry in device["ram_over_time"]]
        assert layers == [node.name for node in tiny("mobilenet").nodes]
        assert 0 < max(e["bytes"] for e in device["ram_over_time"]) <= device["arena_bytes"]


def test_the_tables(model: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["plan", str(model), "-n", "2", "--objective", "ram"]) == 0
    text = capsys.readouterr().out
    parts = ("FITS", "0 → 1", "over time", "compute ms", "predicted while searching:", "split by")
    for part in parts:
        assert part in text


def test_bars_are_in_proportion():
    assert bars([0, 1, 50, 100], 100) == " ▁▅█"


@needs_tflm
def test_a_saved_plan_is_edited_checked_and_replayed(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    saved = tmp_path / "plan.json"
    first = document(capsys, model, "-n", 2, "--objective", "ram", "-o", saved)
    again = document(capsys, model, "-n", 2, "--plan", saved)
    assert [d["arena_bytes"] for d in again["devices"]] == [
        d["arena_bytes"] for d in first["devices"]
    ]
    assert again["latency_us"] == pytest.approx(first["latency_us"])
    plan = json.loads(saved.read_text(encoding="utf-8"))
    layer = next(each for each in plan["layers"] if each["way"] in ("rows", "columns"))
    layer["bounds"][1] -= 1
    layer.pop("extents", None)
    saved.write_text(json.dumps(plan), encoding="utf-8")
    out = tmp_path / "out"
    assert main(["rewrite", str(model), "-n", "2", "--plan", str(saved), "-o", str(out)]) == 0
    written = json.loads((out / "plan.json").read_text(encoding="utf-8"))
    kept = next(each for each in written["layers"] if each["node"] == layer["node"])
    assert kept["bounds"] == layer["bounds"]
    assert main(["verify", str(out), "--runs", "1"]) == 0


def test_a_damaged_plan_is_refused_with_all_that_is_wrong(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    saved = tmp_path / "plan.json"
    document(capsys, model, "-n", 2, "--objective", "ram", "-o", saved)
    plan = json.loads(saved.read_text(encoding="utf-8"))
    plan["layers"][0]["bounds"] = [0, 99, 3]
    plan["layers"][0]["way"], plan["layers"][0]["factor"] = "rows", "rows"
    lost = plan["layers"].pop()["node"]
    saved.write_text(json.dumps(plan), encoding="utf-8")
    for command in ("plan", "rewrite"):
        arguments = [command, str(model), "-n", "2", "--plan", str(saved)]
        arguments += ["-o", str(tmp_path / "never")] if command == "rewrite" else []
        assert main(arguments) == 2
        text = capsys.readouterr().err
        assert "bounds goes from 0 to 3" in text
        assert lost in text
    assert not (tmp_path / "never").exists()


def test_unequal_devices(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    cluster = tmp_path / "cluster.toml"
    cluster.write_text(MIXED, encoding="utf-8")
    plan = document(capsys, model, "--cluster", cluster, "--objective", "ram")
    boards = ["teensy41", "pico", "pico", "nano33ble"]
    assert [device["board"] for device in plan["devices"]] == [
        board for rank, board in enumerate(boards) if rank not in plan["left_out"]
    ]
    assert len(plan["devices"]) > 1
    assert all(device["fits"] for device in plan["devices"])


def test_the_front(model: Path, capsys: pytest.CaptureFixture[str]):
    front = document(capsys, model, "-n", 3, "--pareto")["front"]
    arenas = [point["arena_bytes"] for point in front]
    assert arenas == sorted(arenas)
    assert main(["plan", str(model), "-n", "3", "--pareto"]) == 0
    assert "arena" in capsys.readouterr().out


def test_nothing_fits(model: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["plan", str(model), "-n", "2", "--max-arena", "1KiB"]) == 2
    text = capsys.readouterr().err
    assert "bytes are missing" in text
    assert "Traceback" not in text


def test_every_layer(model: Path, capsys: pytest.CaptureFixture[str]):
    options = ["-n", "3", "--objective", "ram"]
    layers = document(capsys, model, *options)["layers"]
    assert [layer["node"] for layer in layers] == [n.name for n in tiny("mobilenet").nodes]
    ends = [layer["end_us"] for layer in layers]
    assert ends == sorted(ends)
    assert main(["plan", str(model), *options, "--layers"]) == 0
    text = capsys.readouterr().out
    divided = next(layer for layer in layers if layer["way"] in ("rows", "columns"))
    assert " ".join(map(str, divided["bounds"])) in text


def test_without_options_the_flash_of_the_boards_is_the_limit(
    model: Path, capsys: pytest.CaptureFixture[str]
):
    plan = document(capsys, model, "-n", 2)
    assert plan == document(capsys, model, "-n", 2, "--objective", "latency")
    flash = default_cluster(2).weights_room_bytes(0)
    assert {device["weights_room_bytes"] for device in plan["devices"]} == {flash}


def test_weights_that_all_devices_hold_are_said_and_what_a_limit_costs(
    large: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["plan", str(large), "-n", "2", "--link", "spi"]) == 0
    text = capsys.readouterr().out
    found = re.search(r"--max-weights (\d+)KiB\) an inference would take about (\d+) ms", text)
    assert found is not None, text
    limited = ["-n", 2, "--link", "spi", "--max-weights", f"{found[1]}KiB"]
    limit = document(capsys, large, *limited)
    all_of_them = r"Every device holds (nearly )?all weights: .* KiB with .*, .* in the model"
    assert re.search(all_of_them, text)
    assert limit["simulated_us"] / 1000 == pytest.approx(int(found[2]), rel=0.25)
    assert main(["plan", str(large), *map(str, limited)]) == 0
    assert "Every device holds" not in capsys.readouterr().out


def test_devices_that_gain_nothing_are_left_out_of_the_wiring(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """On a wire of 9,600 baud nothing is worth sending."""
    path, out = tmp_path / "slow.toml", tmp_path / "o"
    path.write_text(
        '[link]\nkind = "uart"\nbit_rate = 9600\n[[device]]\nboard = "teensy41"\ncount = 3\n'
    )
    said = "1 of 3 devices: "
    assert main(["plan", str(model), "--cluster", str(path)]) == 0
    text = capsys.readouterr().out
    assert text.startswith(said)
    assert "More would be no faster: ranks 1, 2 are left out of the wiring" in text
    assert main(["rewrite", str(model), "--cluster", str(path), "-o", str(out)]) == 0
    assert capsys.readouterr().out.startswith(said)
    assert json.loads((out / "plan.json").read_text())["world_size"] == 1
    assert sorted(each.name for each in out.glob("node*.tflite")) == ["node0.tflite"]
    # What else takes the file takes the same devices of it.
    for command in ("simulate", "firmware", "report"):
        assert main([command, str(out), "--cluster", str(path), "--json"]) == 0
        assert "uses 1 of the 3 devices" in capsys.readouterr().err


def test_one_device_and_the_other_objectives_stand_beside(
    model: Path, capsys: pytest.CaptureFixture[str]
):
    rows = document(capsys, model, "-n", 3, "--objective", "ram")["beside"]
    names = ["this plan", "--objective latency", "--objective bytes", "--objective throughput"]
    assert [row["name"] for row in rows] == [*names, "one device"]
    ram, latency, _, throughput, alone = rows
    assert (throughput["teams"], throughput["world_size"]) == (3, 1)
    assert throughput["throughput_per_s"] == max(row["throughput_per_s"] for row in rows)
    assert ram["arena_bytes"] <= min(row["arena_bytes"] for row in rows)
    assert latency["latency_us"] <= min(row["latency_us"] for row in rows)
    assert alone["world_size"] == 1
    assert main(["plan", str(model), "-n", "2", "--objective", "ram"]) == 0
    assert re.search(r"^2 devices: .* one device alone, with \d+ % of its arena$",
                     capsys.readouterr().out, re.MULTILINE)  # fmt: skip


def test_teams(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    graph, model, out = tiny("autoencoder"), tmp_path / "model.tflite", tmp_path / "out"
    model.write_bytes(write_model(graph))
    weights = sum(value.size_bytes for value in graph.constants())
    wanted = ["--objective", "throughput", "--max-weights", int(0.7 * weights)]
    rows = document(capsys, model, "-n", 5, *wanted)["beside"]
    assert [(row["name"], row["teams"]) for row in rows[:2]] == [
        ("this plan", 2),
        ("--objective latency", 1),
    ]
    ram = next(row for row in rows if row["name"] == "--objective ram")
    assert ram["world_size"] > 2, "what all of them would do, not one team"
    arguments = ["rewrite", model, "-n", 5, *wanted, "-o", out]
    assert main([*map(str, arguments)]) == 0
    text = capsys.readouterr().out
    first = text.splitlines()[0]
    assert first.startswith("2 teams of 2 devices, each on a port of the host's own: ")
    assert first.endswith(". 1 device left over")
    assert "the same in each of 2 teams" in text
    assert re.search(r"this plan +2 x 2 ", text)
    written = json.loads((out / "plan.json").read_text())
    assert (written["world_size"], written["objective"]) == (2, "throughput")
    assert (written["cluster"]["teams"], written["left_out"]) == (2, [2, 3, 4])
    assert main(["simulate", str(out)]) == 0
    assert capsys.readouterr().out.startswith("2 teams of 2 teensy41 in a ring of UARTs")
    path = tmp_path / "all.toml"
    path.write_text('[[device]]\nboard = "teensy41"\ncount = 5\n')
    assert main(["simulate", str(out), "--cluster", str(path), "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["teams"] == 2
    assert "2 teams of 2 devices of those in" in said.err


def test_all_ram_of_a_device_is_counted_and_can_be_limited(
    model: Path, capsys: pytest.CaptureFixture[str]
):
    least = document(capsys, model, "-n", 2, "--objective", "ram")["devices"]
    for device in least:
        parts = ("arena", "links", "stack", "runtime")
        assert device["ram_bytes"] == sum(device[f"{part}_bytes"] for part in parts)
    limit = max(device["ram_bytes"] for device in least)
    limited = document(capsys, model, "-n", 2, "--max-ram", limit)["devices"]
    assert max(device["ram_bytes"] for device in limited) <= limit
    assert main(["plan", str(model), "-n", "2", "--max-ram", "8KiB"]) == 2
    assert "some device lacks RAM" in capsys.readouterr().err
    assert main(["plan", str(model), "-n", "2", "--objective", "ram"]) == 0
    assert "all RAM of a device, at most " in capsys.readouterr().out


def test_one_device_that_is_too_small_is_said(model: Path, capsys: pytest.CaptureFixture[str]):
    rows = document(capsys, model, "-n", 3, "--objective", "ram")["beside"]
    limit = (rows[0]["arena_bytes"] + rows[-1]["arena_bytes"]) // 2
    assert main(["plan", str(model), "-n", "3", "--max-arena", str(limit)]) == 0
    text = capsys.readouterr().out
    assert "one device alone is too small" in text.splitlines()[0]
    assert "DOES NOT FIT: it has" in text


def test_a_plan_that_is_slower_and_no_smaller_says_so_first(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    manual = ["-n", "4", "-o", str(tmp_path / "o"), "--manual"]
    assert main(["rewrite", str(model), *manual, "split=channels", "stock-kernels"]) == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith("4 devices: ")
    assert "SLOWER THAN ONE DEVICE ALONE, AND NO SMALLER" in first


def test_a_plan_of_fewer_devices_is_replayed_on_more(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    saved = tmp_path / "plan.json"
    document(capsys, model, "-n", 2, "--objective", "ram", "-o", saved)
    again = document(capsys, model, "-n", 4, "--plan", saved)
    assert (again["world_size"], again["left_out"]) == (2, [2, 3])
    assert main(["plan", str(model), "-n", "1", "--plan", str(saved)]) == 2
    assert "is for 2 devices, not 1" in capsys.readouterr().err


def test_a_saved_plan_has_its_reasons_and_its_number_of_devices(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    saved = tmp_path / "plan.json"
    first = document(capsys, model, "-n", 3, "--objective", "ram", "-o", saved)
    units = first["units"]
    reasons = {layer["node"]: layer["reason"] for layer in json.loads(saved.read_text())["layers"]}
    for unit in units:
        assert reasons[unit["node"]] == f"{unit['option']}: {unit['why']}"
    again = document(capsys, model, "--plan", saved)
    assert again["world_size"] == first["world_size"] > 1
    assert [unit["why"] for unit in again["units"]] == list(reasons.values())


def test_a_plan_of_another_model(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    saved, other = tmp_path / "plan.json", tmp_path / "other.tflite"
    document(capsys, model, "-n", 2, "-o", saved)
    plan = json.loads(saved.read_text())
    for layer in plan["layers"]:
        layer["node"] += "/elsewhere"
    saved.write_text(json.dumps(plan))
    other.write_bytes(write_model(tiny("ds_cnn")))
    assert main(["plan", str(other), "-n", "2", "--plan", str(saved)]) == 2
    assert "is of another model" in capsys.readouterr().err
    assert main(["plan", str(model), "--plan", str(saved), "--objective", "ram"]) == 2
    assert "give one of them" in capsys.readouterr().err


@needs_tflm
def test_a_replayed_plan_that_does_not_fit_is_written_with_a_warning(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    saved, out = tmp_path / "plan.json", tmp_path / "out"
    document(capsys, model, "-n", 2, "-o", saved)
    small = ["--plan", str(saved), "--max-arena", "2KiB"]
    assert main(["plan", str(model), *small]) == 1
    assert "DOES NOT FIT" in capsys.readouterr().out
    assert main(["rewrite", str(model), *small, "-o", str(out)]) == 0
    assert "warning: rank 0 lacks" in capsys.readouterr().err
