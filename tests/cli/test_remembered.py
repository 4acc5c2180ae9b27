# SPDX-License-Identifier: Apache-2.0
"""An output folder remembers the cluster that it was made for; options override it and say so."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.bundles import bundle_of, plan_of, rewrite_plan
from tests.splits import tiny
from tflsplit.bundle.remembered import remembered_cluster
from tflsplit.cli import main
from tflsplit.cluster import default_cluster
from tflsplit.errors import ClusterError
from tflsplit.tflite import write_model

LINE = 'topology = "line"\n[link]\nbaud = 1_000_000\n[[device]]\nboard = "nano33ble"\ncount = 2\n'


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "m.tflite"
    path.write_bytes(write_model(tiny("resnet")))
    return path


def rewritten(model: Path, *words: str) -> Path:
    out = model.parent / "out"
    command = ["rewrite", str(model), "--manual", "split=rows", "-o", str(out), *words]
    assert main(command) == 0
    return out


def answer(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[Any, str]:
    """The JSON that a command prints, and what it says beside."""
    capsys.readouterr()
    assert main([*map(str, words), "--json"]) in (0, 1)
    said = capsys.readouterr()
    return json.loads(said.out), said.err


def test_the_commands_take_what_the_folder_was_made_for(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = rewritten(model, "-n", "2", "--board", "pico", "--topology", "line")
    plan = plan_of(out)
    assert plan["cluster"]["device"] == [{"board": "pico", "count": 2}]
    assert plan["cluster"]["topology"] == "line"
    assert plan["cluster"]["link"]["bit_rate"] == 3_000_000, "the board's own"
    assert (plan["objective"], plan["left_out"]) == (None, [])
    file = tmp_path / "c.toml"
    file.write_text(
        'topology = "line"\n[link]\nbaud = 3_000_000\n[[device]]\nboard = "pico"\ncount = 2\n'
    )
    own, said = answer(capsys, "simulate", out)
    assert said == ""
    described, said = answer(capsys, "simulate", out, "--cluster", file)
    assert said.split() == f"note: {file} instead of the cluster that {out} was made for".split()
    assert own == described
    page, _ = answer(capsys, "report", out, "--beside", "none")
    assert page["latency_us"] == own["latencies_us"][0]
    figures, _ = answer(capsys, "compare", out, out, "--simulate")
    latency = next(f for f in figures["figures"] if f["key"] == "latency_us")
    assert latency["before"] == latency["after"] == own["latencies_us"][0]


def test_a_link_on_the_command_line_takes_the_place_of_its_own(
    model: Path, capsys: pytest.CaptureFixture[str]
):
    out = rewritten(model, "-n", "2")
    uart, _ = answer(capsys, "simulate", out)
    spi, said = answer(capsys, "simulate", out, "--link", "spi")
    assert "SPI links instead of the UARTs that it was made for" in said
    assert spi["latencies_us"] < uart["latencies_us"]
    _, said = answer(capsys, "simulate", out, "--direct")
    assert "note: every device on a port of the host's" in " ".join(said.split())


def test_another_link_runs_at_the_rate_that_the_boards_have(
    model: Path, capsys: pytest.CaptureFixture[str]
):
    """As a folder that was made for it: the Pico's SPI has a third of the Teensy's clock."""
    out = rewritten(model, "-n", "2", "--board", "pico")
    spi, _ = answer(capsys, "simulate", out, "--link", "spi")
    out = rewritten(model, "-n", "2", "--board", "pico", "--link", "spi")
    assert plan_of(out)["cluster"]["link"]["bit_rate"] == 10_000_000
    made_for_it, said = answer(capsys, "simulate", out)
    assert (made_for_it["latencies_us"], said) == (spi["latencies_us"], "")
    uart, _ = answer(capsys, "simulate", out, "--link", "uart")
    out = rewritten(model, "-n", "2", "--board", "pico")
    assert answer(capsys, "simulate", out)[0]["latencies_us"] == uart["latencies_us"]


def test_firmware_from_a_switch_to_wires_and_back(model: Path, capsys: pytest.CaptureFixture[str]):
    out = rewritten(model, "-n", "2", "--board", "mps2_an500", "--link", "ethernet")
    at_switch = plan_of(out)["cluster"]
    assert (at_switch["topology"], at_switch["link_layer"]["mtu_bytes"]) == ("bus", 1024)
    ring, _ = answer(capsys, "firmware", out, "--link", "uart")
    assert (ring["topology"], ring["link"]) == ("ring", "uart")
    _, said = answer(capsys, "firmware", out, "--link", "ethernet", "--topology", "line")
    assert "in a line of Ethernet at 100 Mbit/s" in " ".join(said.split())
    bus, _ = answer(capsys, "firmware", out, "--link", "ethernet")
    assert (bus["topology"], bus["link"]) == ("bus", "ethernet")


def test_a_file_and_a_search_are_remembered_too(model: Path, tmp_path: Path):
    file = tmp_path / "c.toml"
    file.write_text(LINE)
    out = tmp_path / "out"
    words = ["--cluster", str(file), "--objective", "ram", "-o", str(out)]
    assert main(["rewrite", str(model), *words]) == 0
    plan = plan_of(out)
    assert plan["objective"] == "ram"
    found = remembered_cluster(plan, out)
    assert found is not None
    assert found.world_size == plan["world_size"] == 2 - len(plan["left_out"])
    assert {device.board for device in found.devices} == {"nano33ble"}
    assert found.link.bit_rate == 1_000_000


def test_firmware_is_made_again_as_it_was(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    file = tmp_path / "c.toml"
    file.write_text(LINE)
    out = rewritten(model, "--cluster", str(file))
    before = json.loads((out / "firmware.json").read_text())
    assert (before["topology"], before["baud"]) == ("line", 1_000_000)
    plan = (out / "plan.json").read_text()
    capsys.readouterr()
    assert main(["firmware", str(out)]) == 0
    assert json.loads((out / "firmware.json").read_text()) == before
    assert (out / "plan.json").read_text() == plan
    assert capsys.readouterr().err == ""
    assert main(["firmware", str(out), "--board", "pico"]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert (
        f"note: {out} is now for 2 pico in a line of UARTs at 3 Mbit/s (it was for 2 nano33ble in "
        "a line of UARTs at 1 Mbit/s): simulate, report and the others answer for that"
    ) in said
    assert "warning" not in said
    changed = json.loads((out / "firmware.json").read_text())
    assert (changed["topology"], changed["baud"]) == ("line", 3_000_000)
    assert {device["board"] for device in changed["devices"]} == {"pico"}
    assert main(["firmware", str(out), "--topology", "ring"]) == 0
    again = json.loads((out / "firmware.json").read_text())
    assert (again["topology"], again["devices"][1]["board"]) == ("ring", "pico")
    ring = plan_of(out)["cluster"]
    assert (ring["topology"], ring["device"]) == ("ring", [{"board": "pico", "count": 2}])
    assert main(["verify", str(out), "--runs", "0"]) == 0, "still a sound folder"


def test_other_boards_take_other_times_and_may_be_too_small(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """As a folder that was made for them."""
    out = rewritten(model, "-n", "2")
    assert main(["firmware", str(out), "--board", "pico", "--gateway", "1"]) == 0
    changed, said = answer(capsys, "simulate", out)
    assert said == ""
    file = tmp_path / "c.toml"
    file.write_text(
        'gateway_rank = 1\n[link]\nbaud = 3_000_000\n[[device]]\nboard = "pico"\ncount = 2\n'
    )
    described, _ = answer(capsys, "simulate", out, "--cluster", file)
    assert changed == described
    small = tmp_path / "small.toml"
    small.write_text('[[device]]\nboard = "pico"\ncount = 2\narena_limit_bytes = 1000\n')
    assert main(["firmware", str(out), "--cluster", str(small)]) == 0
    assert re.search("warning: rank 1 lacks [0-9,]+ bytes of RAM", capsys.readouterr().err)
    assert main(["firmware", str(out), "--board", "teensy41"]) == 0
    (devices,) = plan_of(out)["cluster"]["device"]
    assert devices == {"board": "teensy41", "count": 2, "arena_limit_bytes": 1000}, "limits stay"


def test_emulated_boards_stand_for_what_was_planned_for(
    model: Path, capsys: pytest.CaptureFixture[str]
):
    out = rewritten(model, "-n", "2", "--board", "pico")
    before = plan_of(out)["cluster"]
    for board in ("mps2_an500", "host"):
        document, said = answer(capsys, "firmware", out, "--board", board)
        assert document["devices"][0]["board"] == board
        assert (said, plan_of(out)["cluster"]) == ("", before)


def test_boards_without_numbers_of_their_own_are_remembered(
    model: Path, capsys: pytest.CaptureFixture[str]
):
    out = rewritten(model, "-n", "2", "--board", "host")
    said = " ".join(capsys.readouterr().err.split())
    assert "note: times and RAM of host are not known: planned for as a teensy41" in said
    assert main(["firmware", str(out)]) == 0
    document = json.loads((out / "firmware.json").read_text())
    assert {device["board"] for device in document["devices"]} == {"host"}


def test_a_folder_that_says_nothing_is_read_and_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """As every folder was before: the Teensy ring, but not in silence."""
    folder = bundle_of(tmp_path / "old", world_size=2)
    assert "cluster" not in plan_of(folder)
    assert remembered_cluster(plan_of(folder), folder) is None
    found, said = answer(capsys, "simulate", folder)
    assert "does not say what cluster it was made for" in said
    assert found["latencies_us"][0] > 0


@pytest.mark.parametrize(
    ("cluster", "message"),
    [
        ("no", "plan.json is damaged: cluster: 'no' is not an object"),
        ({"device": [{"board": "pico"}]}, "cluster has 1 device, but the plan 2"),
        ({"device": [{"bord": "pico"}]}, "cluster.device[0].bord: unknown key; did you mean"),
    ],
)
def test_a_damaged_memory_is_refused(
    cluster: Any, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folder = bundle_of(tmp_path / "out", world_size=2)
    rewrite_plan(folder, lambda document: document.update(cluster=cluster))
    assert main(["simulate", str(folder)]) == 2
    assert message in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("command", ["plan", "rewrite"])
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--cluster", "FILE", "--baud", "9600"], "says how the devices are wired"),
        (["--cluster", "FILE", "--topology", "ring"], "says how the devices are wired"),
        (["--cluster", "FILE", "--link", "spi"], "--cluster names its own"),
        (["--cluster", "FILE", "--board", "pico"], "where device 0 is a nano33ble"),
        (["--cluster", "FILE", "-n", "3"], "which has 2 devices"),
        (["-n", "2", "--board", "pico,pico,pico"], "3 boards are named for 2 devices"),
        (["-n", "2", "--board", "picco"], "did you mean 'pico'?"),
        ([], "say how many devices"),
    ],
)
def test_plan_and_rewrite_refuse_the_same(
    command: str,
    words: list[str],
    message: str,
    model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
):
    (tmp_path / "c.toml").write_text(LINE)
    words = [word.replace("FILE", str(tmp_path / "c.toml")) for word in words]
    output = ["-o", str(tmp_path / "out")]
    assert main([command, str(model), *words, *output]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()


def test_a_board_without_firmware_is_refused_before_anything_is_planned(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "out"
    missing = str(tmp_path / "is not even read.tflite")
    assert main(["rewrite", missing, "-n", "2", "--board", "pico2", "-o", str(out)]) == 2
    assert "there is no firmware for pico2" in capsys.readouterr().err
    file = tmp_path / "c.toml"
    file.write_text('[[device]]\nboard = "pico"\n[[device]]\nboard = "pico2"\n')
    assert main(["rewrite", missing, "--cluster", str(file), "-o", str(out)]) == 2
    said = capsys.readouterr().err
    assert "device 1 of the cluster: there is no firmware for pico2, only numbers to plan" in said
    assert not out.exists()
    folder = bundle_of(out, world_size=2)
    for words in (["--board", "pico2"], ["--cluster", str(file)]):
        before = (folder / "plan.json").read_bytes()
        assert main(["firmware", str(folder), *words]) == 2
        assert "there is no firmware for pico2" in capsys.readouterr().err
        assert (folder / "plan.json").read_bytes() == before


def test_a_board_that_stands_for_one_without_firmware(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """The plan is the Pico 2's, the firmware for this computer; numbers alone are no board."""
    file, out = tmp_path / "c.toml", tmp_path / "out"
    file.write_text('[[device]]\nboard = "pico2"\ncount = 2\n')
    words = ["--cluster", str(file), "-o", str(out)]
    assert main(["plan", str(model), "--cluster", str(file)]) == 0
    assert main(["rewrite", str(model), *words, "--board", "host"]) == 0
    assert json.loads((out / "firmware.json").read_text())["devices"][0]["board"] == "host"
    document = json.loads((out / "plan.json").read_text())
    assert document["cluster"]["device"] == [{"board": "pico2", "count": 2}]


def test_a_memory_for_another_plan_is_refused(tmp_path: Path):
    from tflsplit.bundle.remembered import remember

    document = {"world_size": 3, **remember(default_cluster(2), "latency", [])}
    with pytest.raises(ClusterError, match="cluster has 2 devices, but the plan 3"):
        remembered_cluster(document, tmp_path)
